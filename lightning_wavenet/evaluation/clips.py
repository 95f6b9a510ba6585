"""Which clips are evaluated, and the recording and the text of each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from datamodules.folders import files_below
from datamodules.texts import read_lines
from lightning_wavenet.errors import RequestError
from lightning_wavenet.files.audio import AUDIO_SUFFIXES, clip_stem

Known = TypeVar("Known")


@dataclass(frozen=True)
class GivenClip:
    """A clip on disk, and what is known of it.

    Attributes:
        name: Its path below the folder.
        path: The audio.
        recording: Of the same sentence; None where there is none.
        text: What it is to say; None where that is not known.
        rtf: Seconds of compute a second of audio; None likewise.
    """

    name: str
    path: Path
    recording: Path | None = None
    text: str | None = None
    rtf: float | None = None


def find_clips(folder: Path, recordings: Path | None = None, texts: Path | None = None) -> list[GivenClip]:
    """The clips of a folder by name: those that were generated, or any audio without a description.

    A clip is known by the recording that its frames were made of, its id and its file, in this order: the first of
    these names that a recording or a text has, or that begins with such a name and "_".

    Args:
        folder: Of the clips; a description is the JSON beside one.
        recordings: Folder of recordings; None: clips have none.
        texts: Lines "ID|TEXT", for clips whose descriptions have no text.

    Raises:
        RequestError: There are no clips, or no recording of any; or a file is not what it should be.
    """
    if absent := [given for given in (folder, recordings) if given is not None and not given.is_dir()]:
        raise RequestError(f"there is no folder {absent[0]}")
    known = {} if recordings is None else find_recordings(recordings)
    told = {} if texts is None else read_texts(texts)
    clips = []
    for name, path in find_audio(folder):
        about = read_description(path)
        if about.get("recorded"):  # Recordings lie beside the samples of a run.
            continue
        names = list(clip_names(about, path))
        found = find_by_name(names, known) or []
        if len(found) > 1:
            raise RequestError(f"{found[0]} and {found[1]} may both be the recording of {name}: rename one of them")
        text = about.get("text") or find_by_name(names, told)
        clips.append(GivenClip(name, path, found[0] if found else None, text, about.get("rtf")))
    if not clips:
        raise RequestError(f"there are no clips in {folder}: give a folder that wavenet generate wrote, or one of wavs")
    if recordings is not None and all(clip.recording is None for clip in clips):
        raise RequestError(
            f"{recordings} has no recording of any clip, such as {Path(clips[0].name).stem}: their names must agree"
        )
    return clips


def next_sentence(clips: Sequence[GivenClip], place: int) -> tuple[Path | None, str | None]:
    """The recording and the text of the next clip that says something else, after the last one the first.

    Args:
        clips: All.
        place: Of a clip among them.

    Returns:
        Each None where there is none.
    """
    own = clips[place]
    following = [*clips[place + 1 :], *clips[:place]]
    others = [one for one in following if one.text is None or one.text != own.text]
    recording = next((one.recording for one in others if one.recording not in (None, own.recording)), None)
    return recording, next((one.text for one in others if one.text is not None), None)


def find_audio(folder: Path) -> list[tuple[str, Path]]:
    """All audio below a folder, with its path in it."""
    return [(name, path) for name, path in files_below(folder)[0].items() if path.suffix.lower() in AUDIO_SUFFIXES]


def find_recordings(folder: Path) -> dict[str, list[Path]]:
    """The recordings below a folder by their names without suffix."""
    found: dict[str, list[Path]] = {}
    for _, path in find_audio(folder):
        found.setdefault(clip_stem(path.name).name, []).append(path)
    return found


def read_texts(path: Path) -> dict[str, str]:
    """The texts of a file by id; of several fields the last that is not empty counts, as in LJSpeech's metadata.csv."""
    try:
        lines = read_lines(path)
    except ValueError as error:
        raise RequestError(f"{path} cannot be read: {error}") from error
    texts = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        id, *fields = line.split("|")
        if not (told := [field.strip() for field in fields if field.strip()]):
            raise RequestError(f"line {number} of {path} is not ID|TEXT")
        texts[clip_stem(id.strip()).name] = told[-1]
    return texts


def read_description(path: Path) -> Mapping[str, Any]:
    """What stands beside a clip, as `ClipDescription` writes it; empty where nothing does."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return {}
    try:
        about = json.loads(beside.read_text("utf-8"))
    except ValueError as error:
        raise RequestError(f"{beside} is not JSON ({error}): mend it, or move it away") from error
    if not isinstance(about, dict) or not isinstance(about.get("conditions", {}), dict):
        raise RequestError(f"{beside} does not describe a clip, and has the name of one: move it away")
    return about


def clip_names(about: Mapping[str, Any], path: Path) -> Iterator[str]:
    """What a clip is known by: the recording that its frames were made of, its id, its file."""
    for name in (about.get("conditions", {}).get("frames_from"), about.get("id"), path.name):
        if name:
            yield clip_stem(str(name)).name


def find_by_name(names: Sequence[str], known: Mapping[str, Known]) -> Known | None:
    """What is known under the first of the names that it can be, or that continues one of its names after "_"."""
    for name in names:
        # LJ001-0001_anna_003 may be LJ001-0001_anna before it is LJ001-0001.
        parts = name.split("_")
        for count in range(len(parts), 0, -1):
            if (stem := "_".join(parts[:count])) in known:
                return known[stem]
    return None
