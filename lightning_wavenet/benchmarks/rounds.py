"""Measurements in turn, in processes of their own.

So a peak of memory is that of one case, and a machine that slows down slows all that is compared.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch

from lightning_wavenet.machine.devices import cpu_name

Case = TypeVar("Case", bound=Hashable)
Measurement = TypeVar("Measurement")


def in_turn(
    measure: Callable[[Case, float], Measurement], cases: Sequence[Case], seconds: float, rounds: int
) -> Iterator[dict[Case, list[Measurement]]]:
    """Measures all cases, and all again, every time in a new process.

    Args:
        measure: Measures one case for at least so many seconds.
        cases: What is measured.
        seconds: How long a measurement lasts at least, after warming up (s).
        rounds: How often every case is measured.

    Yields:
        After every measurement all that was found so far.

    Raises:
        MemoryError: The system ended a measurement.
    """
    found: dict[Case, list[Measurement]] = {}
    for _ in range(rounds):
        for case in cases:
            with _process() as process:
                found.setdefault(case, []).append(_result(process, case, measure, case, seconds))
            yield found


def taking_turns(
    prepare: Callable[[Case], Callable[[float], Measurement]], cases: Sequence[Case], seconds: float, rounds: int
) -> Iterator[dict[Case, list[Measurement]]]:
    """Measures all cases, and all again, each in one process that waits for its next turn.

    Only the first turn of a case has to prepare it, so that turns can be short and follow closely upon one another.

    Args:
        prepare: Prepares a case, and returns what measures it for at least so many seconds.
        cases: What is measured.
        seconds: How long a turn lasts at least (s).
        rounds: How many turns every case has.

    Yields:
        After every turn all that was found so far.

    Raises:
        MemoryError: The system ended a process.
    """
    found: dict[Case, list[Measurement]] = {}
    with ExitStack() as lasting:
        processes = {case: lasting.enter_context(_process()) for case in cases}
        for _ in range(rounds):
            for case, process in processes.items():
                found.setdefault(case, []).append(_result(process, case, _turn, prepare, case, seconds))
                yield found


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn"))


def _result(process: ProcessPoolExecutor, case: Case, function: Callable[..., Measurement], *given: Any) -> Measurement:
    try:
        return process.submit(function, *given).result()
    except BrokenProcessPool as error:
        raise MemoryError(f"the process that measured {case} ended; had it too little memory?") from error


def _turn(prepare: Callable[[Case], Callable[[float], Measurement]], case: Case, seconds: float) -> Measurement:
    return _prepared(prepare, case)(seconds)


@cache
def _prepared(prepare: Callable[[Case], Callable[[float], Measurement]], case: Case) -> Callable[[float], Measurement]:
    return prepare(case)


def peak_memory_mb(device: torch.device) -> float:
    """The most memory (MB) that this process has had at once; on a GPU what PyTorch allocated there."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    # Elsewhere a process inherits the peak of the one that started it.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def forget_peak_memory(device: torch.device) -> None:
    """Lets the peak begin anew with what the process has now, where the system can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    forget = Path("/proc/self/clear_refs")
    if forget.exists():
        with contextlib.suppress(OSError):
            forget.write_text("5")


def device_name(device: torch.device) -> str:
    """What the device calls itself, and what PyTorch uses of a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{cpu_name()}, {torch.backends.cpu.get_cpu_capability()}"
