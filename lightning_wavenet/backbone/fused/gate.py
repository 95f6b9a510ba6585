"""The gate of equation (2), z = tanh(f) x sigmoid(g), and its derivative.

On CPUs each is one pass over memory in C++, several times as fast as the chain of operations that it stands for.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Sequence
from ctypes import c_int, c_int64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_wavenet.cpp import NATIVE, compile_for

_SUFFIXES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


def gate_forward(both: Tensor, copy: Tensor) -> Tensor:
    """The gate, outside of autograd.

    Args:
        both: Filter and gate side by side, `[N, G]`.
        copy: Takes the last rows of z once more, `[kept, G / 2]`; its rows may lie apart.

    Returns:
        z `[N, G / 2]`.
    """
    library = _library_for(both, copy)
    if library is None:
        filtered, gated = both.chunk(2, dim=-1)
        z = torch.tanh(filtered) * torch.sigmoid(gated)
        copy.copy_(z[len(z) - len(copy) :])
        return z
    z = both.new_empty(both.shape[0], both.shape[1] // 2)
    _call(library.forward, both.dtype, (both, z, copy), z, copy)
    return z


def gate_backward(both: Tensor, z_gradient: Tensor | None, kept_gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradient for `both`, and z once more.

    Args:
        both: `[N, G]`.
        z_gradient: The gradient for z, `[N, G / 2]`; None stands for zeros.
        kept_gradient: What is to be added to its last rows, `[kept, G / 2]`; its rows may lie apart.

    Returns:
        The gradient `[N, G]`, the sums of its columns `[G]`, and z `[N, G / 2]`.
    """
    library = _library_for(both, kept_gradient)
    if library is None:
        filtered, gated = both.to(torch.promote_types(both.dtype, torch.float32)).chunk(2, dim=-1)
        filtered, gated = torch.tanh(filtered), torch.sigmoid(gated)
        upstream = torch.zeros_like(filtered) if z_gradient is None else z_gradient.to(filtered.dtype, copy=True)
        upstream[len(upstream) - len(kept_gradient) :] += kept_gradient
        slopes = torch.cat([gated * (1 - filtered**2), filtered * gated * (1 - gated)], dim=-1)
        gradient = slopes * upstream.repeat(1, 2)
        return gradient.to(both.dtype), gradient.sum(0).to(both.dtype), (filtered * gated).to(both.dtype)
    z, gradient = both.new_empty(both.shape[0], both.shape[1] // 2), torch.empty_like(both)
    sums = torch.zeros(torch.get_num_threads(), both.shape[1])
    _call(library.backward, both.dtype, (both, z_gradient, kept_gradient, gradient, z, sums), z, kept_gradient)
    return gradient, sums.sum(0).to(both.dtype), z


class _Library:
    """The compiled passes."""

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        self.lanes: int = library.gate_lanes()
        self.forward = {dtype: getattr(library, f"gate_forward_{name}") for dtype, name in _SUFFIXES.items()}
        self.backward = {dtype: getattr(library, f"gate_backward_{name}") for dtype, name in _SUFFIXES.items()}
        for passes, tensors in ((self.forward, 3), (self.backward, 6)):
            for function in passes.values():
                function.restype = None
                function.argtypes = [*([c_void_p] * tensors), c_int64, c_int, c_int64, c_int64, c_int]


def _call(
    passes: dict[torch.dtype, Any], dtype: torch.dtype, tensors: Sequence[Tensor | None], z: Tensor, kept: Tensor
) -> None:
    pointers = (None if tensor is None else tensor.data_ptr() for tensor in tensors)
    passes[dtype](*pointers, *z.shape, len(kept), kept.stride(0), torch.get_num_threads())


def _library_for(both: Tensor, kept: Tensor) -> _Library | None:
    """The compiled passes, where there are any that take these tensors."""
    if both.device.type != "cpu" or both.dtype not in _SUFFIXES or not both.is_contiguous() or kept.stride(1) != 1:
        return None
    library = _library()
    return None if library is None or both.shape[1] // 2 % library.lanes else library


@cache
def _library() -> _Library | None:
    # OpenMP, because it then shares the threads of PyTorch.
    path = compile_for(NATIVE, Path(__file__).parent / "gate.cpp", "-fopenmp")
    try:
        if isinstance(path, Path):
            return _Library(path)
    except OSError as error:
        path = str(error)
    logging.getLogger("lightning_wavenet").warning("training without the gate in C++, which is slower: %s", path)
    return None
