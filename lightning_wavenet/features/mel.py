"""Mel spectrograms, what most vocoders are conditioned on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchaudio.functional import melscale_fbanks

from lightning_wavenet.errors import RequestError
from lightning_wavenet.features.extractor import Extractor, Kept, Unusable, Utterance
from lightning_wavenet.features.mel_files import must_be_logarithms, read_mel

_UNDER_THE_ROOT = 1e-9
"""HiFi-GAN adds it to the square of every magnitude, which moves what is near the floor by a hundredth."""
_LOUDEST = 2.0
"""Logarithm of what a sine of full scale has, where no clip was seen."""
_LEAST_DEVIATION = 0.1
"""Of logarithms: a corpus that has less is of one sound, whose noise is not to be blown up."""
_DIGITS = 6
_NEARER = 0.9
"""Part of the squared error that frames have in one framing which tells that they are of the other, if it is less."""

Framing = Literal["hifi-gan", "tacotron2"]


class MelSpectrogram(Extractor):
    """Natural logarithm of the magnitude in mel bands, normalized by the corpus's mean and deviation.

    As HiFi-GAN, Tacotron 2 and most front ends make it: magnitudes of a Fourier transform under Hann windows, not
    divided by the window's sum; bands of Slaney's mel scale and of equal area; beyond its ends the clip is mirrored.
    The defaults are those of HiFi-GAN at 22,050 Hz.

    The framing says which samples the window of frame 0 covers. With "hifi-gan" these are -(window - hop) / 2 to
    (window + hop) / 2 - 1, around the middle of samples 0 to hop - 1. With "tacotron2", which librosa calls centered,
    they are -window / 2 to window / 2 - 1, around sample 0. Of a clip of T samples HiFi-GAN itself makes T // hop
    frames, none of a last part of a hop, and Tacotron 2 makes 1 + T // hop, one too many where T is a multiple of the
    hop; here both have ceil(T / hop).

    Mean and deviation are those of all bands together over the training split, or over all clips where that is empty.

    Args:
        hop: Samples a frame.
        window: Samples of a window, and of its Fourier transform; at least the hop.
        bands: F, number of bands.
        low_hz: Where the lowest band begins (Hz).
        high_hz: Where the highest band ends (Hz); null: half the sample rate.
        floor: Smallest magnitude.
        framing: "hifi-gan" or "tacotron2".

    Attributes:
        mean: Of the logarithms.
        deviation: Theirs.
        lowest: The lowest of them.
        highest: The highest.
    """

    name = "mel"
    version = 2
    takes_frames = True
    fitted = ("mean", "deviation", "lowest", "highest")

    def __init__(
        self,
        hop: int = 256,
        window: int = 1024,
        bands: int = 80,
        low_hz: float = 0.0,
        high_hz: float | None = 8_000.0,
        floor: float = 1e-5,
        framing: Framing = "hifi-gan",
    ) -> None:
        if min(hop, bands) < 1 or window < hop or floor <= 0 or low_hz < 0:
            raise RequestError(
                f"mel: hop, bands and floor must be positive, window at least hop and low_hz not negative, got {hop}, "
                f"{bands}, {floor:g}, {window} and {low_hz:g}"
            )
        if framing not in ("hifi-gan", "tacotron2"):
            raise RequestError(f"mel: framing is hifi-gan or tacotron2, not {framing}")
        self.hop = hop
        self.window = window
        self.bands = bands
        self.low_hz = low_hz
        self.high_hz = high_hz
        self.floor = floor
        self.framing: Framing = framing
        self.mean, self.deviation = 0.0, 1.0
        self.lowest, self.highest = math.log(floor), _LOUDEST

    @property
    def channels(self) -> int:
        """One a band."""
        return self.bands

    def extract(self, utterance: Utterance) -> NDArray[np.float32]:
        """Logarithms `[bands, ceil(T / hop)]`: those of the utterance's file, or else of its audio.

        Raises:
            RequestError: The bands do not fit the sample rate.
            Unusable: The file is not one of such frames of this audio.
        """
        own = self.logarithms(utterance.waveform, utterance.sample_rate)
        if utterance.frames is None:
            return own
        frames = read_mel(utterance.frames, self.bands)
        must_be_logarithms(frames, float(own.min()), float(own.max()), self.floor)
        self._must_be_framed(frames, own, utterance)
        # HiFi-GAN makes none of a last part of a hop, which is then as the one before.
        missing = max(own.shape[1] - frames.shape[1], 0)
        return np.pad(frames[:, : own.shape[1]], ((0, 0), (0, missing)), mode="edge")

    def _must_be_framed(self, frames: NDArray[np.float32], own: NDArray[np.float32], utterance: Utterance) -> None:
        """Refuses frames of another framing or clip: by their number, and by what they are near to.

        Raises:
            Unusable: They are such frames.
        """
        samples = len(utterance.waveform)
        whole, kept = samples // self.hop, -(-samples // self.hop)
        made: dict[Framing, set[int]] = {"hifi-gan": {whole, kept}, "tacotron2": {kept, 1 + whole}}
        ours, count = made.pop(self.framing), frames.shape[1]
        ((other, theirs),) = made.items()
        place = f"{count:,} of {samples:,} samples"
        if count not in ours | theirs:
            raise Unusable(f"not as many frames as the clip has of {self.hop} samples", place)
        # Where both make as many: half a hop apart, one is nearer to what was made so, whatever a front end adds.
        if count in ours and count in theirs:
            others = self.logarithms(utterance.waveform, utterance.sample_rate, other)
            here, there = (float(np.square(frames[:, : one.shape[1]] - one[:, :count]).mean()) for one in (own, others))
            if there >= _NEARER * here:
                return
            place = f"mean squared error {there:.3g}, in {self.framing} {here:.3g}"
        elif count in ours:
            return
        raise Unusable(f"the frames are those of the {other} framing: say data.features.framing {other}", place)

    def read(self, path: Path) -> NDArray[np.float32]:
        """The frames of a file that a front end made for a model, `[bands, N]`, ready for `expand`.

        Raises:
            Unusable: The file cannot be read, or its values are not such as the model was trained on.
        """
        frames = read_mel(path, self.bands)
        must_be_logarithms(frames, self.lowest, self.highest, self.floor)
        return frames

    def logarithms(
        self, waveform: NDArray[np.float32], rate: int, framing: Framing | None = None
    ) -> NDArray[np.float32]:
        """Of the magnitudes of a waveform at a rate (Hz), `[bands, ceil(T / hop)]`, by default in one's own framing.

        Raises:
            RequestError: The bands do not fit the rate.
        """
        high = self.high_hz or rate / 2
        if not self.low_hz < high <= rate / 2:
            raise RequestError(f"mel: bands from {self.low_hz:g} to {high:g} Hz do not fit audio at {rate} Hz")
        length, hifi_gan = len(waveform), (framing or self.framing) == "hifi-gan"
        count = -(-length // self.hop)
        before = (self.window - self.hop) // 2 if hifi_gan else self.window // 2
        after = (count - 1) * self.hop + self.window - before - length
        # numpy mirrors as often as it takes, where a clip is shorter than half a window.
        padded = torch.from_numpy(np.pad(waveform, (before, max(after, 0)), mode="reflect"))
        # In double precision: rounded to less, a loud sound leaks into quiet bands.
        windows = padded.double().unfold(0, self.window, self.hop)[:count]
        power = torch.fft.rfft(windows * torch.hann_window(self.window, dtype=torch.float64)).abs().square()
        magnitude = (power + (_UNDER_THE_ROOT if hifi_gan else 0)).sqrt()
        in_bands = magnitude @ _bank(self.window, self.low_hz, high, self.bands, rate)
        frames: NDArray[np.float32] = in_bands.clamp(min=self.floor).log().float().T.contiguous().numpy()
        return frames

    def fit(self, clips: Iterable[Kept]) -> Self:
        """With mean, deviation and range of a corpus's logarithms."""
        seen = {True: _Seen(), False: _Seen()}
        for kept, _, trained_on in clips:
            seen[trained_on].add(kept)
        counted = seen[True] if seen[True].count else seen[False]
        return self.with_fitted(**counted.statistics()) if counted.count else self

    def expand(self, kept: NDArray[np.float32], first: int, stop: int, speaker: str = "") -> NDArray[np.float32]:
        """Frames first to stop - 1, `[bands, n]`: logarithms without mean and deviation."""
        return (kept[:, first:stop] - np.float32(self.mean)) / np.float32(self.deviation)


