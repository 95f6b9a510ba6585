"""What is said in a clip, as indices of phones: one a frame where the corpus has times, and in order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_wavenet.errors import RequestError
from lightning_wavenet.text import PHONES, Lexicon, phrases
from lightning_wavenet.text.phones import SILENCE, Phone
from lightning_wavenet.text.pronunciation import ARPABET
from lightning_wavenet.text.symbols import unstressed

SPOKEN = tuple(sorted((*PHONES, SILENCE)))
"""Names of the phones of a corpus that has only texts."""

UNKNOWN = -1
"""In the place of a phone that is not known, and of none."""


class Word(NamedTuple):
    """A word and which phones of the transcript are its."""

    text: str
    start: int
    """First phone."""
    end: int
    """One past the last phone."""


class Transcript(NamedTuple):
    """L phones in the order in which they are said."""

    phones: NDArray[np.int64]
    """`[L]`."""
    optional: NDArray[np.bool_]
    """`[L]`: True for silences between words, which nobody has heard yet."""
    labels: list[str]
    """Names of the phones, L of them; vowels of a text have their stress."""
    words: list[Word]
    """Empty where the corpus has phones of its own."""


def frame_labels(phones: Sequence[Phone], names: Sequence[str], frames: int, frame: int) -> NDArray[np.int64]:
    """The phone at the middle of every frame, `[frames]`.

    Args:
        phones: What is said when, in samples and in order.
        names: Of the phones.
        frames: How many; frame n is samples n * frame to (n + 1) * frame - 1.
        frame: Samples a frame.
    """
    labels = np.full(frames, UNKNOWN)
    middles = np.arange(frames) * frame + frame // 2
    for name, start, end in phones:
        first, last = np.searchsorted(middles, (start, end))
        labels[first:last] = names.index(name)
    return labels


def has_words(text: str) -> bool:
    """Whether a text can be pronounced: not so with words of other scripts, and punctuation alone."""
    # A letter or a digit of English is pronounced in any case; only other marks are worth the whole way.
    if text.isascii() and "{" not in text:
        return re.search("[A-Za-z0-9]", text) is not None
    try:
        return bool(phrases(text))
    except RequestError:
        Lexicon.cmudict()  # Where that is what is missing, it is said.
        return False


def by_hand(text: str) -> set[str]:
    """The phones without their stress of a text that has nothing but phones by hand; empty for others."""
    given = re.findall(r"\{([^{}]*)\}", text)
    if not given or re.search(r"\w", re.sub(r"\{[^{}]*\}", "", text)):
        return set()
    return {_name(phone) for phone in " ".join(given).split()}


def _name(phone: str) -> str:
    return unstressed(phone) if phone in ARPABET else phone


def transcript(phones: Sequence[Phone], text: str, names: Sequence[str], lexicon: Path | None = None) -> Transcript:
    """The phones of a clip: those that the corpus has, or else those of its text.

    A text is pronounced by the CMU Pronouncing Dictionary, and by rules where that lacks a word. Before it, after it
    and between its words there may be a silence. Phones are numbered without their stress.

    Args:
        phones: What is said when, in order; empty where the corpus does not say.
        text: What is said.
        names: Of the phones.
        lexicon: A user's file of pronunciations, which count before those of the dictionary.
    """
    if phones:
        labels = [phone.label for phone in phones]
        return Transcript(np.array(list(map(names.index, labels))), np.zeros(len(labels), np.bool_), labels, [])
    labels, spoken = [SILENCE], []
    pronounced = Lexicon.english(lexicon)
    for phrase in phrases(text, pronounced) if has_words(text) else ():
        for word, said in zip(phrase, pronounced.in_context(phrase), strict=True):
            if said:
                spoken.append(Word(word, len(labels), len(labels) + len(said)))
                labels += [*said, SILENCE]
    numbers = [names.index(_name(label)) for label in labels]
    return Transcript(np.array(numbers), np.array([label == SILENCE for label in labels]), labels, spoken)
