"""Multi-speaker speech (section 3.1): one model of many voices, conditioned on who speaks."""

from __future__ import annotations

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import nn
from torch.nn import functional as F

from lightning_wavenet.backbone import Conditions, WaveNet
from lightning_wavenet.batch import Batch
from lightning_wavenet.errors import RequestError
from lightning_wavenet.tasks.generation import GenerationTask
from lightning_wavenet.vocabulary import Vocabulary


class SpeakerWaveNet(GenerationTask):
    """p(x | h) of equation (3) with h the speaker, as a one-hot vector or an embedding.

    Args:
        backbone: The net; its global_channels is the number of speakers, or the width of the embedding.
        speakers: Number of speakers; must be that of the corpus.
        embedding: False feeds the one-hot vector, as the paper has it; True learns an embedding of
            `backbone.global_channels` numbers a speaker.
        optimizer: Makes the optimiser from the parameters.
        lr_scheduler: Makes a learning-rate schedule from the optimiser, stepped every training step; None for none.
    """

    def __init__(
        self,
        backbone: WaveNet,
        speakers: int,
        embedding: bool = False,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(backbone, optimizer, lr_scheduler)
        if not embedding and backbone.global_channels != speakers:
            raise ValueError(
                f"one-hot speakers need one global channel each: speakers is {speakers}, backbone.global_channels is "
                f"{backbone.global_channels}"
            )
        if embedding and not backbone.global_channels:
            raise ValueError("an embedding needs a width: set backbone.global_channels")
        self.speakers = speakers
        self.embedding = embedding
        self.voices = nn.Embedding(speakers, backbone.global_channels) if embedding else None

    def condition(self, batch: Batch) -> Conditions:
        """The speaker of each clip, `[B, global_channels]`."""
        if batch.speaker is None:
            raise RequestError("SpeakerWaveNet needs clips with speakers, and the corpus names none")
        if self.voices is not None:
            return Conditions(vector=self.voices(batch.speaker))
        return Conditions(vector=F.one_hot(batch.speaker, self.speakers).to(self.dtype))

    def check(self, vocabulary: Vocabulary) -> None:
        """The corpus must have as many speakers as the net.

        Raises:
            RequestError: It has more or fewer.
        """
        if len(vocabulary.speakers) != self.speakers:
            raise RequestError(
                f"the corpus has {len(vocabulary.speakers)} speakers, but model.speakers is {self.speakers}: set both "
                "to the same number"
            )
