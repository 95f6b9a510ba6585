"""One loudness for all that is heard, and speech in noise for comparison."""

from __future__ import annotations

import warnings

import numpy as np
import pyloudnorm
from numpy.typing import NDArray

Waveform = NDArray[np.float64]

TARGET_LUFS = -23.0
"""Of EBU R 128."""
PEAK_DBFS = -1.0
"""No sample is above."""
SILENT_DBFS = -60.0
"""A clip whose peak is below says nothing."""
_BLOCK_SECONDS = 0.4
"""Of the meter; shorter clips are measured by their RMS."""
_CLIPPED_RUN = 3
"""Samples in a row at either end of the scale: a single one may just be the loudest."""


def loudness(waveform: Waveform, sample_rate: int, padded: Waveform | None = None) -> float:
    """Integrated loudness (ITU-R BS.1770, LUFS); of clips under 0.4 s their RMS (dBFS).

    Args:
        waveform: `[T]` in [-1, 1], not silent.
        sample_rate: In Hz.
        padded: The same with the silence that it is played with, which the meter's blocks see; None: none.
    """
    if len(waveform) >= _BLOCK_SECONDS * sample_rate:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # That it is so soft that no block passes the gate: -inf says so.
            measured = float(pyloudnorm.Meter(sample_rate).integrated_loudness(waveform if padded is None else padded))
        if np.isfinite(measured):
            return measured
    return float(10 * np.log10(np.mean(waveform**2)))


def peak(waveform: Waveform) -> float:
    """In dBFS; -inf of zeros."""
    with np.errstate(divide="ignore"):
        return float(20 * np.log10(np.abs(waveform).max(initial=0)))


def clipped(pcm: NDArray[np.int16]) -> bool:
    """Whether three samples or more in a row are at an end of the scale of 16 bits.

    Args:
        pcm: `[T]`.
    """
    for end in (pcm >= 2**15 - 1, pcm <= -(2**15) + 1):
        run = end
        for shift in range(1, _CLIPPED_RUN):
            run = run[:-1] & end[shift:]
        if run.any():
            return True
    return False


def in_noise(waveform: Waveform, q_db: float, seed: int) -> Waveform:
    """Speech with noise that follows its amplitude: the modulated noise reference unit of ITU-T P.810.

    Peaks end at that of the speech, so that the loudness of a study need not make room for them.

    Args:
        waveform: `[T]`.
        q_db: Q, power of the speech over that of the noise (dB).
        seed: Of the noise.
    """
    noise = np.random.default_rng(seed).standard_normal(len(waveform))
    highest = np.abs(waveform).max(initial=0)
    return np.clip(waveform * (1 + 10 ** (-q_db / 20) * noise), -highest, highest)
