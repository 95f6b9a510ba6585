"""Mel-frequency cepstra: the sound of a moment in a few numbers, for telling phones apart."""

from __future__ import annotations

import warnings
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F
from torchaudio.functional import compute_deltas
from torchaudio.transforms import MFCC

_WINDOW_SECONDS = 0.02
_BANDS, _COEFFICIENTS = 40, 13
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 8_000.0
_DELTA_FRAMES = 5


def cepstra(waveform: Tensor, sample_rate: int, hop: int) -> Tensor:
    """13 mel-frequency cepstral coefficients of every whole frame and their slopes, `[N, 26]`.

    Frame n is the sound around the middle of samples n * hop to (n + 1) * hop - 1.

    Args:
        waveform: `[T]`.
        sample_rate: Of the waveform (Hz).
        hop: Samples a frame.
    """
    frames = len(waveform) // hop
    transform = _transform(sample_rate, hop)
    # The transform's frame n is around sample n * hop, and mirrors what is missing at the ends.
    shifted = F.pad(waveform[hop // 2 :], (0, hop + transform.MelSpectrogram.n_fft))
    coefficients = transform(shifted)[:, :frames]
    if not frames:
        return torch.zeros(0, 2 * _COEFFICIENTS)
    return torch.cat([coefficients, compute_deltas(coefficients, _DELTA_FRAMES)]).T


@lru_cache
def _transform(sample_rate: int, hop: int) -> MFCC:
    window = round(_WINDOW_SECONDS * sample_rate)
    options = {
        "n_fft": max(512, 1 << (window - 1).bit_length()),
        "win_length": window,
        "hop_length": hop,
        "n_mels": _BANDS,
        "f_min": _LOWEST_HZ,
        "f_max": min(_HIGHEST_HZ, sample_rate / 2),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of bands so narrow that no frequency falls into them.
        return MFCC(sample_rate, _COEFFICIENTS, melkwargs=options)
