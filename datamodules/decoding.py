"""One audio file of any kind to PCM16 mono at the model's rate, or why it cannot be used."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf
import torch
import torchaudio
from numpy.typing import NDArray

FULL_SCALE = 32768
"""What 1.0 is in PCM16."""

_FRAME_SECONDS = 0.01
_MARGIN_SECONDS = 0.05
_HIGHEST_RATE = 1_000_000
# Zero crossings of the sinc on each side. torchaudio's default of 6 loses 1.8 dB at 7 kHz, and lets 9 kHz through
# at -17 dB, when it resamples from 48 kHz to 16 kHz; 64 loses nothing there and stops 9 kHz at -87 dB.
_FILTER_WIDTH = 64
# Rates without a large common factor, which only damaged headers have, would need a filter bank of gigabytes.
_LARGEST_FILTER_BANK = 2**24
# Programs that write to a pipe leave a size near 2 GiB or 4 GiB in a WAV header, because they cannot know it.
_SMALLEST_UNKNOWN_SIZE = 0x7FFF0000


class DecodingError(Exception):
    """A file cannot be used; the message is a reason for `Problem`."""


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
    wave, rate = _read(path)
    if not np.isfinite(wave).all():
        raise DecodingError("samples that are NaN or infinite")
    wave = _resample(wave, rate, sample_rate)
    pcm: NDArray[np.int16] = np.rint(wave * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    if not pcm.any():
        raise DecodingError("digital silence all through")
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


def _read(path: Path) -> tuple[NDArray[np.float32], int]:
    try:
        if path.stat().st_size == 0:
            raise DecodingError("empty file")
    except OSError as error:
        raise DecodingError(f"unreadable: {error.strerror}") from error
    try:
        file = sf.SoundFile(path)
    except sf.LibsndfileError as error:
        raise DecodingError(f"unreadable: {error.error_string.rstrip('.')}") from error
    with file:
        # The header of an MP3 only estimates the number of frames.
        promised = 0 if file.format == "MP3" else file.frames
        try:
            wave = file.read(dtype="float32", always_2d=True).mean(axis=1)
        except sf.LibsndfileError as error:
            raise DecodingError("truncated or damaged before its end") from error
        if len(wave) < promised or _is_cut_short(file.extra_info):
            raise DecodingError("truncated or damaged before its end")
        if len(wave) == 0:
            raise DecodingError("no samples")
        return wave, file.samplerate


def _is_cut_short(extra_info: str) -> bool:
    """Whether libsndfile found less audio in a WAV file than its header promises; `frames` is corrected silently."""
    found = re.search(r"^data : (\d+) \(should be (\d+)\)", extra_info, re.MULTILINE)
    return found is not None and int(found[2]) < int(found[1]) < _SMALLEST_UNKNOWN_SIZE


def _resample(wave: NDArray[np.float32], rate: int, sample_rate: int) -> NDArray[np.float32]:
    if rate == sample_rate:
        return wave
    if rate < sample_rate:
        # Upsampling would teach the model an empty band.
        raise DecodingError(f"sampled at {rate:,} Hz, below the model's {sample_rate:,} Hz")
    common = math.gcd(rate, sample_rate)
    bank = (rate // common) * (sample_rate // common + 2 * _FILTER_WIDTH)
    if rate > _HIGHEST_RATE or bank > _LARGEST_FILTER_BANK:
        raise DecodingError(f"sampled at {rate:,} Hz, which cannot be a rate of audio")
    return torchaudio.functional.resample(
        torch.from_numpy(wave), rate, sample_rate, lowpass_filter_width=_FILTER_WIDTH
    ).numpy()
