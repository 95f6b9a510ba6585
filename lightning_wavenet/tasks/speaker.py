"""Multi-speaker speech (section 3.1): one model of many voices, conditioned on who speaks."""

from __future__ import annotations

from collections.abc import Callable

from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable

from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.models import SpeakerModel
from lightning_wavenet.tasks.base import BackboneCallable
from lightning_wavenet.tasks.generation import GenerationTask


class SpeakerWaveNet(GenerationTask):
    """Trains a `SpeakerModel` of the speakers of a corpus.

    Args:
        backbone: Makes the net.
        embedding: None feeds the speaker as a one-hot vector, as the paper has it; a number learns an embedding of
            that width.
        optimizer: Makes the optimizer from the named parameters; None: Adam as it comes.
        lr_scheduler: Makes a learning-rate schedule from the optimizer, stepped every training step; None for none.
        noise: As `GenerationTask`.
    """

    def __init__(
        self,
        backbone: BackboneCallable = WaveNet,
        embedding: int | None = None,
        optimizer: OptimizerCallable | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
        noise: float = 0.0,
    ) -> None:
        super().__init__(backbone, optimizer, lr_scheduler, noise)
        self.embedding = embedding

    def build(self, vocabulary: Vocabulary) -> SpeakerModel:
        """The model for a corpus.

        Raises:
            ValueError: The corpus names no speakers, or the width is not positive.
        """
        if not vocabulary.speakers:
            raise ValueError("SpeakerWaveNet is conditioned on speakers, and the corpus names none")
        if self.embedding is not None and self.embedding < 1:
            raise ValueError(f"an embedding needs a width: model.embedding is {self.embedding}")
        width = len(vocabulary.speakers) if self.embedding is None else self.embedding
        make: Callable[..., WaveNet] = self.backbone
        return SpeakerModel(make(global_channels=width), vocabulary, self.embedding is not None)
