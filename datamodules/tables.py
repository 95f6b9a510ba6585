"""Arrow tables on disk that are built once, by one process, under a name that says all that they depend on."""

from __future__ import annotations

import glob
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import datasets
from filelock import FileLock, Timeout

from lightning_wavenet.errors import RequestError, StorageError
from lightning_wavenet.files.atomic import full_disk

ROWS_A_WRITE = 64
_PATIENCE_SECONDS = 1.0
"""Of waiting for another process, who may only open a table, before it is said."""

log = logging.getLogger(__name__)


def open_table(
    folder: Path, what: str, key: str, columns: datasets.Features, rows: Callable[[], Iterator[dict[str, Any]]]
) -> datasets.Dataset:
    """A table, memory-mapped; built first unless one of the same key exists.

    Any number of processes may do so at once: one builds, the others wait for it. A build that was killed leaves
    nothing that passes for a whole one, and what it leaves is removed by the next. An existing table may be read-only.

    Args:
        folder: Of the corpus's tables.
        what: What it is, for the progress that is shown.
        key: Name of the table, with a digest of all that its rows depend on.
        columns: Their types.
        rows: Makes the rows.

    Raises:
        RequestError: The folder cannot be made or written to, and there is no such table yet.
        StorageError: The disk is full.
    """
    # Without the lock, for which one may need to be who built it.
    if (finished := _finished(folder, what, key)) is not None:
        return finished
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused("make", folder, error) from error
    try:
        lock = _locked(folder)
    except OSError as error:
        raise _refused("write to", folder, error) from error
    with lock:
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
        except Exception as error:
            if full := full_disk(error):
                for unfinished in folder.glob("**/*.incomplete"):
                    shutil.rmtree(unfinished, ignore_errors=True)
                raise _full("write to", folder, full) from error
            if not isinstance(error, datasets.exceptions.DatasetGenerationError):
                raise
            cause = error.__cause__ or error
            if isinstance(cause, RequestError):
                raise cause from None
            raise RequestError(f"{key}: making {what} failed: {type(cause).__name__}: {cause}") from error


def _refused(what: str, folder: Path, error: OSError) -> Exception:
    if full_disk(error):
        return _full(what, folder, error)
    return RequestError(
        f"cannot {what} the cache folder {folder} ({error.strerror}); set audio.cache_dir or WAVENET_CACHE"
    )


def _full(what: str, folder: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot {what} the cache folder {folder} ({os.strerror(error.errno or 0)}): free some space, or set "
        "WAVENET_CACHE or data.audio.cache_dir to a folder on another disk"
    )


def _finished(folder: Path, what: str, key: str) -> datasets.Dataset | None:
    """The table if it was built before: its description is there only when all of it is."""
    for described in folder.glob(f"generator/*={glob.escape(key)}/*/dataset_info.json"):
        files = sorted(described.parent.glob(f"generator-{what}*.arrow"))
        if described.parent.suffix == ".incomplete" or not files:
            continue
        parts = re.search(r"-of-(\d+)\.arrow$", files[0].name)
        if len(files) == (int(parts[1]) if parts else 1):
            tables = [datasets.Dataset.from_file(str(file), split=datasets.NamedSplit(what)) for file in files]
            return tables[0] if len(tables) == 1 else datasets.concatenate_datasets(tables)
    return None


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
