"""espeak's phones of American English by the names that TIMIT and ARPAbet have for them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from datamodules.espeak import PAUSE
from lightning_wavenet.text.phones import Phone
from lightning_wavenet.text.symbols import arpabet

_NAMES = {
    PAUSE: "pau",
    **{"a": "ae", "aa": "ae", "A:": "aa", "0": "aa", "O2": "aa", "O": "ao", "O:": "ao", "E": "eh", "V": "ah"},
    **{"@": "ax", "@2": "ax", "@-": "ax", "a#": "ax", "I": "ih", "I2": "ix", "I#": "ix", "i": "iy", "i:": "iy"},
    **{"U": "uh", "u:": "uw", "3": "axr", "3:": "er"},
    **{"aI": "ay", "aU": "aw", "eI": "ey", "oU": "ow", "OI": "oy"},
    **{"A@": "aa r", "O@": "ao r", "o@": "ao r", "e@": "eh r", "i@3": "ih r", "U@": "uh r"},
    **{"i@": "iy ax", "aI@": "ay ax", "aI3": "ay axr", "@L": "ax l", "n-": "ax n"},
    **{"t2": "t", "t#": "dx", "?": "t", "x": "k"},
    **{"T": "th", "D": "dh", "S": "sh", "Z": "zh", "tS": "ch", "dZ": "jh", "N": "ng", "h": "hh", "j": "y"},
    # Glides between two vowels, as in "three o'clock" and "far out": they belong to the first.
    **{";": "", "r-": ""},
}
"""What is one phone to espeak and two to others has two names. Those that all call alike, such as b, are left out."""

_FIRST = 0.6
"""What part of the time of two such phones the first has: a convention, that of `espeak.phones_of` for a final l."""

_CLOSURES = {"b": "bcl", "d": "dcl", "g": "gcl", "p": "pcl", "t": "tcl", "k": "kcl", "ch": "tcl", "jh": "dcl"}
_SHORTEST_CLOSURE = 0.005
"""Seconds."""
_SILENT = 0.001
"""Of a clip's peak: a silence of espeak is one of zeros, to which resampling adds some ringing."""


def in_timit(phones: Sequence[Phone], samples: npt.NDArray[np.int16], sample_rate: int) -> list[Phone]:
    """The phones of an American voice as TIMIT's transcribers write them down, covering the same samples.

    The silence that a stop or affricate begins with is a closure of its own, the silences at both ends are h#.

    Args:
        phones: Labels are espeak's; others stay as they are.
        samples: The audio, `[T]`.
        sample_rate: Of the audio (Hz).
    """
    levels = np.abs(samples.astype(int))
    silent = levels <= _SILENT * levels.max()
    found: list[Phone] = []
    for phone in _named(phones):
        label, start, end = phone
        part = silent[start:end]
        burst = start if part.all() else start + int(part.argmin())
        if label in _CLOSURES and burst - start >= _SHORTEST_CLOSURE * sample_rate:
            found += [Phone(_CLOSURES[label], start, burst), Phone(label, burst, end)]
        elif label == "pau" and (start == 0 or end == len(samples)):
            found.append(phone._replace(label="h#"))
        else:
            found.append(phone)
    return found


def in_arpabet(phones: Sequence[Phone]) -> list[Phone]:
    """The phones of an American voice in ARPAbet without stress, silences as sil, covering the same samples.

    Args:
        phones: Labels are espeak's; others stay as they are.
    """
    return [phone._replace(label=arpabet(phone.label) or phone.label) for phone in _named(phones)]


def _named(phones: Sequence[Phone]) -> list[Phone]:
    """With TIMIT's names, each of one phone."""
    found: list[Phone] = []
    for label, start, end in phones:
        names = _NAMES.get(label, label).split()
        if not names and found:
            found[-1] = found[-1]._replace(end=end)
        bounds = [start, *([start + round(_FIRST * (end - start))] if len(names) > 1 else []), end]
        found += [Phone(name, *times) for name, times in zip(names, pairwise(bounds), strict=False)]
    return found
