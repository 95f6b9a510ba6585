"""How far generated audio is from recordings, where no two clips correspond."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torchaudio.functional import melscale_fbanks

BANDS = 40
SOUNDING_DB = 40.0


def level_db(waveform: Tensor) -> float:
    """RMS level of `[T]` in dB relative to full scale, not below -120."""
    return float(10 * torch.log10(waveform.square().mean().clamp(min=1e-12)))


def mean_spectrum(clips: Sequence[Tensor], sample_rate: int) -> Tensor:
    """Mean log spectrum in dB of what sounds in some clips `[T]`, over 40 mel bands: `[40]`.

    Hann windows of about 32 ms with half overlap, of which those count that are within 40 dB of the loudest: how much
    of a clip is silent has no influence.
    """
    size = 2 ** round(math.log2(0.032 * sample_rate))
    window = torch.hann_window(size)
    powers = []
    for clip in clips:
        padded = F.pad(clip.float(), (0, max(0, size - len(clip))))
        spectrum = torch.stft(padded, size, size // 2, window=window, center=False, return_complex=True)
        powers.append(spectrum.abs().square())
    bank = melscale_fbanks(size // 2 + 1, 0.0, sample_rate / 2, BANDS, sample_rate)
    bank = bank / bank.sum(0).clamp(min=1e-9)
    bands = 10 * torch.log10((bank.T @ torch.cat(powers, dim=1)) / window.square().sum() + 1e-9)
    loudness = torch.logsumexp(bands * (math.log(10) / 10), dim=0) * (10 / math.log(10))
    return bands[:, loudness >= loudness.max() - SOUNDING_DB].mean(1)


def spectral_distance_db(generated: Sequence[Tensor], recorded: Sequence[Tensor], sample_rate: int) -> float:
    """Root-mean-square difference in dB between the mean log spectra of two sets of clips `[T]`.

    Says whether level and timbre are right on the whole; says nothing of what happens over time.
    """
    difference = mean_spectrum(generated, sample_rate) - mean_spectrum(recorded, sample_rate)
    return float(difference.square().mean().sqrt())
