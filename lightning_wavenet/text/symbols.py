"""The ARPAbet phones that pronunciations are made of."""

from __future__ import annotations

VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
"""The vowels, which carry a stress digit in a pronunciation: 1 primary, 2 secondary, 0 none."""

CONSONANTS = (
    *("B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG"),
    *("P", "R", "S", "SH", "T", "TH", "V", "W", "Y", "Z", "ZH"),
)

PHONES = tuple(sorted(VOWELS + CONSONANTS))
"""The 39 phones of General American, without stress, in alphabetical order."""


def unstressed(phone: str) -> str:
    """The phone without its stress digit: `AH0` is `AH`."""
    return phone.rstrip("012")
