"""The compiled engine, and how its functions are called."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import c_int, c_int32, c_void_p
from functools import cache
from pathlib import Path

from lightning_wavenet.cpp import NATIVE, compile_for


class TrunkShape(ctypes.Structure):
    """Sizes of a residual stack, as trunk.h wants them: channels are multiples of `Library.lanes`."""

    _fields_ = tuple(
        (name, c_int32)
        for name in (
            *("layers", "kernel_size", "channels", "gated", "skip"),
            *("shared_projection", "local", "gate_terms"),
        )
    )


class Shape(ctypes.Structure):
    """Sizes of a net, as engine.cpp wants them."""

    _fields_ = (
        ("trunk", TrunkShape),
        *((name, c_int32) for name in ("input_taps", "input_levels", "hidden", "parameters", "out_channels", "output")),
    )


class Library:
    """The compiled engine.

    Args:
        path: The shared library.

    Attributes:
        lanes: float32 numbers in a vector of this CPU; channels come in multiples of it.
        panel: Outputs whose weights lie together.
        bfloat16: Whether this CPU multiplies bfloat16.
    """

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        pointer = c_void_p
        self.open = library.wavenet_open
        self.open.restype = pointer
        self.open.argtypes = [
            *(ctypes.POINTER(Shape), pointer, c_int, pointer, pointer),
            *(pointer, pointer, c_int, pointer, pointer, pointer),
        ]
        # ctypes releases the interpreter's lock while a function runs.
        self.run = library.wavenet_run
        self.run.restype = c_int
        self.run.argtypes = [pointer, pointer, pointer, pointer, pointer, pointer, c_int, c_int]
        self.keep = library.wavenet_keep
        self.keep.restype = c_int
        self.keep.argtypes = [pointer, pointer, c_int]
        self.close = library.wavenet_close
        self.close.restype = None
        self.close.argtypes = [pointer]
        self.open_stack = library.wavenet_open_stack
        self.open_stack.restype = pointer
        self.open_stack.argtypes = [ctypes.POINTER(TrunkShape), pointer, pointer, pointer, c_int, pointer]
        self.step_stack = library.wavenet_step_stack
        self.step_stack.restype = None
        self.step_stack.argtypes = [pointer, pointer, pointer]
        self.keep_stack = library.wavenet_keep_stack
        self.keep_stack.restype = c_int
        self.keep_stack.argtypes = [pointer, pointer, c_int]
        self.close_stack = library.wavenet_close_stack
        self.close_stack.restype = None
        self.close_stack.argtypes = [pointer]
        self.lanes: int = library.wavenet_lanes()
        self.panel: int = library.wavenet_panel()
        self.bfloat16 = bool(library.wavenet_has_bfloat16())


@cache
def load() -> Library | str:
    """The engine for this CPU; or why there is none, in a sentence."""
    return build_for(NATIVE)


def build_for(tunings: Sequence[list[str]]) -> Library | str:
    """The engine, compiled if it never was; or why there is none, in a sentence.

    Args:
        tunings: As in `compile_for`.
    """
    path = compile_for(tunings, Path(__file__).parent / "engine.cpp", "-pthread")
    if isinstance(path, str):
        return path
    try:
        return Library(path)
    except OSError as error:
        return f"it cannot be loaded: {error}"
