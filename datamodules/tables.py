"""Arrow tables on disk that are built once, by one process, under a name that says all that they depend on.

A table is a folder of shards, each named by its first row and written whole or not at all, and a description that is
written when all of them are there. A build that was stopped resumes behind the last whole shard.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import chain
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lightning_wavenet.errors import RequestError, StorageError
from lightning_wavenet.files.atomic import atomic, full_disk, write_text

SHARD_BYTES = 2**27
"""Of a shard, about: an hour of audio at 16 kHz, which is what a build loses that is killed."""
WRITE_BYTES = 2**24
"""Of rows that wait to be written, about."""
ROWS_A_WRITE = 64
"""At most, of those."""
_WHOLE = "table.json"
_SMALL_BYTES = 2**26
"""Of a table whose bytes are compared with their checksums when it is opened."""
_PATIENCE_SECONDS = 1.0
"""Of waiting for another process, who may only open a table, before it is said."""

log = logging.getLogger(__name__)

Row = dict[str, Any]


def open_table(
    folder: Path,
    what: str,
    key: str,
    columns: datasets.Features,
    total: int,
    rows: Callable[[int], Iterator[Row]],
) -> datasets.Dataset:
    """A table, memory-mapped; built first unless one of the same key exists.

    Any number of processes may do so at once: one builds, the others wait for it. A build that was killed leaves
    nothing that passes for a whole one; what it has finished is taken over by the next. An existing table may be
    read-only.

    Args:
        folder: Of the corpus's tables.
        what: What it is, for the progress that is shown.
        key: Name of the table, with a digest of all that its rows depend on.
        columns: Their types.
        total: How many rows it has.
        rows: Makes the rows from a given one on.

    Raises:
        RequestError: The folder cannot be made or written to, and there is no such table yet.
        StorageError: The disk is full.
    """
    place = folder / key
    # Without the lock, for which one may need to be who built it.
    if (finished := _finished(place, columns)) is not None:
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
        # Another process may have built it since.
        if (finished := _finished(place, columns)) is not None:
            return finished
        if (place / _WHOLE).exists():
            log.warning("%s of %s are damaged, and made anew", what, key)
            shutil.rmtree(place)
        try:
            _build(place, what, columns, total, rows)
        except Exception as error:
            if full := full_disk(error):
                raise _full("write to", folder, full) from error
            if isinstance(error, RequestError):
                raise
            raise RequestError(f"{key}: making {what} failed: {type(error).__name__}: {error}") from error
        table = _finished(place, columns)
        assert table is not None
        return table


def _build(
    place: Path, what: str, columns: datasets.Features, total: int, rows: Callable[[int], Iterator[Row]]
) -> None:
    whole = _shards(place, columns)
    done = sum(len(shard) for shard in whole.values())
    for leftover in place.glob("*") if place.is_dir() else ():
        if leftover not in whole:  # Whoever wrote these is dead: this process holds the lock.
            leftover.unlink()
    if done:
        log.warning("%s: resuming at %s of %s", what, f"{done:,}", f"{total:,}")
    bar = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*bar, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total, completed=done)
        batches = _batches(rows(done), columns)
        for first in batches:
            size = 0
            with (
                atomic(_shard(place, done)) as partial,
                pa.OSFile(str(partial), "wb") as sink,
                pa.ipc.new_stream(sink, columns.arrow_schema) as writer,
            ):
                for batch in chain([first], batches):
                    writer.write_batch(batch)
                    size += batch.nbytes
                    done += batch.num_rows
                    progress.update(task, completed=done)
                    if size >= SHARD_BYTES:
                        break
    files = list(_shards(place, columns))
    write_text(place / _WHOLE, json.dumps({"rows": done, "checksums": _checksums(files)}))


def _batches(rows: Iterable[Row], columns: datasets.Features) -> Iterator[pa.RecordBatch]:
    """Rows as they are written, few enough of them that memory does not depend on how many there are."""
    held: list[Row] = []
    size = 0
    for row in rows:
        held.append(columns.encode_example(row))
        size += sum(len(value) for value in row.values() if isinstance(value, bytes))
        if size >= WRITE_BYTES or len(held) >= ROWS_A_WRITE:
            yield pa.RecordBatch.from_pylist(held, columns.arrow_schema)
            held, size = [], 0
    if held:
        yield pa.RecordBatch.from_pylist(held, columns.arrow_schema)


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


def _finished(place: Path, columns: datasets.Features) -> datasets.Dataset | None:
    """The table if it was built before: its description is there only when all of it is. Damaged ones do not count."""
    try:
        told = json.loads((place / _WHOLE).read_text())
        shards = _shards(place, columns)
        table = datasets.concatenate_datasets(list(shards.values()))
        whole = table.num_rows == told["rows"] and told["checksums"] == _checksums(list(shards))
        return table if whole else None
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None


def _shards(place: Path, columns: datasets.Features) -> dict[Path, datasets.Dataset]:
    """The shards from the first on, as far as they follow one another."""
    shards: dict[Path, datasets.Dataset] = {}
    done = 0
    while (path := _shard(place, done)).exists():
        try:
            shard = datasets.Dataset.from_file(str(path))
            # Offsets of lists and texts: reading by wrong ones would end the process.
            shard.data.table.validate(full=True)
        except (OSError, ValueError, pa.ArrowException):
            break
        if not len(shard) or shard.features != columns:
            break
        shards[path] = shard
        done += len(shard)
    return shards


def _shard(place: Path, first: int) -> Path:
    return place / f"{first:08d}.arrow"


def _checksums(files: list[Path]) -> dict[str, int]:
    """Of a table's files, if they are small: to read all of a large corpus whenever it is opened would take minutes."""
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
