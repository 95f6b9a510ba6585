"""VCTK: English sentences from 109 or 110 speakers, in the layouts of its releases 0.80 and 0.92."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from datamodules.base import AudioDataModule
from datamodules.records import Listing, Problem, Record
from lightning_wavenet.errors import CorpusError, RequestError

_SHARED_PROMPTS = range(1, 25)
"""Numbers of the sentences that every speaker reads: the elicitation paragraph and the rainbow passage."""


@dataclass(frozen=True)
class _Layout:
    """Where a release keeps its recordings."""

    folder: str
    audio: str
    """Regular expression for the name of a recording, with groups `stem` and, where there are several, `mic`."""


_LAYOUTS = (
    _Layout("wav48_silence_trimmed", r"(?P<stem>.+)_(?P<mic>mic[12])\.flac"),
    _Layout("wav48", r"(?P<stem>.+)\.wav"),
)


class VCTKDataModule(AudioDataModule):
    """The CSTR VCTK corpus, 44 hours of read English.

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
        folder, layout = _find(self.root)
        audio_folder = folder / layout.folder
        known = sorted(path.name for path in audio_folder.iterdir() if path.is_dir())
        for name in self.speakers or ():
            if name not in known:
                raise RequestError(f"unknown speaker {name!r}; {audio_folder} has {len(known)}: {_some(known)}")
        if self.mic == "mic2" and layout is _LAYOUTS[1]:
            raise CorpusError(f"{folder} is release 0.80, recorded with one microphone; set mic to mic1")
        transcribed = {path.name for path in (folder / "txt").glob("*") if path.is_dir()}
        records: list[Record] = []
        problems: list[Problem] = []
        for speaker in sorted(set(self.speakers or transcribed.union(known))):
            texts = {path.stem: path for path in (folder / "txt" / speaker).glob("*.txt")}
            takes = _takes(audio_folder / speaker, layout)
            if not takes:
                problems.append(Problem(speaker, "speaker without a recording"))
                continue
            for stem in sorted(texts.keys() | takes.keys()):
                by_mic = takes.get(stem, {})
                if path := by_mic.get(self.mic):
                    text = texts[stem].read_text("utf-8", "replace") if stem in texts else ""
                    records.append(Record(stem, path, speaker=speaker, text=" ".join(text.split())))
                elif by_mic:
                    problems.append(Problem(stem, f"not recorded by {self.mic}; set mic to {min(by_mic)} to have it"))
                else:
                    problems.append(Problem(stem, "text without a recording"))
        if not records:
            raise CorpusError(f"{audio_folder} has no recording by {self.mic} of the speakers that were asked for")
        return Listing(folder, tuple(_with_sentences(records)), tuple(problems))


def _find(root: Path) -> tuple[Path, _Layout]:
    candidates = [root, *sorted(path for path in root.glob("*") if path.is_dir())]
    found = [(path, layout) for path in candidates for layout in _LAYOUTS if (path / layout.folder).is_dir()]
    if not found:
        folders = " or ".join(layout.folder for layout in _LAYOUTS)
        raise CorpusError(f"no VCTK corpus: neither {root} nor a folder in it has {folders} in it")
    if len(found) > 1:
        raise CorpusError(f"several VCTK corpora: set root to one of {', '.join(str(path) for path, _ in found)}")
    return found[0]


def _takes(folder: Path, layout: _Layout) -> dict[str, dict[str, Path]]:
    """Recordings of one speaker: by utterance, and then by microphone."""
    takes: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in sorted(folder.glob("[!.]*")):
        if match := re.fullmatch(layout.audio, path.name):
            takes[match["stem"]][match.groupdict().get("mic", "mic1")] = path
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
