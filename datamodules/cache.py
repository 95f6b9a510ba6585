"""The cache: every clip of a corpus as PCM16 mono at the model's rate, and what is known of it, in tables on disk.

Audio depends on the files and on how they are decoded; labels (text, phones, tags, ...) on what the corpus says, so
that other labels do not decode the audio again.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from datamodules.clips import Clips
from datamodules.decoding import decode, stretched
from datamodules.fields import Field
from datamodules.in_order import in_order
from datamodules.records import Listing, Problem, Record
from datamodules.tables import digest, open_table, stamp
from lightning_wavenet.errors import CorpusError, RequestError
from lightning_wavenet.files.reading import FULL_SCALE, DecodingError

AUDIO_VERSION = 4
"""To be raised whenever what `decode` gives for a file, or the columns of the table, change."""
LABELS_VERSION = 2
"""To be raised whenever the columns of a field change."""

_AUDIO = datasets.Features(
    {
        "rate": datasets.Value("int32"),
        "first": datasets.Value("int64"),
        "samples": datasets.Value("int64"),
        "peak": datasets.Value("float32"),
        "rms": datasets.Value("float32"),
        "problem": datasets.Value("string"),
        "pcm": datasets.Value("large_binary"),
    }
)


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
    stretch: bool = False
    """Scale and shift every clip so that its lowest sample is -1 and its highest 1, as SampleRNN and SaShiMi do."""

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


def open_cache(name: str, listing: Listing, audio: Audio, fields: Sequence[Field]) -> tuple[Clips, list[Problem]]:
    """The clips of a corpus, after decoding it if its files or options are not those of an earlier build.

    Args:
        name: Short name of the corpus, part of the names of files.
        listing: What there is to decode, and what is known of it.
        audio: How to decode it.
        fields: What is kept of what is known.

    Returns:
        The clips, not yet divided, and the files that gave none.

    Raises:
        CorpusError: Not one file is usable.
        RequestError: The folder for the cache cannot be made.
    """
    folder, records = audio.cache_root / name, listing.records
    audio_key = fingerprint(name, listing, audio)
    total = len(records)
    decoded = open_table(folder, "audio", audio_key, _AUDIO, total, lambda first: _decoded(records[first:], audio))
    columns = {column: kind for field in fields for column, kind in field.columns().items()}
    depends = [(record.id, *(field.depends(record) for field in fields)) for record in records]
    label_key = f"{name}-labels-v{LABELS_VERSION}-{digest(sorted(columns.items()), depends)}"
    kinds = datasets.Features(columns)
    labels = open_table(folder, "labels", label_key, kinds, total, lambda first: _labels(records[first:], fields))
    problems = decoded.data.column("problem").to_pylist()
    rows = [row for row, problem in enumerate(problems) if problem is None]
    if not rows:
        reason, count = Counter(problems).most_common(1)[0]
        raise CorpusError(f"no usable clip among {len(records):,} files in {listing.root}; {count:,} of them: {reason}")
    clips = Clips(
        folder,
        audio.sample_rate,
        audio_key,
        label_key,
        decoded,
        labels,
        {field.name: field for field in fields},
        np.array(rows),
        ids=[records[row].id for row in rows],
        splits=[records[row].split for row in rows],
        split_keys=[records[row].split_key or records[row].id for row in rows],
        whole=audio.trim_silence_db is None,
    )
    skipped = [Problem(record.id, why) for record, why in zip(records, problems, strict=True) if why is not None]
    return clips, [*skipped, *(problem for field in fields for problem in field.problems(clips))]


def fingerprint(name: str, listing: Listing, audio: Audio) -> str:
    """Name of the decoded audio of a corpus: rate (Hz), options, version, and a hash over the files."""
    files = [(record.path.relative_to(listing.root).as_posix(), *stamp(record.path)) for record in listing.records]
    trim = "" if audio.trim_silence_db is None else f"-trim{audio.trim_silence_db:g}"
    stretch = "-stretched" if audio.stretch else ""
    return f"{name}-{audio.sample_rate}{trim}{stretch}-v{AUDIO_VERSION}-{digest(files)}"


def _labels(records: Sequence[Record], fields: Sequence[Field]) -> Iterator[dict[str, Any]]:
    for record in records:
        yield {column: value for field in fields for column, value in field.stored(record).items()}


def _decoded(records: Sequence[Record], audio: Audio) -> Iterator[dict[str, Any]]:
    nothing = {"rate": 0, "first": 0, "samples": 0, "peak": 0.0, "rms": 0.0, "pcm": b""}

    def row(record: Record) -> dict[str, Any]:
        try:
            recording = decode(record.path, audio.sample_rate, audio.trim_silence_db)
        except DecodingError as error:
            return nothing | {"problem": str(error)}
        except (MemoryError, RuntimeError, ValueError) as error:
            # Such as too little memory to resample it, which must not end the work on all the others.
            return nothing | {"problem": f"cannot be decoded: {type(error).__name__}: {' '.join(str(error).split())}"}
        pcm = stretched(recording.pcm) if audio.stretch else recording.pcm
        wave = pcm.astype(np.float64) / FULL_SCALE
        return {
            "rate": recording.rate,
            "first": recording.first,
            "samples": len(pcm),
            "peak": np.abs(wave).max(),
            "rms": np.sqrt(np.mean(wave**2)),
            "problem": None,
            "pcm": pcm.tobytes(),
        }

    return in_order(row, records)
