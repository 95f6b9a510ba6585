"""Ways to alter a recording so that what is said in it stays the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray

from lightning_wavenet.errors import RequestError
from lightning_wavenet.text.phones import Phone

_LOUDEST_NOISE_DB = 20.0
"""Below the clip."""


@dataclass(frozen=True)
class Augmentation:
    """How whole clips are altered each time they are trained on, all at random; by default not at all."""

    speed: float = 0.0
    """Play faster or slower by up to this fraction, such as 0.1; pitch and formants move along."""
    level_db: float = 0.0
    """Louder or softer by up to this much (dB)."""
    noise_db: float | None = None
    """Add white noise at a level between 20 dB below the clip's RMS and this far below (dB), such as 50."""
    masks: int = 0
    """Up to so many stretches are silenced (SpecAugment, arXiv 1904.08779, on the waveform) ..."""
    mask_seconds: float = 0.05
    """... of up to this length (s)."""
    band_masks: int = 0
    """Up to so many bands of frequencies are taken out ..."""
    band_hz: float = 400.0
    """... of up to this width (Hz)."""

    def __post_init__(self) -> None:
        if not 0 <= self.speed < 0.5:
            raise RequestError(f"augmentation.speed is {self.speed}, but must be a fraction from 0 to below 0.5")
        if self.noise_db is not None and self.noise_db <= _LOUDEST_NOISE_DB:
            raise RequestError(f"augmentation.noise_db is {self.noise_db}, but must be above {_LOUDEST_NOISE_DB:g} dB")
        for name in ("level_db", "masks", "mask_seconds", "band_masks", "band_hz"):
            if getattr(self, name) < 0:
                raise RequestError(f"augmentation.{name} is {getattr(self, name)}, but must not be negative")

    def __bool__(self) -> bool:
        """Whether anything is altered."""
        return bool(self.speed or self.level_db or self.noise_db or self.masks or self.band_masks)

    def alter(
        self, waveform: NDArray[np.float32], phones: Sequence[Phone], sample_rate: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], list[Phone]]:
        """A clip and its phones, altered.

        Args:
            waveform: `[T]` in [-1, 1].
            phones: What is said when, in samples.
            sample_rate: Rate of the waveform (Hz).
            rng: Decides how.

        Returns:
            A waveform `[T']` in [-1, 1], and the phones in it.
        """
        percent = round(100 * rng.uniform(-self.speed, self.speed))
        if percent:
            pace = 100 / (100 + percent)
            played = torchaudio.functional.resample(torch.from_numpy(waveform), 100 + percent, 100)
            waveform = played.numpy()
            phones = [phone._replace(start=round(phone.start * pace), end=round(phone.end * pace)) for phone in phones]
        waveform = self._without_bands(waveform, sample_rate, rng)
        for _ in range(rng.integers(self.masks + 1)):
            length = int(rng.uniform(0, self.mask_seconds) * sample_rate)
            start = int(rng.integers(max(1, len(waveform) - length + 1)))
            waveform[start : start + length] = 0
        rms = float(np.sqrt(np.mean(waveform**2)))
        if self.noise_db is not None:
            level = rms * 10 ** (-rng.uniform(_LOUDEST_NOISE_DB, self.noise_db) / 20)
            waveform = waveform + level * rng.standard_normal(len(waveform), np.float32)
        waveform = waveform * np.float32(10 ** (rng.uniform(-self.level_db, self.level_db) / 20))
        return waveform.clip(-1, 1), list(phones)

    def _without_bands(
        self, waveform: NDArray[np.float32], sample_rate: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        bands = int(rng.integers(self.band_masks + 1))
        if not bands:
            return waveform.copy()
        spectrum = np.fft.rfft(waveform)
        hz = len(waveform) / sample_rate
        for _ in range(bands):
            width = rng.uniform(0, min(self.band_hz, sample_rate / 2))
            low = rng.uniform(0, sample_rate / 2 - width)
            spectrum[round(low * hz) : round((low + width) * hz)] = 0
        without: NDArray[np.float32] = np.fft.irfft(spectrum, len(waveform)).astype(np.float32)
        return without
