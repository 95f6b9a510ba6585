"""The usable clips of a corpus: their samples and what is known of them, read from disk where it is asked for."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
from numpy.typing import NDArray

from datamodules.records import SplitName
from lightning_wavenet.features import Utterance
from lightning_wavenet.files.reading import FULL_SCALE

if TYPE_CHECKING:
    from datamodules.features import FeatureTable
    from datamodules.fields import Field


@dataclass
class Clips:
    """The usable clips of a corpus, in its order.

    Pickles as the names of its files, so that a spawned worker gets no copy of audio and labels.
    """

    folder: Path
    """Where the tables of the corpus lie."""
    sample_rate: int
    """In Hz."""
    audio_key: str
    """Name of the decoded audio."""
    label_key: str
    """Name of what is known of the clips."""
    audio: datasets.Dataset
    labels: datasets.Dataset
    fields: Mapping[str, Field]
    rows: NDArray[np.int64]
    """The tables' row of each clip."""
    ids: list[str]
    splits: Sequence[SplitName | None]
    """Where each clip belongs; None where the corpus does not say, until it is divided."""
    split_keys: list[str]
    whole: bool = True
    """Whether they are whole recordings, with nothing cut off."""
    features: tuple[FeatureTable, ...] = ()
    """What `Batch.frames` consists of."""
    lexicon: Path | None = None
    """A user's file of pronunciations for the texts."""
    _columns: dict[str, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_columns": {}}

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each clip (samples)."""
        return self._numbers("samples")

    @property
    def peaks(self) -> NDArray[np.float32]:
        """Largest magnitude in each clip, of 1.0 at full scale."""
        return self._numbers("peak")

    @property
    def rms(self) -> NDArray[np.float32]:
        """Root mean square of each clip, of 1.0 at full scale."""
        return self._numbers("rms")

    def pcm(self, clip: int, start: int, stop: int) -> NDArray[np.int16]:
        """Samples `start` to `stop - 1` of a clip as PCM16, a read-only view of the file."""
        if "pcm" not in self._columns:
            self._columns["pcm"] = self.audio.data.column("pcm")
        buffer = self._columns["pcm"][int(self.rows[clip])].as_buffer()
        return np.frombuffer(buffer, np.int16)[start:stop]

    def waveform(self, clip: int, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """The same in [-1, 1]; by default the whole clip."""
        stop = int(self.lengths[clip]) if stop is None else stop
        wave: NDArray[np.float32] = self.pcm(clip, start, stop).astype(np.float32) / np.float32(FULL_SCALE)
        return wave

    @property
    def file_rates(self) -> NDArray[np.int32]:
        """Rate of each clip's file (Hz)."""
        return self._numbers("rate")

    def file_rate(self, clip: int) -> int:
        """Rate of the file of a clip (Hz)."""
        return int(self.file_rates[clip])

    def value(self, name: str, clip: int) -> Any:
        """What is known of a clip: the value of a field."""
        found = self.fields[name]
        row = int(self.rows[clip])
        stored = {column: self.labels.data.column(column)[row].as_py() for column in found.columns()}
        return found.value(stored, self, clip)

    def values(self, name: str) -> list[Any]:
        """The value of a field of every clip."""
        key = f"values of {name}"
        if key not in self._columns:
            self._columns[key] = [self.value(name, clip) for clip in range(len(self))]
        found: list[Any] = self._columns[key]
        return found

    def names(self, name: str) -> tuple[str, ...]:
        """The names of a field."""
        key = f"names of {name}"
        if key not in self._columns:
            self._columns[key] = self.fields[name].names(self)
        found: tuple[str, ...] = self._columns[key]
        return found

    def utterance(self, clip: int, reads: Container[str] = ()) -> Utterance:
        """A whole clip, as extractors of features see it that read some labels of it."""
        phones = self.value("phones", clip) if "phones" in reads else ()
        text = self.value("text", clip) if "text" in reads else ""
        labels = self.value("phone_labels", clip) if "labels" in reads and "phone_labels" in self.fields else ()
        return Utterance(self.waveform(clip), self.sample_rate, phones, text, labels, self.lexicon)

    def place(self, clip: int, at: int, rate: int | None) -> int:
        """Where a time of the file is in the clip (samples of the clip, within it).

        Args:
            clip: Which.
            at: A time, in samples of the file or in other parts of a second.
            rate: How many of them a second; None: as many as the file has samples.
        """
        scale = self.sample_rate / (rate or self.file_rate(clip))
        first = int(self._numbers("first")[clip])
        return min(max(round(at * scale) - first, 0), int(self.lengths[clip]))

    def _numbers(self, column: str) -> NDArray[Any]:
        if column not in self._columns:
            self._columns[column] = self.audio.data.column(column).to_numpy()[self.rows]
        numbers: NDArray[Any] = self._columns[column]
        return numbers
