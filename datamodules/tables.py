"""Arrow tables on disk that are built once, by one process, under a name that says all that they depend on."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import datasets
from filelock import FileLock, Timeout

from lightning_wavenet.errors import RequestError

ROWS_A_WRITE = 64
_PATIENCE_SECONDS = 1.0
"""Of waiting for another process, who may only open a table, before it is said."""

log = logging.getLogger(__name__)


def open_table(
    folder: Path, what: str, key: str, columns: datasets.Features, rows: Callable[[], Iterator[dict[str, Any]]]
) -> datasets.Dataset:
    """A table, memory-mapped; built first unless one of the same key exists.

    Any number of processes may do so at once: one builds, the others wait for it. A build that was killed leaves
    nothing that passes for a whole one, and what it leaves is removed by the next.

    Args:
        folder: Of the corpus's tables.
        what: What it is, for the progress that is shown.
        key: Name of the table, with a digest of all that its rows depend on.
        columns: Their types.
        rows: Makes the rows.

    Raises:
        RequestError: The folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"cannot make the cache folder {folder} ({error.strerror}); set audio.cache_dir or WAVENET_CACHE"
        ) from error
    with _locked(folder):
        # Whoever wrote these is dead: this process holds the lock.
        for leftover in folder.glob("**/*.incomplete"):
            shutil.rmtree(leftover)
        try:
            return datasets.Dataset.from_generator(
                rows,
                features=columns,
                cache_dir=str(folder),
                fingerprint=key,
                split=datasets.NamedSplit(what),
                writer_batch_size=ROWS_A_WRITE,
            )
        except datasets.exceptions.DatasetGenerationError as error:
            cause = error.__cause__ or error
            if isinstance(cause, RequestError):
                raise cause from None
            raise RequestError(f"{key}: making {what} failed: {type(cause).__name__}: {cause}") from error


def digest(*parts: object) -> str:
    """A short hash of values, by how they print."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def stamp(path: Path) -> tuple[int, int]:
    """Size (bytes) and time of change (ns) of a file, or a mark for one that cannot be reached."""
    try:
        status = path.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _locked(folder: Path) -> AbstractContextManager[Any]:
    lock = FileLock(folder / ".lock")
    try:
        return lock.acquire(timeout=_PATIENCE_SECONDS)
    except Timeout:
        log.warning("waiting for another process that works on the cache %s", folder)
        return lock.acquire()
