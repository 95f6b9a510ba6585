"""Mel-cepstral distortion: how far apart the spectra of two utterances of a sentence are, frame by frame."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchaudio.functional import create_dct
from torchaudio.transforms import MelSpectrogram

from lightning_wavenet.metrics.spectrum import SOUNDING_DB

BANDS, COEFFICIENTS = 40, 24
_WINDOW_SECONDS = 0.025
_HIGHEST_HZ = 8_000.0
_FLOOR = 1e-8
"""Of the loudest band's power: 80 dB below it is silence."""
_LEAST_POWER = 1e-10


class Cepstra(NamedTuple):
    """Mel cepstra of an utterance; frame n is the sound around the middle of samples n * hop to (n + 1) * hop - 1."""

    coefficients: Tensor
    """c_1 to c_24, `[N, 24]`: the amplitude of a band at x, from 0 to 1 of the mel scale, is about
    exp(c_0 + sum of c_m cos(pi m x))."""
    level_db: Tensor
    """Power over all bands, `[N]`."""

    @property
    def sounding(self) -> Tensor:
        """Frames within 40 dB of the loudest, bool `[N]`."""
        return self.level_db >= self.level_db.max() - SOUNDING_DB


def mel_cepstra(waveform: Tensor, sample_rate: int, hop: int) -> Cepstra:
    """Mel cepstra of an utterance, of ceil(T / hop) frames.

    Hann windows of 25 ms, powers in 40 triangular bands of HTK's mel scale from 0 to 8 kHz or half the sample rate, and
    of their logarithms the cosine transform that `cepstra_of_bands` describes.

    Args:
        waveform: `[T]`.
        sample_rate: In Hz.
        hop: Samples a frame.
    """
    count = -(-len(waveform) // hop)
    spectrogram = _spectrogram(sample_rate, hop)
    # The transform's frame n is around sample n * hop, and mirrors what is missing before the first.
    power = spectrogram(F.pad(waveform.float()[hop // 2 :], (0, hop + spectrogram.n_fft)))[:, :count].T
    power = power + (_FLOOR * power.max()).clamp(min=_LEAST_POWER)
    return Cepstra(cepstra_of_bands(power), 10 * power.sum(1).log10())


def cepstra_of_bands(power: Tensor) -> Tensor:
    """c_1 to c_24 of powers of bands `[N, B]`: `[N, 24]`.

    The orthonormal DCT-II of the natural logarithm of the amplitudes, times sqrt(2 / B): on the scale of cepstra whose
    series has c_m cos(pi m x), such as SPTK's, for which `distances_db` is the customary formula.
    """
    bands = power.shape[1]
    amplitudes = power.log() / 2
    return math.sqrt(2 / bands) * amplitudes @ create_dct(bands, bands, norm="ortho")[:, 1 : COEFFICIENTS + 1].to(power)


def distances_db(first: Tensor, second: Tensor) -> Tensor:
    """Mel-cepstral distortion of every pair of frames, `[..., N, 24]` and `[..., M, 24]`: `[..., N, M]` in dB.

    10 / ln 10 * sqrt(2 * sum of squared differences of c_1 to c_24) (Kubichek, 1993), which is the RMS difference over
    the mel scale of two smoothed spectra in dB, whatever their levels.
    """
    exact = "donot_use_mm_for_euclid_dist"  # The faster way rounds what is near 0.
    return 10 / math.log(10) * math.sqrt(2) * torch.cdist(first, second, compute_mode=exact)


@lru_cache
def _spectrogram(sample_rate: int, hop: int) -> MelSpectrogram:
    window = round(_WINDOW_SECONDS * sample_rate)
    return MelSpectrogram(
        sample_rate,
        n_fft=1 << (2 * window - 1).bit_length(),
        win_length=window,
        hop_length=hop,
        f_max=min(_HIGHEST_HZ, sample_rate / 2),
        n_mels=BANDS,
    )
