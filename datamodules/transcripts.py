"""What is said in a clip, as indices of phones: one a frame where the corpus has times, and in order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_wavenet.text import PHONES, Lexicon, words
from lightning_wavenet.text.phones import SILENCE, Phone
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
    """Whether there is anything in a text that is pronounced: not so in other scripts, and in punctuation alone."""
    # A letter or a digit of English is pronounced in any case; only what has neither is worth the whole way.
    return re.search("[A-Za-z0-9]", text) is not None or bool(words(text))


def transcript(phones: Sequence[Phone], text: str, names: Sequence[str]) -> Transcript:
    """The phones of a clip: those that the corpus has, or else those of its text.

    A text is pronounced by the CMU Pronouncing Dictionary, and by rules where that lacks a word. Before it, after it
    and between its words there may be a silence. Phones are numbered without their stress.

    Args:
        phones: What is said when, in order; empty where the corpus does not say.
        text: What is said.
        names: Of the phones.
    """
    if phones:
        labels = [phone.label for phone in phones]
        return Transcript(np.array(list(map(names.index, labels))), np.zeros(len(labels), np.bool_), labels, [])
    labels, spoken = [SILENCE], []
    for word in words(text):
        if said := Lexicon.cmudict().pronounce(word):
            spoken.append(Word(word, len(labels), len(labels) + len(said)))
            labels += [*said, SILENCE]
    numbers = [names.index(unstressed(label)) for label in labels]
    return Transcript(np.array(numbers), np.array([label == SILENCE for label in labels]), labels, spoken)
