"""Any folder of recordings, with speakers, labels and splits read out of the names of the files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from datamodules.base import AudioDataModule
from datamodules.phone_times import read_phones
from datamodules.records import Listing, Problem, Record, SplitName
from lightning_wavenet.errors import CorpusError, RequestError
from lightning_wavenet.files.audio import AUDIO_SUFFIXES

_GROUPS = ("speaker", "label", "split", "validation", "test")
_SPLITS: dict[str, SplitName] = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


class AudioFolderDataModule(AudioDataModule):
    r"""All recordings (wav, flac, ogg, mp3) in a folder and the folders in it; hidden ones are left out.

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
        paths = {path.relative_to(self.root).as_posix(): path for path in self.root.rglob("*")}
        audio = sorted(name for name in paths if name.lower().endswith(AUDIO_SUFFIXES) and not _is_hidden(name))
        if not audio:
            raise CorpusError(f"no audio in {self.root}: looked for {', '.join(AUDIO_SUFFIXES)} in it and its folders")
        entries = [self._entry(name, paths[name]) for name in audio if paths[name].is_file()]
        records = tuple(entry for entry in entries if isinstance(entry, Record))
        problems = tuple(entry for entry in entries if isinstance(entry, Problem))
        if not records:
            raise CorpusError(
                f"none of {len(audio):,} files in {self.root} is usable: {problems[0].id}: {problems[0].reason}"
            )
        return Listing(self.root, records, problems)

    def _entry(self, name: str, path: Path) -> Record | Problem:
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
        text, times = path.with_suffix(".txt"), path.with_suffix(".phn")
        try:
            phones = read_phones(times) if times.is_file() else ()
        except ValueError as error:
            return Problem(name, f"phones cannot be read: {error}")
        return Record(
            name,
            path,
            split,
            speaker=groups.get("speaker") or "",
            text=" ".join(text.read_text("utf-8", "replace").split()) if text.is_file() else "",
            label=groups.get("label") or "",
            phones=phones,
        )


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
