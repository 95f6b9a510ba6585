"""Logarithm of the fundamental frequency, and whether there is one: what the voice's melody is told by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from lightning_wavenet.errors import RequestError
from lightning_wavenet.features.extractor import Extractor, Kept, Utterance

_LOWEST_RATE = 8_000
_RATE_OF_LOVE_TRAIN = 16_000
"""Hz: it compares what is below 4 kHz with what is below 7.9 kHz."""
_LOVE_TRAIN = 0.85
"""Part of the power that a voice has there, as D4C has it."""
_SHORTEST = 0.1
"""Seconds of audio that WORLD is given at least."""
_LEAST_DEVIATION = 0.05
"""Of log F0, less than a semitone: a voice that has less is monotonous, and its jitter is no melody."""
_NO_VOICE = (5.0, 1.0)
"""Mean and deviation where no frame of a corpus is voiced; e ** 5 is 148 Hz."""
_DIGITS = 6


class LogF0(Extractor):
    """Two channels: log F0 (Hz, natural logarithm), normalized by the speaker's mean and deviation, and V/UV.

    Measured in the middle of each frame's samples by WORLD (Morise et al., 2016). Through unvoiced frames log F0 is
    interpolated on a straight line, and before the first voiced frame and after the last it stays what it is there; in
    a clip without a voiced frame it is the mean. V/UV is 1 in voiced frames and 0 elsewhere; below 16 kHz it is that of
    the tracker alone, which holds some noise and silence for voices.

    Mean and deviation are those of a speaker's voiced frames, in the training split where the speaker has some there.
    A speaker without a voiced frame, and one that neither model nor corpus knows, has those of all speakers together.

    Args:
        hop: Samples a frame; 80 are 5 ms at 16 kHz.
        method: "harvest", the more careful, or "dio": DIO and StoneMask, several times as fast.
        low_hz: Lowest F0 that is looked for (Hz).
        high_hz: Highest (Hz).

    Attributes:
        speakers: Mean and deviation of log F0 of each speaker by name; of all together under the empty name.
    """

    name = "f0"
    reads = frozenset()
    fitted = ("speakers",)
    channels = 2
    channel_names = ("log F0", "voiced")

    def __init__(
        self,
        hop: int = 80,
        method: Literal["harvest", "dio"] = "harvest",
        low_hz: float = 60.0,
        high_hz: float = 600.0,
    ) -> None:
        if hop < 1 or not 0 < low_hz < high_hz:
            raise RequestError(
                f"f0: hop must be positive and 0 < low_hz < high_hz, got {hop}, {low_hz:g} and {high_hz:g}"
            )
        if method not in ("harvest", "dio"):
            raise RequestError(f"f0: method is harvest or dio, not {method}")
        self.hop = hop
        self.method: Literal["harvest", "dio"] = method
        self.low_hz = low_hz
        self.high_hz = high_hz
        self.speakers: Mapping[str, Sequence[float]] = {"": _NO_VOICE}

    def track(self, waveform: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
        """F0 (Hz) in the middle of every frame, 0 where there is none: `[ceil(T / hop)]`.

        Raises:
            RequestError: The rate is too low, or the extra `speech` is not installed.
        """
        if rate < _LOWEST_RATE or self.high_hz > rate / 4:
            raise RequestError(
                f"f0: audio at {rate} Hz does not do for F0 up to {self.high_hz:g} Hz; it needs {_LOWEST_RATE} Hz and "
                "four times high_hz"
            )
        try:
            world = import_module("pyworld")
        except ImportError as error:
            raise RequestError('F0 needs pyworld: pip install "lightning-wavenet[speech]"') from error
        count = -(-len(waveform) // self.hop)
        padded = np.zeros(max(count * self.hop + self.hop, round(_SHORTEST * rate)))
        padded[: len(waveform)] = waveform
        # Every other frame of half the hop is in the middle of one of the whole.
        options = {"f0_floor": self.low_hz, "f0_ceil": self.high_hz, "frame_period": 500 * self.hop / rate}
        if self.method == "dio":
            rough, times = world.dio(padded, rate, **options)
            f0 = world.stonemask(padded, rough, times, rate)
        else:
            f0, times = world.harvest(padded, rate, **options)
        f0, times = np.ascontiguousarray(f0[1::2][:count]), np.ascontiguousarray(times[1::2][:count])
        if rate >= _RATE_OF_LOVE_TRAIN:
            # Both follow a voice into silence and noise. D4C's own test (LoveTrain) looks for power below 4 kHz.
            aperiodicity = world.d4c(padded, f0, times, rate, threshold=_LOVE_TRAIN)
            f0[aperiodicity[:, 0] > 1 - 1e-6] = 0
        tracked: NDArray[np.float64] = f0
        return tracked

    def extract(self, utterance: Utterance) -> NDArray[np.float32]:
        """As `keep`, of what `track` finds."""
        return self.keep(self.track(utterance.waveform, utterance.sample_rate))

    def keep(self, f0: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """What is kept of a track of F0 (Hz) `[N]`, 0 where there is none: log F0 (NaN without a voice) and V/UV."""
        voiced = np.asarray(f0) > 0
        kept = np.full((2, len(voiced)), np.nan, np.float32)
        if voiced.any():
            at = np.flatnonzero(voiced)
            kept[0] = np.interp(np.arange(len(voiced)), at, np.log(np.asarray(f0, np.float64)[at]))
        kept[1] = voiced
        return kept

    def fit(self, clips: Iterable[Kept]) -> Self:
        """With the mean and the deviation of every speaker's voiced log F0."""
        sums: dict[tuple[str, bool], NDArray[np.float64]] = defaultdict(lambda: np.zeros(3))
        for kept, speaker, trained_on in clips:
            if kept.size:
                voiced = kept[0, kept[1] > 0].astype(np.float64)
                sums[speaker, trained_on] += (len(voiced), voiced.sum(), np.square(voiced).sum())
        names = sorted({speaker for speaker, _ in sums})
        found = {
            name: statistics
            for name in names
            if (statistics := _statistics(sums[name, True]) or _statistics(sums[name, False])) is not None
        }
        together = [sum((sums[name, split] for name in names), np.zeros(3)) for split in (True, False)]
        pooled = _statistics(together[0]) or _statistics(together[1]) or list(_NO_VOICE)
        return self.with_fitted(speakers=found | {"": pooled})

    def adopt(self, fitted: Mapping[str, Any]) -> Self:
        """With a model's statistics; speakers whom the model does not know keep those of the corpus."""
        return self.with_fitted(speakers={**self.speakers, **fitted["speakers"]})

    def expand(self, kept: NDArray[np.float32], first: int, stop: int, speaker: str = "") -> NDArray[np.float32]:
        """Frames first to stop - 1, `[2, n]`."""
        mean, deviation = self.statistics(speaker)
        frames = kept[:, first:stop].copy()
        frames[0] = np.nan_to_num((frames[0] - np.float32(mean)) / np.float32(deviation))
        return frames

    def statistics(self, speaker: str = "") -> tuple[float, float]:
        """Mean and deviation of a speaker's log F0."""
        mean, deviation = self.speakers.get(speaker) or self.speakers[""]
        return float(mean), float(deviation)

    def hertz(self, frames: NDArray[np.floating[Any]], speaker: str = "") -> NDArray[np.float64]:
        """F0 (Hz) of frames `[2, N]`, 0 where V/UV is below a half: `[N]`."""
        mean, deviation = self.statistics(speaker)
        return np.where(frames[1] >= 0.5, np.exp(frames[0].astype(np.float64) * deviation + mean), 0.0)


def _statistics(sums: NDArray[np.float64]) -> list[float] | None:
    """Mean and deviation from number, sum and sum of squares; None of nothing."""
    count, total, squares = sums
    if not count:
        return None
    mean = total / count
    deviation = max(float(np.sqrt(max(squares / count - mean**2, 0.0))), _LEAST_DEVIATION)
    # Few digits, so that another CPU's rounding makes no other vocabulary.
    return [round(float(mean), _DIGITS), round(deviation, _DIGITS)]
