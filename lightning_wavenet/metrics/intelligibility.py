"""How much of a text is understood, by what a recognizer makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein

from lightning_wavenet.text.symbols import CLOSURES, SILENCE, arpabet

_ALIKE = {"AO": "AA", "ZH": "SH"}
"""Phones that count as others, as with the 39 phones of Lee and Hon (1989)."""


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


def misread_phones(recognized: Sequence[str], said: Sequence[str]) -> Misread:
    """Of phones in ARPAbet or by TIMIT's names, of which at least one is no silence.

    Silences, closures and what is no phone are left out of both.
    """
    return Misread(Levenshtein.distance(_scored(recognized), _scored(said)), len(_scored(said)))


def _scored(phones: Sequence[str]) -> list[str]:
    named = [arpabet(phone) for phone in phones if phone.upper() not in CLOSURES]
    return [_ALIKE.get(phone, phone) for phone in named if phone not in (None, SILENCE)]
