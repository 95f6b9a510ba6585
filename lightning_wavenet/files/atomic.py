"""Files that are written whole or not at all, and that replace others only where that was asked for."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning_wavenet.errors import RequestError, StorageError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CHAIN = 20
"""Errors that are looked at, one the cause of the other."""


def refuse_existing(paths: Iterable[Path], overwrite: bool, option: str = "--out") -> None:
    """Looks before any work is done whether its results would replace something.

    Args:
        paths: Files that are to be written; of a folder, whether there is anything in it.
        overwrite: Whether they may replace others.
        option: Which option names them, for the message.

    Raises:
        RequestError: One of them exists, and must not be replaced; or is a folder where a file is to be.
    """
    for path in paths:
        if path.is_dir():
            if any(path.iterdir()) and not overwrite:
                raise RequestError(f"{path} has files in it: choose another {option}, or say --overwrite")
        elif path.exists() and not overwrite:
            raise RequestError(f"{path} exists: choose another {option}, or say --overwrite")


def need_distinct(targets: Iterable[tuple[str, Path]]) -> None:
    """Looks before any work is done whether one result would replace another.

    Args:
        targets: What is to be written about, such as an id, and the file.

    Raises:
        RequestError: Two are to be written to the same file.
    """
    owners: dict[Path, str] = {}
    for name, path in targets:
        if path in owners:
            raise RequestError(
                f"{owners[path]} and {name} would both be written to {path}: rename one of them, or leave it out"
            )
        owners[path] = name


def full_disk(error: BaseException | None) -> OSError | None:
    """The error that a disk or a quota is full, if an error is that or came from it."""
    seen = 0
    while error is not None and seen < _CHAIN:
        if isinstance(error, OSError) and error.errno in _FULL:
            return error
        error, seen = error.__cause__ or error.__context__, seen + 1
    return None


def need_folder(path: Path, option: str = "--out") -> None:
    """Looks whether files can be written below a path.

    Raises:
        RequestError: It is a file, or lies in one.
    """
    for folder in (path, *path.parents):
        if folder.exists():
            if not folder.is_dir():
                raise RequestError(f"{folder} is a file and no folder: choose another {option}")
            return


@contextmanager
def atomic(path: Path, keep: Path | None = None) -> Iterator[Path]:
    """A place beside a file, from which it is moved there when it is whole and on the disk; makes its folder.

    Where the block fails or is interrupted, what it has written is removed.

    Args:
        path: The file.
        keep: Where a file goes that is replaced; None: nowhere.

    Yields:
        The path that the block has to write to.

    Raises:
        StorageError: The disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            path.replace(keep)
        partial.replace(path)
    except OSError as error:
        if full := full_disk(error):
            raise StorageError(
                f"cannot write {path} ({os.strerror(full.errno or 0)}): free some space, or choose a folder on another "
                "disk with --out or --run"
            ) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: Path, write: Callable[[Path], object], keep: Path | None = None) -> None:
    """Has a file written as `atomic` does.

    Args:
        path: The file.
        write: Writes it, to the path that it is given.
        keep: Where a file goes that is replaced; None: nowhere.
    """
    with atomic(path, keep) as partial:
        write(partial)


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically, in UTF-8."""
    write_atomically(path, lambda partial: partial.write_text(text, "utf-8"))
