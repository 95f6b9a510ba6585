"""Phones with their times; those of TIMIT, and the smaller sets that they are folded to for training and scoring.

61 labels are transcribed, 48 are usually trained on and 39 are scored (Lee and Hon, 1989, "Speaker-independent phone
recognition using hidden Markov models"; the tables of Kaldi and SpeechBrain are the same). The glottal stop `q` is
deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from lightning_wavenet.text.symbols import SILENCE as SILENCE


class Phone(NamedTuple):
    """A phone and where it stands in the audio."""

    label: str
    start: int
    """First sample."""
    end: int
    """One past the last sample."""


TIMIT_61: tuple[str, ...] = tuple(
    """
    aa ae ah ao aw ax ax-h axr ay b bcl ch d dcl dh dx eh el em en eng epi er ey f g gcl h# hh hv ih ix iy jh k kcl l m
    n ng nx ow oy p pau pcl q r s sh t tcl th uh uw ux v w y z zh
    """.split()
)
"""What TIMIT's transcriptions have; `h#` and `pau` are silences, `bcl` and the like closures, `q` a glottal stop."""

PhoneSet = Literal[61, 48, 39]

_TO_48 = {
    **{"ax-h": "ax", "axr": "er", "em": "m", "eng": "ng", "hv": "hh", "nx": "n", "ux": "uw"},
    **dict.fromkeys(("bcl", "dcl", "gcl"), "vcl"),
    **dict.fromkeys(("kcl", "pcl", "tcl"), "cl"),
    **dict.fromkeys(("h#", "pau"), SILENCE),
}
_TO_39 = {
    **{"ao": "aa", "ax": "ah", "el": "l", "en": "n", "ix": "ih", "zh": "sh"},
    **dict.fromkeys(("cl", "vcl", "epi"), SILENCE),
}


def fold(phone: str, size: PhoneSet) -> str | None:
    """A label of TIMIT in a smaller set; None for `q` there, which is deleted.

    Labels of the smaller sets, and of other corpora, pass as they are.
    """
    if size == 61:
        return phone
    if phone == "q":
        return None
    phone = _TO_48.get(phone, phone)
    return phone if size == 48 else _TO_39.get(phone, phone)


def fold_all(phones: Iterable[str], size: PhoneSet) -> list[str]:
    """A transcription in a smaller set, as `fold`."""
    folded = (fold(phone, size) for phone in phones)
    return [phone for phone in folded if phone is not None]
