"""Output into a pipe whose reader has gone, as in `wavenet fit | head`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Enduring:
    """A stream that says the rest to nobody, once what it is written to is closed, where others fail.

    A training whose output is cut short is still worth its checkpoints.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes, if anybody reads."""
        try:
            written: int = self._stream.write(text)
        except BrokenPipeError:
            self._leave()
            return len(text)
        return written

    def flush(self) -> None:
        """Flushes, if anybody reads."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._leave()

    def _leave(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def enduring_output() -> Iterator[None]:
    """Has standard output and error endure the end of their readers."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(Enduring, streams)
    try:
        yield
    finally:
        # Or the interpreter would flush them when it ends, and fail.
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = streams
