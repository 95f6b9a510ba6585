"""How much of a text is understood, by what a recognizer makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein


class Misread(NamedTuple):
    """Substitutions, deletions and insertions of the cheapest alignment with a text, which may exceed its length."""

    wrong: int
    of: int
    """Length of the text."""

    @property
    def percent(self) -> float:
        """Wrong in a hundred of the text."""
        return 100 * self.wrong / self.of


def misread_words(recognized: Sequence[str], text: Sequence[str]) -> Misread:
    """Of the words of a text, of which there is at least one."""
    return Misread(Levenshtein.distance(recognized, text), len(text))


def misread_letters(recognized: Sequence[str], text: Sequence[str]) -> Misread:
    """Of the letters and apostrophes in the words of a text, and the spaces between these."""
    return Misread(Levenshtein.distance(" ".join(recognized), " ".join(text)), len(" ".join(text)))
