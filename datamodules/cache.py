"""The cache: every clip of a corpus as PCM16 mono at the model's rate in one memory-mapped Arrow table."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from datamodules.decoding import FULL_SCALE, DecodingError, decode
from datamodules.records import Listing, Phone, Problem, Record, SplitName
from lightning_wavenet.errors import CorpusError, RequestError

CACHE_VERSION = 2
"""To be raised whenever what `decode` gives for a file, or the columns of the cache, change."""

_FEATURES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "split": datasets.Value("string"),
        "speaker": datasets.Value("string"),
        "text": datasets.Value("string"),
        "label": datasets.Value("string"),
        "tags": datasets.List(datasets.Value("string")),
        "phones": datasets.List(
            {"label": datasets.Value("string"), "start": datasets.Value("int64"), "end": datasets.Value("int64")}
        ),
        "split_key": datasets.Value("string"),
        "frames": datasets.Value("int64"),
        "peak": datasets.Value("float32"),
        "rms": datasets.Value("float32"),
        "problem": datasets.Value("string"),
        "pcm": datasets.Value("large_binary"),
    }
)
_ROWS_A_WRITE = 64

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Audio:
    """How the recordings of a corpus become the waveforms that a model sees."""

    sample_rate: int
    """Rate that the model works at (Hz). Files of a higher rate are resampled, files of a lower rate are skipped."""
    trim_silence_db: float | None = None
    """Cut the two ends of a clip where its level (RMS over 10 ms) stays this far below that of its loudest part (dB),
    all but 50 ms; null cuts nothing. Nothing is ever cut out of the middle."""
    cache_dir: Path | None = None
    """Folder for the decoded corpora. Null: the environment's WAVENET_CACHE, or ~/.cache/lightning-wavenet."""

    def __post_init__(self) -> None:
        if self.sample_rate < 1:
            raise RequestError(f"audio.sample_rate is {self.sample_rate}, but must be a rate in Hz, such as 16000")
        if self.trim_silence_db is not None and self.trim_silence_db <= 0:
            raise RequestError(f"audio.trim_silence_db is {self.trim_silence_db}, but must be above 0 dB, or null")

    @property
    def cache_root(self) -> Path:
        """The folder for decoded corpora that is in force."""
        folder = self.cache_dir or os.environ.get("WAVENET_CACHE") or "~/.cache/lightning-wavenet"
        return Path(folder).expanduser()


@dataclass
class Clips:
    """The usable clips of a corpus, in its order: what is known of each, and its samples on demand.

    Pickles as the names of its files, so that a spawned worker gets no copy of the audio.
    """

    table: datasets.Dataset
    rows: NDArray[np.int64]
    """The table's row of each clip."""
    ids: list[str]
    splits: Sequence[SplitName | None]
    """Where each clip belongs; None where the corpus does not say, until it is divided."""
    speakers: list[str]
    texts: list[str]
    labels: list[str]
    tags: list[list[str]]
    phones: list[list[Phone]]
    """What is said when, in samples of the clip; empty where the corpus does not say."""
    split_keys: list[str]
    frames: NDArray[np.int64]
    """Length of each clip (samples)."""
    peaks: NDArray[np.float32]
    """Largest magnitude in each clip, of 1.0 at full scale."""
    rms: NDArray[np.float32]
    """Root mean square of each clip, of 1.0 at full scale."""
    _pcm: Any = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_pcm": None}

    def read(self, clip: int, start: int, stop: int) -> NDArray[np.int16]:
        """Samples `start` to `stop - 1` of a clip as PCM16, a read-only view of the file."""
        if self._pcm is None:
            self._pcm = self.table.data.column("pcm")
        buffer = self._pcm[int(self.rows[clip])].as_buffer()
        return np.frombuffer(buffer, np.int16)[start:stop]


