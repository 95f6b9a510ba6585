"""What a forced alignment amounts to: whether it is plausible, and how far it is from the truth where that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from lightning_wavenet.models import TimedPhone
from lightning_wavenet.text.phones import SILENCE

_SILENCES = {SILENCE, "h#", "pau", "_"}
_LONGEST_SECONDS = 0.5
"""Of a phone that is no silence, in plausible speech."""
_HASTE = 0.2
"""Part of an utterance's phones that may last no longer than they must, in plausible speech."""
_SHORTEST_SILENCE = 0.03
"""Seconds of a silence whose level is measured."""
_LOUDEST_SILENCE_DB = -6.0
"""Level of an utterance's silences, of which the speech's is 0, in plausible speech."""


@dataclass(frozen=True)
class Check:
    """An aligned utterance in numbers."""

    id: str
    score: float
    """Mean log-probability of its frames (nats); 0 is certain."""
    phones_a_second: float
    """Without silences, over the time that is spoken."""
    longest: float
    """Duration of the longest phone (s)."""
    hasty: float
    """Part of the phones that last no longer than they must, 0 to 1."""
    silence_db: float | None
    """RMS level of the silences, relative to that of the rest (dB); None where there is no silence of 30 ms."""
    doubts: list[str]
    """What is not plausible, in words."""
    boundary_errors: list[float] | None = None
    """How far each phone's beginning is from where it truly is (s); None where nobody knows."""


def check(
    id: str,
    waveform: Tensor,
    sample_rate: int,
    aligned: Sequence[TimedPhone],
    shortest: float,
    truth: Sequence[float] | None = None,
) -> Check:
    """Look at an aligned utterance.

    Args:
        id: Its name.
        waveform: `[T]`.
        sample_rate: Of the waveform (Hz).
        aligned: Its phones without gaps.
        shortest: What a phone lasts at least (s).
        truth: True beginnings of the phones that were aligned (s).
    """
    spoken = [phone for phone in aligned if phone.label not in _SILENCES]
    lengths = np.array([phone.end - phone.start for phone in aligned])
    of_spoken = np.array([phone.end - phone.start for phone in spoken] or [0.0])
    power = waveform.double().square().numpy()

    def mean_power(phones: Sequence[TimedPhone]) -> float | None:
        parts = [power[round(phone.start * sample_rate) : round(phone.end * sample_rate)] for phone in phones]
        return float(np.concatenate(parts).mean()) if parts else None

    silences = [phone for phone in aligned if phone.label in _SILENCES]
    silent = mean_power([phone for phone in silences if phone.end - phone.start > _SHORTEST_SILENCE - 1e-6])
    loud = mean_power(spoken)
    silence_db = None if silent is None or not loud else 10 * float(np.log10(max(silent, 1e-12) / loud))
    longest, hasty = float(of_spoken.max()), float((of_spoken < shortest + 1e-6).mean()) if spoken else 0.0
    doubts = []
    if longest > _LONGEST_SECONDS:
        doubts.append(f"a phone of {longest:.2f} s")
    if hasty > _HASTE:
        doubts.append(f"{hasty:.0%} of the phones as short as can be")
    if silence_db is not None and silence_db > _LOUDEST_SILENCE_DB:
        doubts.append(f"silences at {silence_db:.0f} dB of the speech")
    return Check(
        id,
        score=float(np.average([phone.score for phone in aligned], weights=lengths)),
        phones_a_second=len(spoken) / max(float(of_spoken.sum()), 1e-9),
        longest=longest,
        hasty=hasty,
        silence_db=silence_db,
        doubts=doubts,
        boundary_errors=None
        if truth is None
        else [abs(phone.start - truth[phone.token]) for phone in aligned if phone.token > 0],
    )


def report(checks: Sequence[Check]) -> dict[str, Any]:
    """All utterances together, and each, the least certain first; plain values.

    `boundaries`, where the truth is known, has the number of boundaries, their median error (ms), and the part of them
    that is within 10, 20 and 50 ms.
    """
    levels = [check.silence_db for check in checks if check.silence_db is not None]
    errors = np.array([error for check in checks for error in check.boundary_errors or ()])
    known = any(check.boundary_errors is not None for check in checks)
    return {
        "utterances": len(checks),
        "plausible": sum(not check.doubts for check in checks),
        "score": float(np.mean([check.score for check in checks])),
        "phones_a_second": float(np.median([check.phones_a_second for check in checks])),
        "silence_db": float(np.median(levels)) if levels else None,
        "boundaries": {
            "count": len(errors),
            "median_ms": 1000 * float(np.median(errors)),
            **{f"within_{ms}_ms": float((errors <= ms / 1000 + 1e-9).mean()) for ms in (10, 20, 50)},
        }
        if known and len(errors)
        else None,
        "worst_first": [
            {name: value for name, value in asdict(check).items() if name != "boundary_errors"}
            for check in sorted(checks, key=lambda check: check.score)
        ],
    }
