"""Mel-frequency cepstra: the sound of a moment in a few numbers, for telling phones apart."""

from __future__ import annotations

import warnings
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F
from torchaudio.functional import compute_deltas, create_dct
from torchaudio.transforms import MelSpectrogram

_WINDOW_SECONDS = 0.02
_BANDS, _COEFFICIENTS = 40, 13
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 8_000.0
_DELTA_FRAMES = 5
_FLOOR = 1e-6
"""Of the loudest band's power: what is less is not heard."""
_LEAST_POWER = 1e-10


def cepstra(waveform: Tensor, sample_rate: int, hop: int) -> Tensor:
    """13 mel-frequency cepstral coefficients of every whole frame and their slopes, `[N, 26]`.

    Frame n is the sound around the middle of samples n * hop to (n + 1) * hop - 1.

    Args:
        waveform: `[T]`.
        sample_rate: Of the waveform (Hz).
        hop: Samples a frame.
    """
    frames = len(waveform) // hop
    if not frames:
        return torch.zeros(0, 2 * _COEFFICIENTS)
    spectrogram, cosines = _transforms(sample_rate, hop)
    # The transform's frame n is around sample n * hop, and mirrors what is missing at the ends.
    power = spectrogram(F.pad(waveform[hop // 2 :], (0, hop + spectrogram.n_fft)))[:, :frames]
    floor = (_FLOOR * power.max()).clamp(min=_LEAST_POWER)
    coefficients = cosines.T @ (power + floor).log()
    return torch.cat([coefficients, compute_deltas(coefficients, _DELTA_FRAMES)]).T


@lru_cache
def _transforms(sample_rate: int, hop: int) -> tuple[MelSpectrogram, Tensor]:
    """To powers of mel bands, and from their logarithms `[bands]` to coefficients: `[bands, coefficients]`."""
    window = round(_WINDOW_SECONDS * sample_rate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of bands so narrow that no frequency falls into them.
        spectrogram = MelSpectrogram(
            sample_rate,
            n_fft=max(512, 1 << (window - 1).bit_length()),
            win_length=window,
            hop_length=hop,
            f_min=_LOWEST_HZ,
            f_max=min(_HIGHEST_HZ, sample_rate / 2),
            n_mels=_BANDS,
        )
    return spectrogram, create_dct(_COEFFICIENTS, _BANDS, norm="ortho")
