"""What every task shares: the step, the metrics, the optimiser, the vocabulary and how it generates."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from datamodules.base import AudioDataModule
from lightning_wavenet import blueprint
from lightning_wavenet.backbone import Conditions, WaveNet
from lightning_wavenet.batch import Batch
from lightning_wavenet.errors import RequestError
from lightning_wavenet.metrics import BitsPerSample
from lightning_wavenet.sampling import Sampler, Stream
from lightning_wavenet.vocabulary import Vocabulary

CHECKPOINT_KEY = "lightning_wavenet"


class BaseTask(pl.LightningModule, ABC):
    """Trains a WaveNet by maximum likelihood of the next sample (equations 1 and 3).

    A task says what the backbone is conditioned on (`condition`) and what it needs of a corpus (`check`). It reads
    batches only; which corpus they come from it does not know.

    Args:
        backbone: The net.
        optimizer: Makes the optimiser from the parameters.
        lr_scheduler: Makes a learning-rate schedule from the optimiser, stepped every training step, and
            `ReduceLROnPlateau` with the "val/bits" of every validation; None for none.
    """

    def __init__(
        self,
        backbone: WaveNet,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.vocabulary: Vocabulary | None = None
        self._validated = False
        self.validation_bits = BitsPerSample()
        self.test_bits = BitsPerSample()

    @abstractmethod
    def condition(self, batch: Batch) -> Conditions:
        """What the backbone is conditioned on for a batch."""

    @abstractmethod
    def check(self, vocabulary: Vocabulary) -> None:
        """Raises RequestError, with both numbers, where a corpus does not fit the net."""

    # Training and evaluation

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

    def on_validation_epoch_end(self) -> None:
        """Notes that "val/bits" is a new one."""
        self._validated = not self.trainer.sanity_checking

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to "test/bits"."""
        self.test_bits.update(*self.nats(batch))
        self.log("test/bits", self.test_bits, batch_size=len(batch.ids))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser, and the schedule where there is one."""
        optimizer = self.optimizer(self.parameters())
        if self.lr_scheduler is None:
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {
                "scheduler": self.lr_scheduler(optimizer),
                "interval": "step",
                "monitor": "val/bits",
                "strict": False,  # There is none before the first validation.
            },
        }

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:
        """Steps the schedule; `ReduceLROnPlateau`, which alone is given a metric, once after every validation."""
        if metric is None:
            scheduler.step()
        elif self._validated:
            self._validated = False
            scheduler.step(metric)

    # Generation

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

    # Vocabulary and checkpoint

    def setup(self, stage: str) -> None:
        """Tells the corpus how much context a prediction needs, and takes over its vocabulary."""
        corpus = getattr(self.trainer, "datamodule", None)
        if isinstance(corpus, AudioDataModule):
            corpus.context = self.backbone.receptive_field
            self._adopt(corpus.vocabulary, "the corpus")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what is needed to rebuild the task and to use it without its corpus."""
        checkpoint[CHECKPOINT_KEY] = {
            "task": blueprint.describe(self),
            "vocabulary": None if self.vocabulary is None else self.vocabulary.to_plain(),
            "optimizer": self._optimizer_name(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses a checkpoint of another task, another net or another vocabulary.

        Raises:
            RequestError: It does not fit; the message says in what.
        """
        if CHECKPOINT_KEY not in checkpoint:
            raise RequestError("this is a Lightning checkpoint, but not one of a lightning-wavenet task")
        saved = checkpoint[CHECKPOINT_KEY]
        theirs, ours = _options(saved["task"]), _options(blueprint.describe(self))
        if self.trainer.training:
            theirs, ours = theirs | {"optimizer": saved["optimizer"]}, ours | {"optimizer": self._optimizer_name()}
        for option, value in ours.items():
            if theirs.get(option) != value:
                raise RequestError(f"the checkpoint has {option} {theirs.get(option)}, this run {value}")
        if saved["vocabulary"] is not None:
            self._adopt(Vocabulary.from_plain(saved["vocabulary"]), "the checkpoint")

    def _optimizer_name(self) -> str:
        return type(self.optimizer(self.parameters())).__name__

    def _adopt(self, vocabulary: Vocabulary, origin: str) -> None:
        self.check(vocabulary)
        if self.vocabulary is not None and self.vocabulary != vocabulary:
            ours, theirs = self.vocabulary.to_plain(), vocabulary.to_plain()
            what = next(key for key in ours if ours[key] != theirs[key])
            raise RequestError(f"the model has {what} {ours[what]}, but {origin} has {theirs[what]}")
        self.vocabulary = vocabulary


def _options(task: dict[str, Any]) -> dict[str, Any]:
    """A task's blueprint as one flat dictionary: its class, its own options and its backbone's."""
    own = {name: value for name, value in task["init_args"].items() if name != "backbone"}
    return {"task": task["class_path"].rpartition(".")[2]} | own | task["init_args"]["backbone"]["init_args"]
