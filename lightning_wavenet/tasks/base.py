"""What every task shares: the optimiser, the vocabulary, the checkpoint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler

from datamodules.base import AudioDataModule
from lightning_wavenet import blueprint
from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.errors import RequestError
from lightning_wavenet.vocabulary import Vocabulary

CHECKPOINT_KEY = "lightning_wavenet"


class BaseTask(pl.LightningModule, ABC):
    """Trains a WaveNet for something.

    A task says what it needs of a corpus (`check`), and what is lowest in the best checkpoint: every validation logs
    it as "val/" and its name, every test as "test/" and its name. A task reads batches only; which corpus they come
    from it does not know.

    Attributes:
        criterion: Name of that figure.
        free_options: Options in which a run may differ from the checkpoint that it goes on from.

    Args:
        backbone: The net.
        optimizer: Makes the optimiser from the parameters.
        lr_scheduler: Makes a learning-rate schedule from the optimiser, stepped every training step, and
            `ReduceLROnPlateau` with the criterion of every validation; None for none.
    """

    criterion: ClassVar[str]
    free_options: ClassVar[frozenset[str]] = frozenset()

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

    @abstractmethod
    def check(self, vocabulary: Vocabulary) -> None:
        """Raises RequestError, with both numbers, where a corpus does not fit the net."""

    @abstractmethod
    def unit(self) -> str:
        """What the criterion is measured in, and under which conditions, in words."""

    def prepare(self, corpus: AudioDataModule) -> None:
        """Tells an open corpus what batches must hold: here, how much context a prediction needs."""
        corpus.context = self.backbone.receptive_field

    def on_validation_epoch_end(self) -> None:
        """Notes that the criterion is a new one."""
        self._validated = not self.trainer.sanity_checking

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
                "monitor": f"val/{self.criterion}",
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

    # Vocabulary and checkpoint

    def setup(self, stage: str) -> None:
        """Tells the corpus what batches must hold, and takes over its vocabulary."""
        corpus = getattr(self.trainer, "datamodule", None)
        if isinstance(corpus, AudioDataModule):
            self.prepare(corpus)
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
            if option not in self.free_options and theirs.get(option) != value:
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
