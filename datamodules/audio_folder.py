"""Any folder of recordings, with speakers, labels and splits read out of the names of the files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datamodules.base import AudioDataModule
from datamodules.folders import Neighbors, files_below, other_audio
from datamodules.phone_times import read_phones
from datamodules.records import Listing, Problem, Record, SplitName
from datamodules.texts import read_words
from lightning_wavenet.errors import CorpusError, RequestError
from lightning_wavenet.files.audio import AUDIO_SUFFIXES

_GROUPS = ("speaker", "label", "split", "validation", "test")
_LABELS = {".txt": "text", ".phn": "phone times"}
_ELSEWHERE = (".textgrid", ".lab")
_SPLITS: dict[str, SplitName] = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


class AudioFolderDataModule(AudioDataModule):
    r"""All recordings (wav, flac, ogg, mp3, aiff, ...) in a folder and the folders in it; hidden ones are left out.

    Beside a recording may lie its text, NAME.txt, and the times of its phones, NAME.phn, in samples of the recording.
    Links to folders are followed.

    For the Free Spoken Digit Dataset, `{digit}_{speaker}_{index}.wav` with the indices 0 to 4 as its test split, the
    pattern is `(?P<label>\d)_(?P<speaker>[a-z]+)_(?:(?P<test>[0-4])|\d+)\.wav$`.

    Args:
        root: The folder.
        pattern: Regular expression that is searched in the path of each file, relative to the root and with forward
            slashes; files in which it is not found are skipped. What its named groups match is the clip's speaker, its
            label, or its split (train, validation or val, test). Groups named validation and test put the file
            there if they take part in the match at all. Null takes every file and knows none of this.
        options: As `AudioDataModule`.
    """

    name = "folder"

    def __init__(self, root: Path, pattern: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.root = Path(root).expanduser()
        self.pattern = pattern
        try:
            self._pattern = re.compile(pattern or "")
        except re.error as error:
            raise RequestError(f"pattern {pattern!r} is not a regular expression: {error}") from error
        if unknown := sorted(self._pattern.groupindex.keys() - set(_GROUPS)):
            raise RequestError(f"pattern has a group {unknown[0]!r}, but groups can only be: {', '.join(_GROUPS)}")

    def listing(self) -> Listing:
        """All audio files below `root`, sorted by path.

        Raises:
            CorpusError: There is no such folder, no audio in it, or nothing that the pattern is found in.
        """
        if not self.root.is_dir():
            raise CorpusError(f"{self.root} is not a folder; set root to the folder with the recordings")
        paths, problems = files_below(self.root)
        audio = [name for name in paths if name.lower().endswith(AUDIO_SUFFIXES)]
        others = list(self._others(paths, audio))
        if not audio:
            raise CorpusError(
                f"no audio in {self.root}: looked for {', '.join(AUDIO_SUFFIXES)} in it and its folders"
                + (f"; {others[0].id}: {others[0].reason}" if others else "")
            )
        neighbors = Neighbors()
        entries = [self._entry(name, paths[name], neighbors) for name in audio]
        records = tuple(entry for entry in entries if isinstance(entry, Record))
        unused = tuple(entry for entry in entries if isinstance(entry, Problem))
        if not records:
            raise CorpusError(
                f"none of {len(audio):,} files in {self.root} is usable: {unused[0].id}: {unused[0].reason}"
            )
        return Listing(self.root, records, (*unused, *others, *problems))

    def _others(self, paths: Mapping[str, Path], audio: Sequence[str]) -> Iterator[Problem]:
        """Files that have audio or labels in them, and are no part of a clip."""
        recorded = {name.rpartition(".")[0] for name in audio}
        # Other texts, such as a README, are no labels.
        folders, stems = ({one.rpartition("/")[part] for one in recorded} for part in (0, 2))
        named = set[tuple[str, str]]()
        # Backwards, because small letters sort behind capitals and are what is taken.
        for name in sorted(paths, reverse=True):
            stem, dot, suffix = name.rpartition(".")
            kind = (dot + suffix).lower()
            if reason := other_audio(paths[name]):
                yield Problem(name, reason)
            elif kind in _LABELS and stem not in recorded:
                folder, _, last = stem.rpartition("/")
                if kind == ".txt" and folder not in folders and last not in stems:
                    continue
                yield Problem(name, f"{_LABELS[kind]} without a recording of its name")
            elif kind in _LABELS and (stem, kind) in named:
                yield Problem(name, f"another file has its name with {kind} in small letters, and is taken")
            elif kind in _ELSEWHERE and stem in recorded and self.alignments is None:
                yield Problem(name, "alignment that is not read from here; set data.alignments to a folder of them")
            named.add((stem, kind))

    def _entry(self, name: str, path: Path, neighbors: Neighbors) -> Record | Problem:
        match = self._pattern.search(name)
        if match is None:
            return Problem(name, "the pattern is not found in its path")
        groups = match.groupdict()
        if groups.get("speaker", "?") in (None, ""):
            return Problem(name, "the pattern finds no speaker in its path")
        split: SplitName | None = None
        if groups.get("split") is not None:
            if groups["split"] not in _SPLITS:
                return Problem(name, f"the pattern finds {groups['split']!r} for a split, not {', '.join(_SPLITS)}")
            split = _SPLITS[groups["split"]]
        elif groups.get("test") is not None:
            split = "test"
        elif groups.get("validation") is not None:
            split = "validation"
        text, times = (neighbors.find(path.with_suffix(""), suffix) for suffix in _LABELS)
        try:
            phones = read_phones(times) if times is not None else ()
        except ValueError as error:
            return Problem(name, f"phones cannot be read: {error}")
        try:
            said = read_words(text) if text is not None else ""
        except ValueError as error:
            return Problem(name, f"text cannot be read: {error}")
        return Record(
            name,
            path,
            split,
            speaker=groups.get("speaker") or "",
            text=said,
            label=groups.get("label") or "",
            phones=phones,
        )
