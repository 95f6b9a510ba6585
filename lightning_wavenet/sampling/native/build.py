"""Compiles the engine for this CPU, once, and loads it."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from ctypes import c_double, c_int, c_int32, c_void_p
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).parent
FLAGS = ["-O3", "-std=c++17", "-fPIC", "-shared", "-pthread"]


class Shape(ctypes.Structure):
    """Sizes of a net, as the engine wants them: channels are multiples of `Library.lanes`."""

    _fields_ = tuple(
        (name, c_int32)
        for name in (
            *("layers", "kernel_size", "channels", "gated", "skip", "hidden", "parameters"),
            *("levels", "input_taps", "scalar_input", "shared_projection", "local", "gate_terms"),
        )
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
            *(c_double, c_double, c_int, pointer, pointer),
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
        self.lanes: int = library.wavenet_lanes()
        self.panel: int = library.wavenet_panel()
        self.bfloat16 = bool(library.wavenet_has_bfloat16())


@cache
def load() -> Library | str:
    """The engine for this CPU; or why there is none, in a sentence."""
    return build_for([["-march=native"], ["-mcpu=native"], []])


def build_for(tunings: Sequence[list[str]]) -> Library | str:
    """The engine, compiled if it never was; or why there is none, in a sentence.

    The compiler is `c++`, or what `CXX` says. Compiled libraries lie where PyTorch keeps its extensions
    (`TORCH_EXTENSIONS_DIR` moves them), under a digest of the sources, the command, and what the compiler may use of
    the CPU, so that machines can share the folder.

    Args:
        tunings: Flags that say what may be used of the CPU; the first that the compiler takes are used.
    """
    compiler = shlex.split(os.environ.get("CXX", "")) or ["c++"]
    if shutil.which(compiler[0]) is None:
        return f"there is no C++ compiler ({compiler[0]} was not found)"
    for tuning in tunings:
        command = [*compiler, *FLAGS, *tuning]
        macros = _run([*command, "-dM", "-E", "-x", "c++", os.devnull])
        if macros.returncode == 0:
            break
    else:
        return f"{compiler[0]} does not take {' '.join(command)}: {_first_error(macros)}"
    digest = hashlib.sha256(macros.stdout + repr((command, platform.libc_ver())).encode())
    for source in sorted(SOURCES.glob("*.[ch]*")):
        digest.update(source.read_bytes())
    try:
        root = os.environ.get("TORCH_EXTENSIONS_DIR") or Path.home() / ".cache" / "torch_extensions"
        path = Path(root) / "lightning_wavenet" / f"engine-{digest.hexdigest()[:16]}.so"
        if not path.exists():
            logging.getLogger("lightning_wavenet").warning("compiling the native engine for this CPU (once)")
            path.parent.mkdir(parents=True, exist_ok=True)
            # Built aside and moved in whole: processes that start together each build, and none loads half a file.
            with tempfile.TemporaryDirectory(dir=path.parent) as folder:
                built = Path(folder) / path.name
                compiled = _run([*command, "-o", str(built), str(SOURCES / "engine.cpp")])
                if compiled.returncode:
                    return f"{compiler[0]} cannot build it: {_first_error(compiled)}"
                os.replace(built, path)
        return Library(path)
    except (OSError, RuntimeError) as error:  # The latter where there is no home folder.
        return f"it cannot be built or loaded: {error}"


def _run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, check=False)


def _first_error(process: subprocess.CompletedProcess[bytes]) -> str:
    lines = process.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
    return next((line for line in lines if "error" in line), lines[-1])
