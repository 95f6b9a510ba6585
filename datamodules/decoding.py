"""One audio file of any kind to PCM16 mono at the model's rate, or why it cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_wavenet.files.reading import FULL_SCALE, DecodingError, read_mono, to_pcm, to_rate

_FRAME_SECONDS = 0.01
_MARGIN_SECONDS = 0.05


class Recording(NamedTuple):
    """A decoded file."""

    pcm: NDArray[np.int16]
    """`[T]`."""
    rate: int
    """Of the file (Hz)."""
    first: int
    """Where the clip begins, in samples of the whole file as resampled."""


def decode(path: Path, sample_rate: int, trim_silence_db: float | None = None) -> Recording:
    """Read an audio file as PCM16 mono.

    Channels are averaged, and peaks that exceed full scale after resampling are clipped. A 16-bit mono file that has
    the wanted rate passes bit by bit.

    Args:
        path: WAV, FLAC, OGG, MP3 or whatever else libsndfile reads.
        sample_rate: The wanted rate (Hz).
        trim_silence_db: As in `sounding`; None leaves the clip as it is.

    Raises:
        DecodingError: The file is empty, damaged, of a rate that cannot be used, or has no sound in it.
    """
    wave, rate = read_mono(path)
    if rate < sample_rate:
        # Upsampling would teach the model an empty band.
        raise DecodingError(f"sampled at {rate:,} Hz, below the model's {sample_rate:,} Hz")
    pcm = to_pcm(to_rate(wave, rate, sample_rate))
    if not pcm.any():
        peak = np.abs(wave).max()
        raise DecodingError(
            f"quieter than 16 bits tell: a peak of {peak:.1g} where full scale is 1.0"
            if peak > 0
            else "digital silence all through"
        )
    kept = slice(0, None) if trim_silence_db is None else sounding(pcm, sample_rate, trim_silence_db)
    return Recording(pcm[kept], rate, kept.start or 0)


def sounding(pcm: NDArray[np.int16], sample_rate: int, threshold_db: float) -> slice:
    """What remains of a clip without the silence at its two ends; nothing is cut out of its middle.

    Silence is where the RMS over 10 ms stays at least `threshold_db` below the loudest 10 ms of the clip. 50 ms of
    it remain at each end.

    Args:
        pcm: The clip, `[T]`.
        sample_rate: Its rate (Hz).
        threshold_db: How far below the loudest frame silence begins (dB, positive).
    """
    frame = max(1, round(_FRAME_SECONDS * sample_rate))
    starts = np.arange(0, len(pcm), frame)
    power = np.add.reduceat(pcm.astype(np.float64) ** 2, starts) / np.diff(starts, append=len(pcm))
    loud = np.flatnonzero(power > power.max() * 10 ** (-threshold_db / 10))
    margin = round(_MARGIN_SECONDS * sample_rate)
    return slice(max(0, int(loud[0]) * frame - margin), (int(loud[-1]) + 1) * frame + margin)


def stretched(pcm: NDArray[np.int16]) -> NDArray[np.int16]:
    """A clip `[T]` that is scaled and shifted so that its lowest sample is -32768 and its highest 32767.

    One whose samples are all equal stays as it is.
    """
    low, high = int(pcm.min()), int(pcm.max())
    if low == high:
        return pcm
    scaled = (pcm.astype(np.float64) - low) / (high - low)
    result: NDArray[np.int16] = np.rint(scaled * (2 * FULL_SCALE - 1) - FULL_SCALE).astype(np.int16)
    return result