class _Seen:
    """Counts values of some clips."""

    def __init__(self) -> None:
        self.count, self.total, self.squares = 0, 0.0, 0.0
        self.lowest, self.highest = math.inf, -math.inf

    def add(self, values: NDArray[np.float32]) -> None:
        if values.size:
            self.count += values.size
            self.total += float(values.sum(dtype=np.float64))
            self.squares += float(np.square(values, dtype=np.float64).sum())
            self.lowest, self.highest = min(self.lowest, float(values.min())), max(self.highest, float(values.max()))

    def statistics(self) -> dict[str, float]:
        mean = self.total / self.count
        deviation = max(math.sqrt(max(self.squares / self.count - mean**2, 0.0)), _LEAST_DEVIATION)
        numbers = {"mean": mean, "deviation": deviation, "lowest": self.lowest, "highest": self.highest}
        # Few digits, so that another CPU's rounding makes no other vocabulary.
        return {name: round(number, _DIGITS) for name, number in numbers.items()}


@lru_cache
def _bank(window: int, low_hz: float, high_hz: float, bands: int, rate: int) -> Tensor:
    """What part of each frequency falls into each band, `[window // 2 + 1, bands]`."""
    return melscale_fbanks(window // 2 + 1, low_hz, high_hz, bands, rate, norm="slaney", mel_scale="slaney").double()
