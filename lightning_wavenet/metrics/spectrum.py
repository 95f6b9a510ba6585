"""How far generated audio is from recordings, where no two clips correspond."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchaudio.functional import melscale_fbanks

BANDS = 40
FLOOR_DB = -80.0


def level_db(waveform: Tensor) -> float:
    """RMS level of `[T]` in dB relative to full scale, not below -120."""
    return float(10 * torch.log10(waveform.square().mean().clamp(min=1e-12)))


def mean_spectrum(clips: Sequence[Tensor], sample_rate: int) -> Tensor:
    """Long-term spectrum in dB over 40 mel bands, `[40]`, of all clips `[T]` together.

    Power over Hann windows of 32 ms with half overlap, averaged over time, floored at -80 dB.
    """
    size = 2 ** round(torch.log2(torch.tensor(0.032 * sample_rate)).item())
    window = torch.hann_window(size)
    power = torch.cat(
        [
            torch.stft(
                torch.nn.functional.pad(clip.float(), (0, max(0, size - len(clip)))),
                size,
                size // 2,
                window=window,
                center=False,
                return_complex=True,
            )
            .abs()
            .square()
            for clip in clips
        ],
        dim=1,
    )
    bank = melscale_fbanks(size // 2 + 1, 0.0, sample_rate / 2, BANDS, sample_rate)
    bands = bank.T @ power.mean(1) / window.square().sum() / bank.sum(0).clamp(min=1e-9)
    return (10 * torch.log10(bands.clamp(min=1e-12))).clamp(min=FLOOR_DB)


def spectral_distance_db(generated: Sequence[Tensor], recorded: Sequence[Tensor], sample_rate: int) -> float:
    """Root-mean-square difference in dB between the long-term mel spectra of two sets of clips `[T]`.

    Says whether level and timbre are right on the whole; says nothing of what happens over time.
    """
    difference = mean_spectrum(generated, sample_rate) - mean_spectrum(recorded, sample_rate)
    return float(difference.square().mean().sqrt())
