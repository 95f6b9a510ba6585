"""What tasks share that generate audio: the likelihood of the next sample, and streams under conditions."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from lightning_wavenet.backbone import Conditions, WaveNet
from lightning_wavenet.batch import Batch
from lightning_wavenet.metrics import BitsPerSample
from lightning_wavenet.sampling import Sampler, Stream
from lightning_wavenet.tasks.base import BaseTask


class GenerationTask(BaseTask):
    """Trains a WaveNet by maximum likelihood of the next sample (equations 1 and 3).

    A task says what the backbone is conditioned on (`condition`).

    Args:
        backbone: The net.
        optimizer: Makes the optimiser from the parameters.
        lr_scheduler: Makes a learning-rate schedule from the optimiser, stepped every training step, and
            `ReduceLROnPlateau` with the "val/bits" of every validation; None for none.
    """

    criterion = "bits"

    def __init__(
        self,
        backbone: WaveNet,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(backbone, optimizer, lr_scheduler)
        self.validation_bits = BitsPerSample()
        self.test_bits = BitsPerSample()

    @abstractmethod
    def condition(self, batch: Batch) -> Conditions:
        """What the backbone is conditioned on for a batch."""

    def unit(self) -> str:
        """Bits, of which codec and at which rate."""
        assert self.vocabulary is not None
        return f"bits per sample ({self.backbone.distribution.codec}, {self.vocabulary.sample_rate:,} Hz)"

    def nats(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Negative log-likelihood in nats and which of it counts, both `[B, T - R]`.

        The first R samples of a batch have no whole context, so they never count.
        """
        nats = self.backbone.nll(batch.waveform, self.condition(batch))
        return nats, batch.target_mask[:, self.backbone.receptive_field :]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean nats over the samples that count."""
        nats, mask = self.nats(batch)
        loss = nats.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)
        self.log("train/bits", loss.detach() / math.log(2), prog_bar=True, batch_size=len(batch.ids))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to "val/bits"."""
        self.validation_bits.update(*self.nats(batch))
        self.log("val/bits", self.validation_bits, prog_bar=True, batch_size=len(batch.ids))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to "test/bits"."""
        self.test_bits.update(*self.nats(batch))
        self.log("test/bits", self.test_bits, batch_size=len(batch.ids))

    @torch.no_grad()
    def streams(self, batch: Batch, samples: int, seed: int = 0, prime_samples: int = 0) -> list[Stream]:
        """One stream for each clip of a batch, under that clip's conditions, with seeds seed, seed + 1, ...

        Args:
            batch: Clips without context, as `AudioDataModule.prompts` gives them.
            samples: Samples to generate.
            seed: Seed of the first stream.
            prime_samples: How much of each clip's beginning is given to be continued (samples).
        """
        conditions = self.condition(batch)
        return [
            Stream(
                samples,
                seed + row,
                # No longer than the clip: padding would be continued as a silence.
                batch.waveform[row, : min(prime_samples, int(batch.target_mask[row].sum()))] if prime_samples else None,
                None if conditions.vector is None else conditions.vector[row],
                None if conditions.frames is None else conditions.frames[row],
            )
            for row in range(len(batch.ids))
        ]

    def predict_step(self, batch: Batch, batch_idx: int) -> list[Tensor]:
        """For each clip of a batch, a new one of the batch's length under the same conditions.

        The seed is the clip's place among the prompts, which processes take in turn (`AudioDataModule`).
        """
        place = (batch_idx * self.trainer.world_size + self.global_rank) * len(batch.ids)
        streams = self.streams(batch, batch.waveform.shape[1], seed=place)
        return Sampler(self.backbone).generate(streams)
