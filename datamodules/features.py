"""Features of clips: extracted once, kept in a table of their own, and cut into frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray

from datamodules.clips import Clips
from datamodules.in_order import in_order
from datamodules.records import Problem, SplitName
from datamodules.tables import digest, open_table, stamp
from lightning_wavenet.data import blueprint
from lightning_wavenet.features import Extractor, Kept, Unusable

_COLUMNS = datasets.Features(
    {
        "rows": datasets.Value("int64"),
        "steps": datasets.Value("int64"),
        "kept": datasets.Value("large_binary"),
        "problem": datasets.Value("string"),
        "place": datasets.Value("string"),
    }
)


@dataclass
class FeatureTable:
    """The features of every clip by one extractor. Pickles as the name of its file."""

    extractor: Extractor
    table: datasets.Dataset
    speakers: list[str]
    """Who speaks in each clip."""
    _columns: dict[str, Any] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_columns": {}}

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Of which clips there are frames."""
        usable: NDArray[np.bool_] = self.table.data.column("problem").is_null().to_numpy()
        return usable

    def problems(self, ids: Sequence[str]) -> list[Problem]:
        """Clips that there are no frames of."""
        rows = zip(ids, *(self.table.data.column(name).to_pylist() for name in ("problem", "place")), strict=True)
        name = self.extractor.name
        return [Problem(id, f"no {name} frames: {problem}", place or "") for id, problem, place in rows if problem]

    def fitted(self, splits: Sequence[SplitName | None]) -> FeatureTable:
        """The same by the extractor that is fitted to the corpus, after it was divided."""
        usable = np.flatnonzero(self.usable).tolist()
        clips = (Kept(self.kept(clip), self.speakers[clip], splits[clip] == "train") for clip in usable)
        return replace(self, extractor=self.extractor.fit(clips))

    def adopted(self, described: Mapping[str, Any]) -> FeatureTable:
        """The same by the extractor with what a model has fitted."""
        return replace(self, extractor=self.extractor.adopt(described["fitted"]))

    def kept(self, clip: int) -> NDArray[np.float32]:
        """What `extract` gave for a clip, `[K, M]`, a read-only view of the file."""
        if not self._columns:
            self._columns = {name: self.table.data.column(name) for name in _COLUMNS}
        values = np.frombuffer(self._columns["kept"][clip].as_buffer(), np.float32)
        return values.reshape([self._columns[name][clip].as_py() for name in ("rows", "steps")])

    def frames(self, clip: int, first: int, stop: int) -> NDArray[np.float32]:
        """Frames first to stop - 1 of a clip, `[F, stop - first]`; zero before it (negative ones) and after it."""
        frames = np.zeros((self.extractor.channels, stop - first), np.float32)
        if stop > 0:
            expanded = self.extractor.expand(self.kept(clip), max(first, 0), stop, self.speakers[clip])
            at = max(-first, 0)
            frames[:, at : at + expanded.shape[1]] = expanded
        return frames


def open_features(
    name: str, clips: Clips, extractor: Extractor, frames: Sequence[Path | None] | None = None
) -> FeatureTable:
    """The features of a corpus, after extracting them unless that was done with the same clips, options and version.

    Args:
        name: Short name of the corpus, part of the names of files.
        clips: What to extract from.
        extractor: How.
        frames: The file of frames of each clip, None where it has none, for an extractor that takes some; None: they
            are made of the audio.
    """
    depends: list[object] = [clips.audio_key, clips.label_key if extractor.reads else "", blueprint.describe(extractor)]
    if clips.lexicon is not None and "text" in extractor.reads:
        depends.append(clips.lexicon.read_bytes())
    frames = frames if extractor.takes_frames else None
    if frames is not None:
        depends.append([None if file is None else (file.name, *stamp(file)) for file in frames])
    key = f"{name}-{extractor.name}-v{extractor.version}-{digest(*depends)}"
    table = open_table(
        clips.folder,
        f"{extractor.name} frames",
        key,
        _COLUMNS,
        len(clips),
        lambda first: _extracted(clips, extractor, frames, first),
    )
    return FeatureTable(extractor, table, clips.values("speaker") if "speaker" in clips.fields else [""] * len(clips))


def _extracted(
    clips: Clips, extractor: Extractor, frames: Sequence[Path | None] | None, first: int
) -> Iterator[dict[str, Any]]:
    def row(clip: int) -> dict[str, Any]:
        try:
            utterance = clips.utterance(clip, extractor.reads)
            if frames is not None:
                utterance = utterance._replace(frames=frames[clip])
                if utterance.frames is None:
                    raise Unusable("data.frames has no file of the clip")
            kept = np.ascontiguousarray(extractor.extract(utterance), np.float32)
        except Unusable as error:
            return {"rows": 0, "steps": 0, "kept": b"", "problem": error.reason, "place": error.place}
        return {"rows": kept.shape[0], "steps": kept.shape[1], "kept": kept.tobytes(), "problem": None, "place": None}

    return in_order(row, range(first, len(clips)))
