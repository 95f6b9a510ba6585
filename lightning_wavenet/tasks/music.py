"""Music (section 3.3), conditioned on nothing or on tags."""

from __future__ import annotations

from collections.abc import Callable

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.data.batch import Batch
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.models import MusicModel
from lightning_wavenet.tasks.base import BackboneCallable
from lightning_wavenet.tasks.generation import GenerationTask


class MusicWaveNet(GenerationTask):
    """Trains a `MusicModel` on the clips of a corpus, and its tags.

    Args:
        backbone: Makes the net.
        tags: Whether the net is told the tags.
        tag_dropout: Part of the clips whose tags are all left out in training, so that the net learns music without
            tags too, from which guidance leads away in generation (arXiv 2207.12598).
        optimizer: Makes the optimizer from the named parameters; None: Adam as it comes.
        lr_scheduler: Makes a learning-rate schedule from the optimizer, stepped every training step; None for none.
        noise: As `GenerationTask`.
    """

    def __init__(
        self,
        backbone: BackboneCallable = WaveNet,
        tags: bool = True,
        tag_dropout: float = 0.0,
        optimizer: OptimizerCallable | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
        noise: float = 0.0,
    ) -> None:
        super().__init__(backbone, optimizer, lr_scheduler, noise)
        if not 0 <= tag_dropout < 1 or (tag_dropout and not tags):
            raise ValueError(f"model.tag_dropout is from 0 to below 1, of a net that is told tags; got {tag_dropout}")
        self.tags = tags
        self.tag_dropout = tag_dropout

    def build(self, vocabulary: Vocabulary) -> MusicModel:
        """The model for a corpus.

        Raises:
            ValueError: The corpus has no tags, and the net is to be told them.
        """
        if self.tags and not vocabulary.tags:
            raise ValueError("model.tags is true, and the corpus has no tags")
        make: Callable[..., WaveNet] = self.backbone
        return MusicModel(make(global_channels=len(vocabulary.tags) if self.tags else 0), vocabulary)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """As `GenerationTask`, without the tags of some clips."""
        if self.tag_dropout and batch.tags is not None:
            kept = torch.rand(len(batch.tags), 1, device=batch.tags.device) >= self.tag_dropout
            batch = batch._replace(tags=batch.tags * kept)
        return super().training_step(batch, batch_idx)
