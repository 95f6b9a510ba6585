"""VCTK: English sentences from 109 or 110 speakers, in the layouts of its releases 0.80 and 0.92."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from datamodules.base import AudioDataModule
from datamodules.folders import other_audio
from datamodules.records import Listing, Problem, Record
from datamodules.texts import read_words
from lightning_wavenet.errors import CorpusError, RequestError
from lightning_wavenet.files.audio import AUDIO_SUFFIXES

_SHARED_PROMPTS = range(1, 25)
"""Numbers of the sentences that every speaker reads: the elicitation paragraph and the rainbow passage."""


_FOLDERS = ("wav48_silence_trimmed", "wav48")
"""Of the recordings, in the releases 0.92 and 0.80; the first that has some is read."""

_NAME = re.compile(r"(?P<stem>.+?)(?:_(?P<mic>mic[12]))?", re.IGNORECASE)
"""Of a recording without its suffix."""

_Takes = dict[str, dict[str, Path]]
"""Recordings by utterance, and then by microphone."""


class VCTKDataModule(AudioDataModule):
    """The CSTR VCTK corpus, 44 hours of read English, as published or converted to other kinds of files.

    A sentence that several speakers read is in one split only.

    Args:
        root: The corpus folder, the one with txt and wav48 or wav48_silence_trimmed in it, or its parent.
        mic: Which of the two recordings of release 0.92 to take. p280 and p315 have no mic2.
        speakers: Take these speakers only, such as [p225, p226]; null takes all.
        options: As `AudioDataModule`.
    """

    name = "vctk"

    def __init__(
        self,
        root: Path,
        mic: Literal["mic1", "mic2"] = "mic1",
        speakers: list[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.root = Path(root).expanduser()
        self.mic = mic
        self.speakers = speakers

    def listing(self) -> Listing:
        """All utterances of the chosen speakers.

        Raises:
            CorpusError: There is no VCTK corpus at `root`, or it has no mic2.
            RequestError: A speaker is asked for whom the corpus does not have.
        """
        folder, audio_folder = _find(self.root)
        known = sorted(path.name for path in audio_folder.iterdir() if path.is_dir() and path.name[0] != ".")
        for name in self.speakers or ():
            if name not in known:
                raise RequestError(f"unknown speaker {name!r}; {audio_folder} has {len(known)}: {_some(known)}")
        transcribed = {path.name for path in (folder / "txt").glob("[!.]*") if path.is_dir()}
        records: list[Record] = []
        problems: list[Problem] = []
        if audio_folder.name == _FOLDERS[0] and (folder / _FOLDERS[1]).is_dir():
            problems.append(Problem(_FOLDERS[1], f"not read, because {_FOLDERS[0]} has recordings too"))
        speakers = sorted(set(self.speakers or transcribed.union(known)))
        found = {speaker: _takes(audio_folder / speaker, problems) for speaker in speakers}
        mics = {mic for takes in found.values() for by_mic in takes.values() for mic in by_mic}
        if self.mic == "mic2" and mics == {""}:
            raise CorpusError(f"{folder} is release 0.80, recorded with one microphone; set mic to mic1")
        for speaker, takes in found.items():
            texts = {
                path.stem: path for path in (folder / "txt" / speaker).glob("[!.]*") if path.suffix.lower() == ".txt"
            }
            if not takes:
                problems.append(Problem(speaker, "speaker without a recording"))
                continue
            for stem in sorted(texts.keys() | takes.keys()):
                by_mic = {mic or "mic1": path for mic, path in takes.get(stem, {}).items()}
                try:
                    text = read_words(texts[stem]) if stem in texts else ""
                except ValueError as error:
                    problems.append(Problem(stem, f"text cannot be read: {error}"))
                    continue
                if path := by_mic.get(self.mic):
                    records.append(Record(stem, path, speaker=speaker, text=text))
                elif by_mic:
                    problems.append(Problem(stem, f"not recorded by {self.mic}; set mic to {min(by_mic)} to have it"))
                else:
                    problems.append(Problem(stem, "text without a recording"))
        if not records:
            raise CorpusError(f"{audio_folder} has no recording by {self.mic} of the speakers that were asked for")
        return Listing(folder, tuple(_with_sentences(records)), tuple(problems))


def _find(root: Path) -> tuple[Path, Path]:
    """The folder of the corpus, and that of its recordings."""
    candidates = [root, *sorted(path for path in root.glob("*") if path.is_dir())]
    found = {path: [path / name for name in _FOLDERS if (path / name).is_dir()] for path in candidates}
    corpora = [path for path, folders in found.items() if folders]
    if not corpora:
        raise CorpusError(f"no VCTK corpus: neither {root} nor a folder in it has {' or '.join(_FOLDERS)} in it")
    if len(corpora) > 1:
        raise CorpusError(f"several VCTK corpora: set root to one of {', '.join(map(str, corpora))}")
    folders = found[corpora[0]]
    recorded = (folder for folder in folders if any(_takes(path, []) for path in folder.iterdir() if path.is_dir()))
    return corpora[0], next(recorded, folders[0])


def _takes(folder: Path, problems: list[Problem]) -> _Takes:
    """Recordings of one speaker, under "" where their names say no microphone; adds what is not used."""
    takes: _Takes = defaultdict(dict)
    for path in sorted(folder.glob("[!.]*")):
        if reason := other_audio(path):
            problems.append(Problem(f"{folder.name}/{path.name}", reason))
        elif path.suffix.lower() in AUDIO_SUFFIXES and (match := _NAME.fullmatch(path.stem)):
            mic = (match["mic"] or "").lower()
            same = takes[match["stem"]].get(mic) or takes[match["stem"]].get({"": "mic1", "mic1": ""}.get(mic, mic))
            if same is not None:
                problems.append(Problem(f"{folder.name}/{path.name}", f"the same take as a file {same.suffix}"))
            else:
                takes[match["stem"]][mic] = path
    return takes


def _with_sentences(records: Iterable[Record]) -> Iterable[Record]:
    """Records with the sentence as `split_key`; without a text, that of the same shared prompt from other speakers."""
    records = list(records)
    read: dict[int, Counter[str]] = defaultdict(Counter)
    for record in records:
        if sentence := _normalized(record.text):
            read[_number(record)][sentence] += 1
    for record in records:
        key = _normalized(record.text)
        number = _number(record)
        if not key and number in _SHARED_PROMPTS and read[number]:
            key = read[number].most_common(1)[0][0]
        yield replace(record, split_key=key or record.id)


def _number(record: Record) -> int:
    number = record.id.rpartition("_")[2]
    return int(number) if number.isdecimal() else 0


def _normalized(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))


def _some(names: list[str]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
