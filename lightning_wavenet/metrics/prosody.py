"""How far the melody of an utterance is from that of another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class PitchErrors(NamedTuple):
    """Of F0 frame by frame."""

    rmse_hz: float | None
    """Root-mean-square difference over frames that are voiced in both (Hz); None where there are none."""
    correlation: float | None
    """Pearson's, over the same frames; None where there are fewer than two, or one of both is constant."""
    voicing_percent: float
    """Frames that are voiced in one and unvoiced in the other, in a hundred of all."""


def pitch_errors(f0: NDArray[np.float64], reference: NDArray[np.float64]) -> PitchErrors:
    """Compares F0 (Hz) of as many frames, 0 where there is none: `[N]` each, not empty."""
    voiced = (f0 > 0) & (reference > 0)
    voicing = 100 * float(np.mean((f0 > 0) != (reference > 0)))
    if not voiced.any():
        return PitchErrors(None, None, voicing)
    here, there = f0[voiced], reference[voiced]
    varied = np.ptp(here) > 0 and np.ptp(there) > 0
    return PitchErrors(
        float(np.sqrt(np.mean((here - there) ** 2))),
        float(np.corrcoef(here, there)[0, 1]) if varied else None,
        voicing,
    )
