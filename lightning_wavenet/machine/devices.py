"""What this machine computes on."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from lightning_wavenet.errors import RequestError


def cpu_name() -> str:
    """The kind of CPU, in the words of the system."""
    description = Path("/proc/cpuinfo")
    lines = description.read_text().splitlines() if description.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def all_devices() -> list[torch.device]:
    """Every GPU of this machine, or its CPU."""
    return [torch.device("cuda", number) for number in range(torch.cuda.device_count())] or [torch.device("cpu")]


def find_device(name: str | torch.device = "auto") -> torch.device:
    """A device that is there.

    Args:
        name: "cpu", "cuda", "cuda:1", ...; "auto" is a GPU where there is one, else the CPU.

    Raises:
        RequestError: There is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise RequestError(f"there is no device {str(name)!r} on this machine") from error
    return torch.device(name)
