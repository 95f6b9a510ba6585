"""How fast a run trains, and a line now and then where no progress bar can be drawn."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, RichProgressBar
from torch import Tensor

from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.data.batch import Batch
from lightning_wavenet.tasks import BaseTask


class ModelSize(Callback):
    """Prints how large the model is, and how far it looks back."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints it."""
        if not trainer.is_global_zero or not isinstance(pl_module, BaseTask):
            return
        parameters = sum(p.numel() for p in pl_module.parameters())
        backbone = getattr(pl_module.model, "backbone", None)
        field = f", receptive field {backbone.receptive_field:,} samples" if isinstance(backbone, WaveNet) else ""
        print(f"{parameters:,} parameters{field}", flush=True)


class Throughput(Callback):
    """Logs "train/samples_per_second" and "train/seconds", the time spent in training steps (s).

    What happens between steps (loading, validation, sample logging, checkpoints) is left out. Samples are those that
    count in the loss, of all processes together, taking them to be equally fast.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._started = 0.0
        self._samples: Tensor | int = 0
        self._since = 0.0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Starts the clock."""
        self._started = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Adds a step, and logs where Lightning logs."""
        self.seconds += time.monotonic() - self._started
        # Kept on the device: reading it at every step would make a GPU wait.
        self._samples = self._samples + batch.target_mask.sum() * trainer.world_size
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            rate = float(self._samples) / (self.seconds - self._since)
            self._samples, self._since = 0, self.seconds
            pl_module.log("train/samples_per_second", rate, prog_bar=True, batch_size=1)
            pl_module.log("train/seconds", self.seconds, batch_size=1)

    def state_dict(self) -> dict[str, Any]:
        """Training time so far."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resumes counting."""
        self.seconds = self._since = state_dict["seconds"]


class ProgressBar(RichProgressBar):
    """Lightning's bar for a terminal, which counts the epochs of a run whose length is in steps without an end."""

    def _get_train_description(self, current_epoch: int) -> str:
        described = super()._get_train_description(current_epoch)
        return described.replace("/-2", "") if self.trainer.max_epochs == -1 else described


class ProgressLines(Callback):
    """Prints where training stands every few seconds, for logs and pipes.

    Args:
        every_seconds: Time between lines (s).
    """

    def __init__(self, every_seconds: float = 10.0) -> None:
        self.every_seconds = every_seconds
        self._start = 0.0
        self._next = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._start = time.monotonic()
        self._next = self._start

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Prints a line where one is due."""
        now = time.monotonic()
        if trainer.is_global_zero and now >= self._next:
            self._next = now + self.every_seconds
            self._print(trainer, now)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints each validation's result."""
        if trainer.is_global_zero and trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._print(trainer, time.monotonic())

    def _print(self, trainer: pl.Trainer, now: float) -> None:
        rate = "train/samples_per_second"
        metrics = trainer.progress_bar_metrics
        parts = [f"{key} {value:{',.0f' if key == rate else '.3f'}}" for key, value in metrics.items() if "/" in key]
        print(f"{now - self._start:6.0f} s  step {trainer.global_step:>7}  " + "  ".join(parts), flush=True)


class FirstValidation(Callback):
    """Keeps what Lightning's check before training finds, so that the log tells where training began.

    The task's monitored figure is logged as that of step 0, and is that of the whole validation split where the
    Trainer's `num_sanity_val_steps` is -1.
    """

    def __init__(self) -> None:
        self.figure: float | None = None

    def on_sanity_check_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs the figure, which Lightning would throw away."""
        name = f"val/{pl_module.monitor}" if isinstance(pl_module, BaseTask) else ""
        if name not in trainer.callback_metrics:
            return
        self.figure = trainer.callback_metrics[name].item()
        for logger in trainer.loggers:
            logger.log_metrics({name: self.figure}, 0)
        if trainer.is_global_zero:
            print(f"before training: {name} {self.figure:.3f}", flush=True)

    def state_dict(self) -> dict[str, Any]:
        """A resumed run does not check again."""
        return {"figure": self.figure}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Where training began at first."""
        self.figure = state_dict["figure"]
