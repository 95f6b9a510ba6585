"""Syllables of English: between two vowels, as many consonants begin the later syllable as can begin a word."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from lightning_wavenet.text.symbols import CONSONANTS, arpabet, is_nucleus, unstressed

_GLIDED = "B D F G HH K L M N P S T TH V".split()
"""Consonants that begin a syllable with Y after them, before UW and UH alone: cute and cure, but mil-lion."""

_ONSETS = {
    *((one,) for one in CONSONANTS if one != "NG"),
    *((first, "L") for first in ("P", "B", "K", "G", "F", "S")),
    *((first, "R") for first in ("P", "B", "T", "D", "K", "G", "F", "TH", "SH")),
    *((first, "W") for first in ("T", "D", "K", "G", "TH", "S", "HH")),
    *(("S", second) for second in ("P", "T", "K", "F", "M", "N")),
    *(("S", *pair) for pair in (("P", "L"), ("P", "R"), ("T", "R"), ("K", "L"), ("K", "R"), ("K", "W"))),
}
_BEFORE_U = {*((first, "Y") for first in _GLIDED), ("S", "P", "Y"), ("S", "K", "Y"), ("S", "T", "Y")}
_LONGEST = 3


def can_begin(onset: Sequence[str], nucleus: str) -> bool:
    """Whether consonants can begin a syllable of English before a vowel.

    Args:
        onset: Consonants, as `arpabet` knows them; with none, every syllable can.
        nucleus: The vowel, with or without stress.
    """
    cluster = tuple(arpabet(phone) or phone for phone in onset)
    return not cluster or cluster in _ONSETS or (cluster in _BEFORE_U and unstressed(nucleus) in ("UW", "UH"))


def syllables(phones: Sequence[str]) -> list[tuple[int, int]]:
    """The syllables of a word by the principle of the maximal onset.

    Args:
        phones: ARPAbet of one word, vowels with or without stress; the syllabic consonants of TIMIT (EL, EM, EN, ENG)
            are vowels here.

    Returns:
        First phone and one past the last of each syllable; one syllable where there is no vowel, none for no phones.
    """
    nuclei = [at for at, phone in enumerate(phones) if is_nucleus(phone)]
    if not nuclei:
        return [(0, len(phones))] if phones else []
    starts = [0]
    for before, nucleus in pairwise(nuclei):
        longest = max(before + 1, nucleus - _LONGEST)
        starts.append(next(at for at in range(longest, nucleus + 1) if can_begin(phones[at:nucleus], phones[nucleus])))
    return list(zip(starts, [*starts[1:], len(phones)], strict=True))
