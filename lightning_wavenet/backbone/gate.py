"""The gate of equation (2), z = tanh(f) x sigmoid(g), and its derivative.

On CPUs each is one pass over memory in C++, several times as fast as the chain of operations that it stands for.
"""

from __future__ import annotations

import ctypes
import logging
from ctypes import c_int, c_int64, c_void_p
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from lightning_wavenet.cpp import NATIVE, compile_for

_SUFFIXES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


def gate(both: Tensor) -> Tensor:
    """Filter and gate side by side `[..., G]` to z `[..., G / 2]`; differentiable."""
    filtered, gated = both.chunk(2, dim=-1)
    if torch.compiler.is_compiling():
        # Compiled for CPUs tanh takes several times as long as exp. In float32 this form of it is as good.
        fused = (2 * torch.sigmoid(2 * filtered.float()) - 1) * torch.sigmoid(gated.float())
        return fused.to(both.dtype)
    return torch.tanh(filtered) * torch.sigmoid(gated)


def gate_forward(both: Tensor) -> Tensor:
    """As `gate` for `[N, G]`, outside of autograd."""
    library = _library_for(both)
    if library is None:
        return gate(both)
    z = both.new_empty(both.shape[0], both.shape[1] // 2)
    forward = getattr(library, f"gate_forward_{_SUFFIXES[both.dtype]}")
    forward(both.data_ptr(), z.data_ptr(), *z.shape, torch.get_num_threads())
    return z


def gate_backward(both: Tensor, z_gradient: Tensor | None, kept_gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient for `both`, and z once more.

    Args:
        both: `[N, G]`.
        z_gradient: The gradient for z, `[N, G / 2]`; None stands for zeros.
        kept_gradient: What is to be added to its last rows, `[kept, G / 2]`; its rows may lie apart.

    Returns:
        The gradient `[N, G]` and z `[N, G / 2]`.
    """
    library, kept = _library_for(both), len(kept_gradient)
    if library is None or kept_gradient.stride(1) != 1:
        filtered, gated = both.to(torch.promote_types(both.dtype, torch.float32)).chunk(2, dim=-1)
        filtered, gated = torch.tanh(filtered), torch.sigmoid(gated)
        upstream = torch.zeros_like(filtered) if z_gradient is None else z_gradient.to(filtered.dtype, copy=True)
        upstream[-kept:] += kept_gradient
        slopes = torch.cat([gated * (1 - filtered**2), filtered * gated * (1 - gated)], dim=-1)
        return (slopes * upstream.repeat(1, 2)).to(both.dtype), (filtered * gated).to(both.dtype)
    z = both.new_empty(both.shape[0], both.shape[1] // 2)
    gradient = torch.empty_like(both)
    tensors = (both, z_gradient, kept_gradient, gradient, z)
    pointers = (None if tensor is None else tensor.data_ptr() for tensor in tensors)
    backward = getattr(library, f"gate_backward_{_SUFFIXES[both.dtype]}")
    backward(*pointers, *z.shape, kept, kept_gradient.stride(0), torch.get_num_threads())
    return gradient, z


def _library_for(both: Tensor) -> ctypes.CDLL | None:
    """The compiled passes, where there are any that take this tensor."""
    if both.device.type != "cpu" or both.dtype not in _SUFFIXES or not both.is_contiguous():
        return None
    library = _library()
    return None if library is None or both.shape[1] // 2 % library.gate_lanes() else library


@cache
def _library() -> ctypes.CDLL | None:
    # OpenMP, because it then shares the threads of PyTorch.
    path = compile_for(NATIVE, Path(__file__).parent / "gate.cpp", "-fopenmp")
    try:
        library = ctypes.CDLL(str(path)) if isinstance(path, Path) else None
    except OSError as error:
        path, library = str(error), None
    if library is None:
        logging.getLogger("lightning_wavenet").warning("training goes on without the gate in C++: %s", path)
        return None
    for name in _SUFFIXES.values():
        forward, backward = (getattr(library, f"gate_{way}_{name}") for way in ("forward", "backward"))
        forward.restype, forward.argtypes = None, [c_void_p] * 2 + [c_int64, c_int, c_int]
        backward.restype, backward.argtypes = None, [c_void_p] * 5 + [c_int64, c_int, c_int64, c_int64, c_int]
    return library
