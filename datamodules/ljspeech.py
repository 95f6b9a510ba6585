"""LJSpeech: 13,100 English sentences and parts of sentences, read by one woman (release 1.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datamodules.base import AudioDataModule
from datamodules.folders import other_audio
from datamodules.records import Listing, Problem, Record, SplitName
from datamodules.texts import read_lines
from lightning_wavenet.errors import CorpusError
from lightning_wavenet.files.audio import AUDIO_SUFFIXES, clip_stem

_CLIPS = 13_100
_HELD_OUT = 100
"""For validation, and as many for the test."""
_THRESHOLD = 1_000
"""A copy with fewer clips is too small to hold so many out."""


class LJSpeechDataModule(AudioDataModule):
    """LJSpeech 1.1, 24 hours, with the texts as they are read (numbers and abbreviations in words).

    100 clips validate and 100 others test: those whose ids have the lowest hashes, so the same on every machine. A copy
    of fewer than 1,000 clips is divided by `split`.

    Args:
        root: The corpus folder, the one with metadata.csv in it, or its parent.
        options: As `AudioDataModule`.
    """

    name = "ljspeech"

    def __init__(self, root: Path, **options: Any) -> None:
        super().__init__(**options)
        self.root = Path(root).expanduser()

    def listing(self) -> Listing:
        """All clips that have a text and a recording.

        Raises:
            CorpusError: There is no LJSpeech at `root`, or its metadata.csv is not UTF-8.
        """
        folder = _find(self.root)
        problems: list[Problem] = []
        recordings = _recordings(folder / "wavs", problems)
        texts: dict[str, str] = {}
        try:
            lines = read_lines(folder / "metadata.csv")
        except ValueError as error:
            raise CorpusError(f"{folder / 'metadata.csv'} cannot be read: {error}") from error
        # Quotes in it are those of the text, so it is not what a reader of CSV takes it for.
        for number, line in enumerate(lines, 1):
            id, *fields = line.split("|")
            text = " ".join(next((field for field in reversed(fields) if field.strip()), "").split())
            id = _named(id.strip(), recordings)
            if not line.strip():
                continue
            if not text or not id:
                problems.append(Problem(f"line {number}", "line of metadata.csv that is not 'ID|TEXT|TEXT IN WORDS'"))
            elif id in texts:
                problems.append(Problem(id, "listed twice in metadata.csv"))
            else:
                texts[id] = text
        problems += [Problem(id, "text without a recording") for id in texts if id not in recordings]
        problems += [Problem(id, "recording without a text") for id in recordings if id not in texts]
        ids = [id for id in texts if id in recordings]
        if not ids:
            raise CorpusError(f"{folder} has a metadata.csv, but none of its {len(texts):,} texts has a recording")
        if _THRESHOLD <= len(ids) < _CLIPS:
            reason = f"recordings of {_CLIPS:,} sentences belong to release 1.1, and this copy has {len(ids):,}"
            problems.append(Problem("metadata.csv", reason))
        splits = _held_out(ids) if len(ids) >= _THRESHOLD else {}
        records = [Record(id, recordings[id], splits.get(id), text=texts[id]) for id in ids]
        return Listing(folder, tuple(records), tuple(problems))


def _find(root: Path) -> Path:
    for folder in (root, *sorted(path for path in root.glob("*") if path.is_dir())):
        if (folder / "metadata.csv").is_file() and (folder / "wavs").is_dir():
            return folder
    raise CorpusError(f"no LJSpeech: neither {root} nor a folder in it has metadata.csv and wavs in it")


def _named(id: str, recordings: Mapping[str, Path]) -> str:
    """The id of what some lists name by its file, with its suffix or its folder."""
    names = (id, str(clip_stem(id)), clip_stem(id.removeprefix("wavs/")).name)
    return next((name for name in names if name in recordings), id)


def _recordings(folder: Path, problems: list[Problem]) -> dict[str, Path]:
    """The recordings by their ids; files that cannot be used are added to the problems."""
    recordings: dict[str, Path] = {}
    for path in sorted(folder.glob("[!.]*")):
        if reason := other_audio(path):
            problems.append(Problem(f"wavs/{path.name}", reason))
        elif path.suffix.lower() not in AUDIO_SUFFIXES:
            continue
        elif path.stem in recordings:
            problems.append(Problem(f"wavs/{path.name}", "another recording has the same id"))
        else:
            recordings[path.stem] = path
    return recordings


def _held_out(ids: list[str]) -> dict[str, SplitName]:
    """Where every clip of the whole corpus belongs."""
    ranked = sorted(ids, key=lambda id: hashlib.sha256(id.encode()).digest())
    placed: dict[str, SplitName] = dict.fromkeys(ids, "train")
    placed |= dict.fromkeys(ranked[:_HELD_OUT], "validation")
    placed |= dict.fromkeys(ranked[_HELD_OUT : 2 * _HELD_OUT], "test")
    return placed
