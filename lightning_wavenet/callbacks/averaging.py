"""The moving average of the weights, which is a better model than the weights themselves."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lightning_wavenet.data.batch import Batch
from lightning_wavenet.data.blueprint import plain_name
from lightning_wavenet.errors import RequestError


class WeightAverage(Callback):
    """Keeps an exponential moving average of the weights, for validation, samples, checkpoints and the trained model.

    The module holds the weights that the optimizer moves while it is trained on a batch, and their average at all other
    times, so that whatever looks at it between batches sees the average. The average begins as the untrained weights,
    and after optimizer step n = 1, 2, ... moves by (1 - d) of what it differs by, with
    d = min(decay, (1 + n) / (10 + n)). Buffers are not averaged.

    A checkpoint has the average as its `state_dict`, and the weights that training resumes from beside it.

    Args:
        decay: How much of the average a step keeps, such as 0.999; None for no average.
    """

    def __init__(self, decay: float | None = None) -> None:
        if decay is not None and not 0 < decay < 1:
            raise ValueError(f"ema.decay must lie between 0 and 1, got {decay}")
        self.decay = decay
        self._weights: list[nn.Parameter] = []
        self._aside: list[Tensor] = []
        """Of weights and average, what the module does not hold."""
        self._saved: dict[str, Tensor] = {}
        self._step = 0
        self._training = False

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins the average, or resumes that of the checkpoint.

        Raises:
            RequestError: The strategy shards the weights.
        """
        if self.decay is None:
            return
        if trainer.strategy.restore_checkpoint_after_setup:
            name = type(trainer.strategy).__name__
            raise RequestError(f"ema needs all weights in every process, which {name} shards: leave ema.decay null")
        self._weights = list(pl_module.parameters())
        self._aside = [
            self._saved[plain_name(name)].to(weight) if plain_name(name) in self._saved else weight.detach().clone()
            for name, weight in pl_module.named_parameters()
        ]
        self._saved = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Counts from the step that was resumed."""
        self._step = trainer.global_step

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Gives the module the weights."""
        if not self._training:
            self._swap()
        self._training = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Moves the average, where the optimizer has moved the weights, and gives it to the module."""
        if self.decay is not None and trainer.global_step != self._step:
            self._step = trainer.global_step
            decay = min(self.decay, (1 + self._step) / (10 + self._step))
            get_ema_multi_avg_fn(decay)(self._aside, [weight.data for weight in self._weights], self._step)
        self._swap()
        self._training = False

    def _swap(self) -> None:
        # Only the memory that a parameter stands for changes: the optimizer knows the parameter.
        for index, weight in enumerate(self._weights):
            self._aside[index], weight.data = weight.data, self._aside[index]

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the weights; the module holds the average."""
        if self._aside:
            names = [plain_name(name) for name, _ in pl_module.named_parameters()]
            checkpoint["ema"] = {"decay": self.decay, "weights": dict(zip(names, self._aside, strict=True))}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Takes the weights that training resumes from; whatever else loads a checkpoint wants the average.

        Raises:
            RequestError: Either the checkpoint or this run has an average, and the other none.
        """
        if trainer.state.fn != "fit":
            return
        saved = checkpoint.get("ema", {"decay": None, "weights": {}})
        if (saved["decay"] is None) != (self.decay is None):
            theirs, ours = ("null" if decay is None else decay for decay in (saved["decay"], self.decay))
            raise RequestError(f"the checkpoint has ema.decay {theirs}, this run {ours}; say --ema.decay {theirs}")
        self._saved = saved["weights"]
