"""Text to speech (section 3.2): audio from linguistic features, from these and log F0, or from a mel spectrogram."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable

from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.backbone.conditioning import RepeatUpsampling, TransposedUpsampling
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.models import TTSModel
from lightning_wavenet.tasks.base import BackboneCallable, again
from lightning_wavenet.tasks.generation import GenerationTask

UpsamplingCallable = Callable[[int], TransposedUpsampling | RepeatUpsampling]
"""Makes what brings frames to the sample rate, given how many channels a frame has."""


class TTSWaveNet(GenerationTask):
    """Trains a `TTSModel` on the frames of a corpus, and its speakers.

    Args:
        upsampling: Brings frames to the sample rate; its hop is that of the features.
        backbone: Makes the net.
        features: Names of the features of the corpus that frames consist of, such as linguistic and f0; null: all.
        speaker: Whether the net is told who speaks.
        embedding: As `SpeakerWaveNet`, of a net that is told who speaks.
        optimizer: Makes the optimizer from the named parameters; None: Adam as it comes.
        lr_scheduler: Makes a learning-rate schedule from the optimizer, stepped every training step; None for none.
        noise: As `GenerationTask`.
    """

    def __init__(
        self,
        upsampling: UpsamplingCallable,
        backbone: BackboneCallable = WaveNet,
        features: Sequence[str] | None = None,
        speaker: bool = False,
        embedding: int | None = None,
        optimizer: OptimizerCallable | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
        noise: float = 0.0,
    ) -> None:
        super().__init__(backbone, optimizer, lr_scheduler, noise)
        if embedding is not None and (embedding < 1 or not speaker):
            raise ValueError(f"model.embedding is a positive width, of a model.speaker that is true; got {embedding}")
        self.upsampling = upsampling
        self.features = None if features is None else list(features)
        self.speaker = speaker
        self.embedding = embedding

    def build(self, vocabulary: Vocabulary) -> TTSModel:
        """The model for a corpus.

        Raises:
            ValueError: The corpus has no such frames, or names no speakers.
        """
        if not vocabulary.features:
            raise ValueError("TTSWaveNet is conditioned on frames: say with data.features what makes them")
        if self.speaker and not vocabulary.speakers:
            raise ValueError("model.speaker is true, and the corpus names no speakers")
        if self.features is not None:
            vocabulary = vocabulary.with_features(self.features)
        width = self.embedding or len(vocabulary.speakers) if self.speaker else 0
        make: Callable[..., WaveNet] = self.backbone
        net = make(global_channels=width, upsampling=self.upsampling(vocabulary.frame_channels))
        return TTSModel(net, vocabulary, self.embedding is not None)

    @classmethod
    def makers(cls, model: TTSModel) -> dict[str, Callable[..., Any]]:
        """As those of all tasks, with that of the upsampling."""
        upsampling = model.backbone.upsampling
        return super().makers(model) | {"upsampling": lambda channels: again(upsampling, frame_channels=channels)}
