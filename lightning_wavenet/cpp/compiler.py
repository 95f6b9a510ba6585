"""Compiles a C++ file to a shared library, once."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

FLAGS = ["-O3", "-std=c++17", "-fPIC", "-shared", f"-I{Path(__file__).parent}"]
NATIVE: tuple[list[str], ...] = (["-march=native"], ["-mcpu=native"], [])
"""Flags by which compilers use all that this CPU has; the first that a compiler takes are used."""


def compile_for(tunings: Sequence[list[str]], source: Path, threading: str) -> Path | str:
    """The library made of a source, compiled if it never was; or why there is none, in a sentence.

    The compiler is `c++`, or what `CXX` says. Compiled libraries lie where PyTorch keeps its extensions
    (`TORCH_EXTENSIONS_DIR` moves them), under a digest of the sources, the command, and what the compiler may use of
    the CPU, so that machines can share the folder.

    Args:
        tunings: Flags that say what may be used of the CPU; the first that the compiler takes are used.
        source: A C++ file; headers may lie beside it.
        threading: The flag of the threads that it uses, such as "-pthread".
    """
    compiler = shlex.split(os.environ.get("CXX", "")) or ["c++"]
    if shutil.which(compiler[0]) is None:
        return f"there is no C++ compiler ({compiler[0]} was not found)"
    for tuning in tunings:
        command = [*compiler, *FLAGS, threading, *tuning]
        macros = _run([*command, "-dM", "-E", "-x", "c++", os.devnull])
        if macros.returncode == 0:
            break
    else:
        return f"{compiler[0]} does not take {' '.join(command)}: {_first_error(macros)}"
    digest = hashlib.sha256(macros.stdout + repr((command, platform.libc_ver())).encode())
    for folder in (Path(__file__).parent, source.parent):
        for file in sorted(folder.glob("*.h")):
            digest.update(file.read_bytes())
    digest.update(source.read_bytes())
    try:
        root = os.environ.get("TORCH_EXTENSIONS_DIR") or Path.home() / ".cache" / "torch_extensions"
        path = Path(root) / "lightning_wavenet" / f"{source.stem}-{digest.hexdigest()[:16]}.so"
        if not path.exists():
            logging.getLogger("lightning_wavenet").warning("compiling the native %s for this CPU (once)", source.stem)
            path.parent.mkdir(parents=True, exist_ok=True)
            # Built aside and moved in whole: processes that start together each build, and none loads half a file.
            with tempfile.TemporaryDirectory(dir=path.parent) as aside:
                built = Path(aside) / path.name
                compiled = _run([*command, "-o", str(built), str(source)])
                if compiled.returncode:
                    return f"{compiler[0]} cannot build it: {_first_error(compiled)}"
                os.replace(built, path)
    except (OSError, RuntimeError) as error:  # The latter where there is no home folder.
        return f"it cannot be built: {error}"
    return path


def _run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, check=False)


def _first_error(process: subprocess.CompletedProcess[bytes]) -> str:
    lines = process.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
    return next((line for line in lines if "error" in line), lines[-1])
