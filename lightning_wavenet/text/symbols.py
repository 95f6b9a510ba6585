"""The ARPAbet phones that pronunciations are made of, and what transcribers and aligners call them."""

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


SILENCE = "sil"
"""Silence, in the sets of phones that have one."""

SILENCES = frozenset({"", "sil", "sp", "pau", "h#", "#h", "#", "_", "epi", "q", "<eps>", "silence", "brth"})
"""What silences are called in alignments, in small letters; q, the glottal stop, is one too."""

SYLLABIC = {"EL": "L", "EM": "M", "EN": "N", "ENG": "NG"}
"""Consonants of TIMIT that are the middle of a syllable."""

CLOSURES = {"BCL": "B", "DCL": "D", "GCL": "G", "PCL": "P", "TCL": "T", "KCL": "K"}
"""What TIMIT calls the closure of a stop, and the stop."""

_OTHER_NAMES = {
    **{"AX": "AH", "AX-H": "AH", "AXR": "ER", "IX": "IH", "UX": "UW"},
    **{"DX": "T", "NX": "N", "HV": "HH"},
    **SYLLABIC,
    **CLOSURES,
}


def is_nucleus(phone: str) -> bool:
    """Whether a phone is the middle of a syllable: a vowel, or a syllabic consonant of TIMIT."""
    bare = unstressed(phone.upper())
    return bare in VOWELS or bare in ("AX", "AX-H", "AXR", "IX", "UX", *SYLLABIC)


def arpabet(label: str) -> str | None:
    """A phone of `PHONES`, or `SILENCE`, from what an alignment calls it: AH0, ah, ax (TIMIT), pau (HTS), sp (MFA).

    TIMIT's closures become their stops, its flap T. None: it is no ARPAbet.
    """
    if label.lower() in SILENCES:
        return SILENCE
    bare = unstressed(label.upper())
    bare = _OTHER_NAMES.get(bare, bare)
    return bare if bare in PHONES else None
