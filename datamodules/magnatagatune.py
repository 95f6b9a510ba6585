"""MagnaTagATune: 25,863 excerpts of music of 29 seconds, each with those of 188 tags that listeners agreed on."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from datamodules.base import AudioDataModule
from datamodules.folders import other_audio
from datamodules.music_tags import merged
from datamodules.records import Listing, Problem, Record, SplitName
from lightning_wavenet.errors import CorpusError, RequestError
from lightning_wavenet.files.audio import AUDIO_SUFFIXES

_ANNOTATIONS, _CLIPS = "annotations_final.csv", "clip_info_final.csv"
_FOLDERS: dict[SplitName, str] = {"train": "0123456789ab", "validation": "c", "test": "def"}
"""As published figures have them since Dieleman and Schrauwen (2014)."""
_SPLIT_OF = {folder: split for split, folders in _FOLDERS.items() for folder in folders}
_EMPTY = {
    "6/norine_braun-now_and_zen-08-gently-117-146",
    "8/jacob_heringman-josquin_des_prez_lute_settings-19-gintzler__pater_noster-204-233",
    "9/american_baroque-dances_and_suites_of_rameau_and_couperin-25-le_petit_rien_xiveme_ordre_couperin-88-117",
}
"""Clips that are published as files of no bytes."""


class Annotation(NamedTuple):
    """A line of annotations_final.csv."""

    line: int
    """Of the file, from 1."""
    clip: str
    """clip_id."""
    path: str
    """mp3_path."""
    tags: tuple[str, ...]


class MagnaTagATuneDataModule(AudioDataModule):
    """MagnaTagATune, 200 hours at 16 kHz; an artist is the speaker of a clip.

    Clips may have been converted to other kinds of files. A clip without a tag stays: nothing is said of it.

    Args:
        root: The corpus folder, the one with annotations_final.csv in it, or its parent. The folders 0 to 9 and a to f
            lie in it or in one folder more, such as mp3.
        merge_tags: Whether tags that say the same become one, such as "guitar" and "guitars" (188 become 134).
        min_clips: Leave out tags of fewer clips of the training split, or where artists are divided, of all; the paper
            leaves out those of "too few" and does not say how many that is.
        split_by: "folder" is the division that published figures are of: 0 to b train, c validates, d to f test; some
            artists are on both sides of it. "artist" divides artists as data.split says.
        options: As `AudioDataModule`.
    """

    name = "magnatagatune"

    def __init__(
        self,
        root: Path,
        merge_tags: bool = True,
        min_clips: int = 50,
        split_by: Literal["folder", "artist"] = "folder",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if min_clips < 0:
            raise RequestError(f"data.min_clips is {min_clips}, but must not be negative")
        self.root = Path(root).expanduser()
        self.merge_tags = merge_tags
        self.min_clips = min_clips
        self.split_by = split_by

    def listing(self) -> Listing:
        """All clips that have a line in annotations_final.csv and a recording.

        Raises:
            CorpusError: There is no MagnaTagATune at `root`, or a list of it cannot be read.
        """
        folder, audio = _find(self.root)
        problems: list[Problem] = []
        recordings = _recordings(audio, problems)
        artists = _artists(folder / _CLIPS)
        records: dict[str, Record] = {}
        for annotation in _annotations(folder / _ANNOTATIONS, problems):
            where, _, name = annotation.path.partition("/")
            if where not in _SPLIT_OF or not name or "/" in name:
                reason = f"line of {_ANNOTATIONS} whose mp3_path is not FOLDER/NAME.mp3, FOLDER one of 0 to 9, a to f"
                problems.append(Problem(f"line {annotation.line}", reason))
                continue
            id = annotation.path.rpartition(".")[0] or annotation.path
            path = recordings.pop(id, None)
            if id in records:
                problems.append(Problem(id, f"listed twice in {_ANNOTATIONS}"))
            elif id in _EMPTY and (path is None or not path.stat().st_size):
                problems.append(Problem(id, "published as an empty file, as three clips are"))
            elif path is None:
                problems.append(Problem(id, "tags without a recording"))
            else:
                artist = artists.get(annotation.clip) or name.partition("-")[0]
                split = _SPLIT_OF[where] if self.split_by == "folder" else None
                tags = merged(annotation.tags) if self.merge_tags else annotation.tags
                records[id] = Record(id, path, split, speaker=artist, tags=tags, split_key=artist)
        problems += [Problem(id, "recording without tags") for id in recordings]
        if not records:
            raise CorpusError(f"{audio} has no recording of the clips that {folder / _ANNOTATIONS} lists")
        if both := _on_both_sides(records.values()):
            reason = "artists have clips to train on and others to validate or test on; data.split_by artist parts them"
            problems.append(Problem(_CLIPS, f"{len(both):,} {reason}"))
        trained = (record for record in records.values() if record.split in (None, "train"))
        counts = Counter(tag for record in trained for tag in record.tags)
        rare = {tag for record in records.values() for tag in record.tags if counts[tag] < self.min_clips}
        if rare:
            some = ", ".join(sorted(rare)[:10]) + (", ..." if len(rare) > 10 else "")
            reason = f"tags of fewer than {self.min_clips} clips to train on are left out (data.min_clips): {some}"
            problems.append(Problem(_ANNOTATIONS, f"{len(rare):,} {reason}"))
        cleaned = (replace(one, tags=tuple(tag for tag in one.tags if tag not in rare)) for one in records.values())
        return Listing(folder, tuple(cleaned), tuple(problems))


def _find(root: Path) -> tuple[Path, Path]:
    """The folder of the lists, and that of the sixteen folders of recordings."""
    for folder in (root, *_folders_in(root)):
        if (folder / _ANNOTATIONS).is_file():
            for audio in (folder, *_folders_in(folder)):
                if any((audio / name).is_dir() for name in _SPLIT_OF):
                    return folder, audio
            raise CorpusError(f"{folder} has {_ANNOTATIONS}, and no folders 0 to 9 and a to f with recordings")
    raise CorpusError(f"no MagnaTagATune: neither {root} nor a folder in it has {_ANNOTATIONS} in it")


def _folders_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("[!.]*") if path.is_dir())


def _recordings(audio: Path, problems: list[Problem]) -> dict[str, Path]:
    """The recordings by FOLDER/NAME without a suffix; files that cannot be used are added to the problems."""
    recordings: dict[str, Path] = {}
    for folder in _SPLIT_OF:
        for path in sorted((audio / folder).glob("[!.]*")):
            id = f"{folder}/{path.stem}"
            if reason := other_audio(path):
                problems.append(Problem(f"{folder}/{path.name}", reason))
            elif path.suffix.lower() not in AUDIO_SUFFIXES:
                continue
            elif id in recordings:
                problems.append(Problem(f"{folder}/{path.name}", "another recording has the same name"))
            else:
                recordings[id] = path
    return recordings


def _annotations(path: Path, problems: list[Problem]) -> Iterator[Annotation]:
    """The lines of annotations_final.csv; those that are not whole are added to the problems."""
    lines = _lines(path)
    names = next(lines, [])
    if lacking := [name for name in ("clip_id", "mp3_path") if name not in names]:
        raise CorpusError(f"{path} has no column {lacking[0]}: it has a tab between columns, and their names on top")
    clip, mp3 = names.index("clip_id"), names.index("mp3_path")
    for number, line in enumerate(lines, 2):
        if len(line) != len(names):
            reason = f"line of {_ANNOTATIONS} that has not as many columns as its first"
            problems.append(Problem(f"line {number}", reason))
            continue
        tags = tuple(name for at, name in enumerate(names) if line[at] == "1" and at not in (clip, mp3))
        yield Annotation(number, line[clip], line[mp3], tags)


def _artists(path: Path) -> dict[str, str]:
    """Artists by clip_id; none where there is no such list, or no such columns in it."""
    if not path.is_file():
        return {}
    lines = _lines(path)
    names = next(lines, [])
    if "clip_id" not in names or "artist" not in names:
        return {}
    clip, artist = names.index("clip_id"), names.index("artist")
    return {line[clip]: line[artist] for line in lines if len(line) == len(names)}


def _lines(path: Path) -> Iterator[list[str]]:
    """The lines of a list, in columns. Letters that are not UTF-8 are in titles only, which nothing depends on."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            yield from csv.reader(file, delimiter="\t")
    except (OSError, csv.Error) as error:
        raise CorpusError(f"{path} cannot be read: {error}") from error


def _on_both_sides(records: Iterable[Record]) -> list[str]:
    """Artists who have clips to train on and others to validate or test on."""
    splits: dict[str, set[SplitName | None]] = defaultdict(set)
    for record in records:
        splits[record.speaker].add(record.split)
    return [artist for artist, found in splits.items() if "train" in found and len(found) > 1]
