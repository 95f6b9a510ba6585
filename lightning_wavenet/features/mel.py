"""Mel spectrograms, what most vocoders are conditioned on."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torchaudio.functional import melscale_fbanks

from lightning_wavenet.errors import RequestError
from lightning_wavenet.features.extractor import Extractor, Utterance


class MelSpectrogram(Extractor):
    """Logarithm (natural) of the magnitude in mel bands, in Hann windows around the middle of each frame's samples.

    Args:
        hop: Samples a frame.
        window: Samples of a window; beyond the clip is silence.
        bands: F, number of bands.
        low_hz: Where the lowest band begins (Hz).
        high_hz: Where the highest band ends (Hz); null: half the sample rate.
        floor: Smallest magnitude; a sine of full scale has about 1.
    """

    name = "mel"

    def __init__(
        self,
        hop: int = 200,
        window: int = 800,
        bands: int = 80,
        low_hz: float = 0.0,
        high_hz: float | None = None,
        floor: float = 1e-5,
    ) -> None:
        if min(hop, window, bands) < 1 or floor <= 0 or low_hz < 0:
            raise RequestError(
                f"mel: hop, window, bands and floor must be positive and low_hz not negative, got {hop}, {window}, "
                f"{bands}, {floor} and {low_hz}"
            )
        self.hop = hop
        self.window = window
        self.bands = bands
        self.low_hz = low_hz
        self.high_hz = high_hz
        self.floor = floor

    @property
    def channels(self) -> int:
        """One a band."""
        return self.bands

    def extract(self, utterance: Utterance) -> NDArray[np.float32]:
        """Frames `[bands, ceil(T / hop)]`.

        Raises:
            RequestError: The bands do not fit the sample rate.
        """
        rate = utterance.sample_rate
        high = self.high_hz or rate / 2
        if not self.low_hz < high <= rate / 2:
            raise RequestError(f"mel: bands from {self.low_hz:g} to {high:g} Hz do not fit audio at {rate} Hz")
        count = -(-len(utterance.waveform) // self.hop)
        before = (self.window - self.hop) // 2  # Negative for a window that is shorter than the hop.
        silence = np.zeros(max(before, 0), np.float32), np.zeros(self.window + self.hop, np.float32)
        padded = np.concatenate([silence[0], utterance.waveform[max(-before, 0) :], silence[1]])
        hann = torch.hann_window(self.window)
        spectrum = torch.fft.rfft(torch.from_numpy(padded).unfold(0, self.window, self.hop)[:count] * hann)
        bank = melscale_fbanks(self.window // 2 + 1, self.low_hz, high, self.bands, rate)
        magnitude = (spectrum.abs() * (2 / hann.sum())) @ bank
        frames: NDArray[np.float32] = magnitude.clamp(min=self.floor).log().T.contiguous().numpy()
        return frames
