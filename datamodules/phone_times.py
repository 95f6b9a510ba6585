"""Files that say which phone is spoken when: TIMIT's `.phn`, Praat's TextGrid, HTS's `.lab`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from datamodules.folders import Neighbors
from datamodules.texts import read_lines
from lightning_wavenet.files.audio import clip_stem
from lightning_wavenet.files.textgrid import read_tier
from lightning_wavenet.text.full_context import is_full_context, read_label
from lightning_wavenet.text.phones import SILENCE, Phone

ALIGNMENT_SUFFIXES = (".phn", ".TextGrid", ".lab")
"""The first of these that an utterance has is taken."""

_HTS_RATE = 10_000_000
_TEXTGRID_RATE = 1_000_000
_STATE = re.compile(r"(.*?)(?:\[(\d+)\])?")
_LATEST = 2**62
"""What a table holds."""


class Alignment(NamedTuple):
    """What a file says is said when."""

    phones: tuple[Phone, ...]
    rate: int | None = None
    """In how many parts of a second their times are; None: in samples of the recording."""
    labels: tuple[str, ...] = ()
    """A full-context label for each of the phones, where the file has these."""


def find_alignment(folder: Path, id: str, neighbors: Neighbors) -> Path | None:
    """The alignment of an utterance in a folder, if there is one.

    Args:
        folder: Of the alignments.
        id: Of the utterance.
        neighbors: What has been looked for before.
    """
    return neighbors.find_first(folder / clip_stem(id), ALIGNMENT_SUFFIXES)


def read_alignment(path: Path) -> Alignment:
    """The phones of a file.

    Raises:
        ValueError: The file is not what its suffix says; the message has the line or the reason.
    """
    if path.suffix.lower() == ".phn":
        return Alignment(read_phones(path))
    if path.suffix.lower() == ".lab":
        return _read_lab(path)
    phones = []
    for start, end, label in read_tier(path, "phones"):
        phones.append(Phone(label or SILENCE, round(start * _TEXTGRID_RATE), round(end * _TEXTGRID_RATE)))
    return Alignment(_in_order(phones), _TEXTGRID_RATE)


def read_phones(path: Path) -> tuple[Phone, ...]:
    """The phones of a `.phn` file: a line each with first sample, one past the last, label.

    Raises:
        ValueError: The file is not UTF-8, a line is not of that form, or the phones are not in order; the message has
            the line's number.
    """
    phones = []
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            try:
                start, end, label = line.split()
                phones.append(Phone(label, int(start), int(end)))
            except ValueError:
                raise ValueError(f"line {number} is not 'START END PHONE'") from None
    return _in_order(phones)


def write_phones(path: Path, phones: Iterable[Phone]) -> None:
    """Writes a `.phn` file."""
    path.write_text("".join(f"{start} {end} {label}\n" for label, start, end in phones), "utf-8")


def _read_lab(path: Path) -> Alignment:
    """A line each with start, end (100 ns) and a label, of which a full-context one is the phone between - and +.

    Where every state of a phone has a line, with its number in brackets, they are one phone.
    """
    phones: list[Phone] = []
    labels: list[str] = []
    states: list[int] = []
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            parts = line.split()
            if len(parts) < 3 or not (parts[0].isdecimal() and parts[1].isdecimal()):
                raise ValueError(f"line {number} is not 'START END LABEL'")
            label, state = _STATE.fullmatch(parts[2]).groups()  # type: ignore[union-attr]  # It matches anything.
            start, end, at = int(parts[0]), int(parts[1]), int(state or 0)
            if states and label == labels[-1] and at > states[-1] and start == phones[-1].end:
                phones[-1], states[-1] = phones[-1]._replace(end=end), at
                continue
            context = re.search(r"-(.+?)\+", label)
            phones.append(Phone(context[1] if context else label, start, end))
            labels.append(label)
            states.append(at)
    full = bool(labels) and all(map(is_full_context, labels))
    for label in labels if full else ():
        read_label(label)
    return Alignment(_in_order(phones), _HTS_RATE, tuple(labels) if full else ())


def _in_order(phones: Iterable[Phone]) -> tuple[Phone, ...]:
    before = 0
    phones = tuple(phones)
    if not phones:
        raise ValueError("it has no phones")
    for number, phone in enumerate(phones, 1):
        if not before <= phone.start < phone.end:
            line = f"{phone.start} {phone.end} {phone.label}"
            raise ValueError(f"phone {number} ({line}) does not follow the one before it")
        if phone.end > _LATEST:
            raise ValueError(f"phone {number} ends at {phone.end}, which is after any recording")
        before = phone.end
    return phones
