"""Work on many items in threads, with no more of it held than is needed to keep them busy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_order(make: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """What a function makes of items, in their order.

    Made in as many threads as PyTorch has; it pays where the function releases the interpreter's lock, as soundfile and
    torch do. At most two results a thread are made ahead of whoever takes them.
    """
    threads = torch.get_num_threads()
    ahead: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                ahead.append(pool.submit(make, item))
                if len(ahead) > 2 * threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
