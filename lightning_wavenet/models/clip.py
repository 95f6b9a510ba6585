"""Generated clips, and what is written beside every wav about how it came to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from lightning_wavenet import __version__
from lightning_wavenet.files.audio import write_clip


@dataclass(frozen=True)
class ClipDescription:
    """What is known of a wav, written beside it as JSON; None where it does not apply.

    Attributes:
        id: Name of the clip, or id of the utterance.
        sample_rate_hz: Rate.
        seconds: Length (s).
        text: What is said.
        conditions: What it was generated under, by name, such as {"speaker": "p225"}.
        recorded: Whether it is a recording, and not generated.
        seed: Decides every draw.
        sampling: Options of the draws, by name, such as {"temperature": 1.0}.
        prime_seconds: How much of a recording comes before the clip, which continues it (s).
        prime: That recording: a file, or the id of an utterance.
        codec: What samples were coded as.
        engine: What generated it.
        precision: Of the engine's products.
        model: Class of the model.
        weights_sha256: `Model.digest`.
        checkpoint: File of the model.
        step: Training step of the weights.
        rtf: Seconds of compute a second of audio, where that was measured.
        version: Of lightning-wavenet.
    """

    id: str
    sample_rate_hz: int
    seconds: float
    text: str | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)
    recorded: bool = False
    seed: int | None = None
    sampling: Mapping[str, float] | None = None
    prime_seconds: float | None = None
    prime: str | None = None
    codec: str | None = None
    engine: str | None = None
    precision: str | None = None
    model: str | None = None
    weights_sha256: str | None = None
    checkpoint: str | None = None
    step: int | None = None
    rtf: float | None = None
    version: str = __version__


@dataclass(frozen=True, eq=False)
class Clip:
    """Audio and its description.

    Attributes:
        waveform: float32 `[T]` in [-1, 1].
        description: How it came to be.
    """

    waveform: Tensor
    description: ClipDescription

    @classmethod
    def recording(
        cls,
        waveform: Tensor,
        id: str,
        sample_rate: int,
        text: str | None = None,
        conditions: Mapping[str, Any] | None = None,
    ) -> Clip:
        """A recording `[T]`, to lie beside generated clips."""
        seconds = len(waveform) / sample_rate
        return cls(waveform, ClipDescription(id, sample_rate, seconds, text, conditions or {}, recorded=True))

    @property
    def sample_rate(self) -> int:
        """In Hz."""
        return self.description.sample_rate_hz

    def save(self, path: str | Path) -> Path:
        """Writes a 16-bit wav, and beside it a spectrogram (.png) and the description (.json).

        Args:
            path: Of the wav; its folder is made, and a suffix .wav may be left out.

        Returns:
            The wav's path.
        """
        path = Path(path)
        stem = path.with_suffix("") if path.suffix == ".wav" else path
        return write_clip(stem, self.waveform, self.sample_rate, asdict(self.description))