def open_cache(name: str, listing: Listing, audio: Audio) -> tuple[Clips, list[Problem]]:
    """Open the cache of a corpus, after building it if its files or options are not those of an earlier build.

    Any number of processes may do so at once: one builds, the others wait for it. A build that was killed leaves
    nothing that passes for a whole one, and what it leaves is removed by the next.

    Args:
        name: Short name of the corpus, part of the names of files.
        listing: What there is to decode.
        audio: How to decode it.

    Returns:
        The clips, and the files that gave none.

    Raises:
        CorpusError: Not one file is usable.
        RequestError: The folder for the cache cannot be made.
    """
    folder = audio.cache_root / name
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
        table = datasets.Dataset.from_generator(
            _rows,
            features=_FEATURES,
            gen_kwargs={"records": listing.records, "audio": audio},
            cache_dir=str(folder),
            fingerprint=fingerprint(name, listing, audio),
            split=datasets.NamedSplit("clips"),
            writer_batch_size=_ROWS_A_WRITE,
        )
    return _clips(table, listing.root)


def fingerprint(name: str, listing: Listing, audio: Audio) -> str:
    """Name of a cache: corpus, rate (Hz), options, version, and a hash over the files and what is known of them."""
    digest = hashlib.sha256()
    for record in listing.records:
        known = (record.id, record.split, record.speaker, record.text, record.label, record.tags, record.split_key)
        file = (record.path.relative_to(listing.root).as_posix(), *_stamp(record.path))
        digest.update(repr((*file, *known, *record.phones)).encode())
    trim = "" if audio.trim_silence_db is None else f"-trim{audio.trim_silence_db:g}"
    return f"{name}-{audio.sample_rate}{trim}-v{CACHE_VERSION}-{digest.hexdigest()[:16]}"


def _stamp(path: Path) -> tuple[int, int]:
    """Size (bytes) and time of change (ns) of a file, or a mark for one that cannot be reached."""
    try:
        status = path.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _locked(folder: Path) -> AbstractContextManager[Any]:
    lock = FileLock(folder / ".lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        log.warning("waiting for another process that works on the cache %s", folder)
        return lock.acquire()


def _rows(records: tuple[Record, ...], audio: Audio) -> Iterator[dict[str, Any]]:
    """Decode in threads (soundfile and torch release the interpreter's lock), yield in order."""

    def row(record: Record) -> dict[str, Any]:
        known = {
            "id": record.id,
            "split": record.split,
            "speaker": record.speaker,
            "text": record.text,
            "label": record.label,
            "tags": list(record.tags),
            "split_key": record.split_key or record.id,
        }
        try:
            recording = decode(record.path, audio.sample_rate, audio.trim_silence_db)
        except DecodingError as error:
            nothing = {"phones": [], "frames": 0, "peak": 0.0, "rms": 0.0, "pcm": b""}
            return known | nothing | {"problem": str(error)}
        pcm, phones = recording.pcm, [phone._asdict() for phone in recording.place(record.phones)]
        wave = pcm.astype(np.float64) / FULL_SCALE
        levels = {"peak": np.abs(wave).max(), "rms": np.sqrt(np.mean(wave**2))}
        return known | levels | {"phones": phones, "frames": len(pcm), "problem": None, "pcm": pcm.tobytes()}

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for first in range(0, len(records), _ROWS_A_WRITE):
            yield from pool.map(row, records[first : first + _ROWS_A_WRITE])


def _clips(table: datasets.Dataset, root: Path) -> tuple[Clips, list[Problem]]:
    known = {name: table.data.column(name).to_pylist() for name in _FEATURES if name != "pcm"}
    problems = [Problem(id, why) for id, why in zip(known["id"], known["problem"], strict=True) if why is not None]
    rows = [row for row, why in enumerate(known["problem"]) if why is None]
    if not rows:
        reason, count = Counter(problem.reason for problem in problems).most_common(1)[0]
        raise CorpusError(f"no usable clip among {len(table):,} files in {root}; {count:,} of them: {reason}")
    of_clips = {name: [column[row] for row in rows] for name, column in known.items()}
    return Clips(
        table=table,
        rows=np.array(rows),
        ids=of_clips["id"],
        splits=of_clips["split"],
        speakers=of_clips["speaker"],
        texts=of_clips["text"],
        labels=of_clips["label"],
        tags=of_clips["tags"],
        phones=[[Phone(**phone) for phone in phones] for phones in of_clips["phones"]],
        split_keys=of_clips["split_key"],
        frames=np.array(of_clips["frames"]),
        peaks=np.array(of_clips["peak"], np.float32),
        rms=np.array(of_clips["rms"], np.float32),
    ), problems
