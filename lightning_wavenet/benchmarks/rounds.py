"""Measurements in turn, each in a process of its own.

So a peak of memory is that of one measurement, and a machine that slows down slows all that is compared.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import platform
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

import torch

Case = TypeVar("Case")
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
    context = multiprocessing.get_context("spawn")
    found: dict[Case, list[Measurement]] = {}
    for _ in range(rounds):
        for case in cases:
            try:
                with ProcessPoolExecutor(max_workers=1, mp_context=context) as process:
                    found.setdefault(case, []).append(process.submit(measure, case, seconds).result())
            except BrokenProcessPool as error:
                raise MemoryError(f"the process that measured {case} ended; had it too little memory?") from error
            yield found


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
    description = Path("/proc/cpuinfo")
    lines = description.read_text().splitlines() if description.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"
