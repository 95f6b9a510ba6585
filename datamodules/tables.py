"""Arrow tables on disk that are built once, by one process, under a name that says all that they depend on."""

from __future__ import annotations

import glob
import hashlib
import json
import logging
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from filelock import FileLock, Timeout

from lightning_wavenet.errors import RequestError, StorageError
from lightning_wavenet.files.atomic import full_disk, write_text

ROWS_A_WRITE = 64
_CHECKSUMS = "checksums.json"
_SMALL_BYTES = 2**26
"""Of a table whose bytes are compared with their checksums when it is opened."""
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
    if (finished := _finished(folder, what, key, columns)) is not None:
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
        # Another process may have built it since.
        if (finished := _finished(folder, what, key, columns)) is not None:
            return finished
        for described in _described(folder, key):
            log.warning("%s of %s are damaged, and made anew", what, key)
            shutil.rmtree(described.parent)
        try:
            table = datasets.Dataset.from_generator(
                rows,
                features=columns,
                cache_dir=str(folder),
                fingerprint=key,
                split=datasets.NamedSplit(what),
                writer_batch_size=ROWS_A_WRITE,
            )
            for described in _described(folder, key):
                write_text(described.with_name(_CHECKSUMS), json.dumps(_checksums(described.parent)))
            return table
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


def _finished(folder: Path, what: str, key: str, columns: datasets.Features) -> datasets.Dataset | None:
    """The table if it was built before: its description is there only when all of it is. Damaged ones do not count."""
    for described in _described(folder, key):
        files = sorted(described.parent.glob(f"generator-{what}*.arrow"))
        parts = re.search(r"-of-(\d+)\.arrow$", files[0].name) if files else None
        if not files or len(files) != (int(parts[1]) if parts else 1):
            continue
        try:
            tables = [datasets.Dataset.from_file(str(file), split=datasets.NamedSplit(what)) for file in files]
            table = tables[0] if len(tables) == 1 else datasets.concatenate_datasets(tables)
            if _is_sound(table, described, what, columns):
                return table
        except (OSError, ValueError, KeyError, pa.ArrowException):
            continue
    return None


def _described(folder: Path, key: str) -> list[Path]:
    found = folder.glob(f"generator/*={glob.escape(key)}/*/dataset_info.json")
    return [path for path in found if path.parent.suffix != ".incomplete"]


def _is_sound(table: datasets.Dataset, described: Path, what: str, columns: datasets.Features) -> bool:
    """Whether a table has the columns and rows that it was built with, and of a small one, the bytes."""
    if table.features != columns or table.num_rows != json.loads(described.read_text())["splits"][what]["num_examples"]:
        return False
    # Offsets of lists and texts: reading by wrong ones would end the process.
    table.data.table.validate(full=True)
    checksums = described.with_name(_CHECKSUMS)
    return not checksums.exists() or json.loads(checksums.read_text()) == _checksums(described.parent)


def _checksums(folder: Path) -> dict[str, int]:
    """Of a table's files, if they are small: to read all of a large corpus whenever it is opened would take minutes."""
    files = sorted(folder.glob("*.arrow"))
    small = sum(file.stat().st_size for file in files) <= _SMALL_BYTES
    return {file.name: zlib.crc32(file.read_bytes()) for file in files} if small else {}


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
