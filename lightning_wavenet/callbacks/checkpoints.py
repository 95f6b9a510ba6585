"""Which checkpoints a run keeps: the last and the best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from lightning_wavenet.batch import Batch


class LastAndBest(Checkpoint):
    """Keeps `checkpoints/last.ckpt`, to resume from, and `checkpoints/best.ckpt`, of the lowest "val/bits".

    Both are replaced whole: a crash while writing leaves the one before. The last is written every so many steps and
    at the end, always right after an optimiser step, so that resuming from it repeats the uninterrupted run exactly;
    a validation at that step writes it once more, so that it knows what the best was.

    Args:
        every_n_steps: Training steps between writes of the last checkpoint.
    """

    def __init__(self, every_n_steps: int = 1_000) -> None:
        if every_n_steps < 1:
            raise ValueError(f"checkpoint.every_n_steps must be at least 1, got {every_n_steps}")
        self.every_n_steps = every_n_steps
        self.best_bits: float | None = None
        self._seen_step = 0
        self._last_step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Goes on from the step that was resumed."""
        self._seen_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Writes the last checkpoint where it is due."""
        if trainer.global_step == self._seen_step:  # Gradients are still being accumulated.
            return
        self._seen_step = trainer.global_step
        out_of_epochs = trainer.is_last_batch and trainer.current_epoch + 1 == trainer.max_epochs
        finished = trainer.should_stop or trainer.global_step == trainer.max_steps or out_of_epochs
        if finished or trainer.global_step % self.every_n_steps == 0:
            self._last_step = trainer.global_step
            self._save(trainer, "last")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the best checkpoint where this validation was."""
        bits = trainer.callback_metrics.get("val/bits")
        if trainer.sanity_checking or trainer.state.fn != "fit" or bits is None or bits.isnan():
            return
        if self.best_bits is None or bits.item() < self.best_bits:
            self.best_bits = bits.item()
            self._save(trainer, "best")
            if self._last_step == trainer.global_step:
                self._save(trainer, "last")

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        trainer.save_checkpoint(Path(trainer.default_root_dir) / "checkpoints" / f"{name}.ckpt")

    def state_dict(self) -> dict[str, Any]:
        """What the best was."""
        return {"best_bits": self.best_bits}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from the best so far."""
        self.best_bits = state_dict["best_bits"]
