"""What a training step may take of the machine's memory, and how it finds what the step before had."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def free_memory(device: torch.device) -> int | None:
    """Memory (bytes) that this process may still take; None where the system does not say."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    known = Path("/proc/meminfo")
    if device.type != "cpu" or not known.exists():
        return None
    (line,) = (line for line in known.read_text().splitlines() if line.startswith("MemAvailable:"))
    return int(line.split()[1]) * 1024


def keep_freed_memory() -> None:
    """Lets this process keep the memory that it frees, as PyTorch does on GPUs.

    A training step takes and frees hundreds of megabytes on a CPU. The C library gives large pieces back to the system
    at once, which has to clear them for the next step: up to a tenth of its time. Done where that library is glibc.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            library.mallopt(option, 2**31 - 1)


def return_freed_memory() -> None:
    """Gives the system what was freed and kept until now."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
