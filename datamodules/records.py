"""What a corpus reader yields: the clips that it found on disk, and what it could not use and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from lightning_wavenet.errors import CorpusError
from lightning_wavenet.files.reading import printable
from lightning_wavenet.text.phones import Phone

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)


@dataclass(frozen=True)
class Record:
    """One recording of a corpus.

    Attributes:
        id: Unique name of the clip in its corpus.
        path: The audio file, somewhere below the root of the `Listing`.
        split: Where the corpus itself puts the clip, or None where the deterministic split is to decide.
        speaker: Who speaks, empty where the corpus does not say.
        text: What is said, empty where the corpus does not say.
        label: A class given to the clip, such as the digit that is spoken.
        tags: Names of what holds of the clip, such as instruments.
        split_key: What must stay within one split, such as a sentence that several speakers read. Empty: the id.
        phones: What is said when, in order; empty where the corpus does not say.
        phone_rate: In how many parts of a second the times of phones are; None: in samples of the file.
        alignment: A file that says what is said when, in place of `phones` (`read_alignment`).
        others: Values of fields that a corpus defines itself.
    """

    id: str
    path: Path
    split: SplitName | None = None
    speaker: str = ""
    text: str = ""
    label: str = ""
    tags: tuple[str, ...] = ()
    split_key: str = ""
    phones: tuple[Phone, ...] = ()
    phone_rate: int | None = None
    alignment: Path | None = None
    others: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """Something in a corpus that was skipped.

    Attributes:
        id: Id of the clip, or a path relative to the corpus.
        reason: Why, in one line without a period; equal for equal causes, because reasons are counted.
        place: Where in the clip, if that is known.
    """

    id: str
    reason: str
    place: str = ""


@dataclass(frozen=True)
class Listing:
    """All that a reader found below `root`, in a fixed order."""

    root: Path
    records: tuple[Record, ...]
    problems: tuple[Problem, ...] = ()


def nameable(listing: Listing) -> Listing:
    """A listing in which all names can be written down: files whose names are not UTF-8 are problems of their own.

    Raises:
        CorpusError: No other files are in it.
    """
    named, others = [], []
    for record in listing.records:
        names = (record.id, record.speaker, record.label, str(record.path.relative_to(listing.root)))
        if all(printable(name) == name for name in names):
            named.append(record)
        else:
            others.append(Problem(printable(record.id), "its name is not UTF-8; rename the file or its folder"))
    if others and not named:
        raise CorpusError(f"no usable clip in {listing.root}: {others[0].id}: {others[0].reason}")
    problems = [replace(one, id=printable(one.id), reason=printable(one.reason)) for one in listing.problems]
    return replace(listing, records=tuple(named), problems=(*problems, *others))
