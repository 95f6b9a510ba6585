"""Ends a run whose loss is NaN or has exploded, before it does any harm."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.optim import Optimizer

from lightning_wavenet.data.batch import Batch
from lightning_wavenet.errors import TrainingError
from lightning_wavenet.files.audio import clip_stem
from lightning_wavenet.models import Clip
from lightning_wavenet.tasks import BaseTask


class Guard(Callback):
    """Ends training at a step whose loss or gradients are not finite, or whose loss has exploded.

    That is before the optimizer takes the step, so that neither the weights nor a checkpoint are spoiled. The batch is
    kept in `diverged/step_NNNNNNN/` of the run folder, as `batches.pt` and as wavs.

    Args:
        times: A loss above so many times what a uniform guess costs (`BaseTask.uniform_loss`) has exploded, or of some
            outputs a multiple of that (`BaseTask.patience`). Of a task that names no such cost, only a loss or
            gradients that are NaN or infinite end the run.
    """

    def __init__(self, times: float = 3.0) -> None:
        if times <= 0:
            raise ValueError(f"guard.times must be positive, got {times}")
        self.times = times
        self._batches: list[Batch] = []
        """Since the last step of the optimizer."""
        self._losses: list[Tensor] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Remembers the batch."""
        self._batches.append(batch)

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Remembers the loss, which is looked at later: reading it here would make a GPU wait for every batch."""
        self._losses.append(loss.detach() * trainer.accumulate_grad_batches)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Looks at loss and gradients.

        Raises:
            TrainingError: Something is wrong with them.
        """
        batches, losses = self._batches, torch.stack(self._losses).tolist()
        self._batches, self._losses = [], []
        guess, patience = (
            (pl_module.uniform_loss, pl_module.patience) if isinstance(pl_module, BaseTask) else (None, 1.0)
        )
        for batch, loss in zip(batches, losses, strict=True):
            if not math.isfinite(loss):
                self._end(trainer, pl_module, [batch], f"the loss is {'NaN' if math.isnan(loss) else 'infinite'}")
            if guess is not None and loss > self.times * patience * guess:
                said = f"the loss has exploded to {loss:.1f} nats, where a uniform guess costs {guess:.1f}"
                self._end(trainer, pl_module, [batch], said)
        # Where losses are scaled for float16, gradients do overflow, and the scaler leaves those steps out.
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        if trainer.precision != "16-mixed" and not torch.nn.utils.get_total_norm(gradients).isfinite():
            self._end(trainer, pl_module, batches, "the gradients are not finite")

    def _end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batches: list[Batch], what: str) -> None:
        step = trainer.global_step + 1
        rank = f"_rank_{trainer.global_rank}" if trainer.world_size > 1 else ""
        folder = Path(trainer.default_root_dir) / "diverged" / f"step_{step:07d}{rank}"
        folder.mkdir(parents=True, exist_ok=True)
        kept = [{name: _on_cpu(value) for name, value in batch._asdict().items()} for batch in batches]
        torch.save(kept, folder / "batches.pt")
        ids = [crop for batch in batches for crop in batch.ids]
        if isinstance(pl_module, BaseTask):
            rate = pl_module.model.vocabulary.sample_rate
            waves = [wave for batch in batches if batch.waveform is not None for wave in batch.waveform.cpu().float()]
            for row, (crop, wave) in enumerate(zip(ids, waves, strict=bool(waves))):
                clip = Clip.recording(wave.nan_to_num(), crop, rate)
                clip.save(folder / f"{row:02d}_{clip_stem(crop).name}.wav")
        raise TrainingError(
            f"step {step:,}: {what}, on crops of {', '.join(dict.fromkeys(ids))} (kept in {folder}). Weights and "
            "checkpoints are as they were before it. Listen to the crops; if they are sound, lower the learning rate "
            "or clip gradients (--trainer.gradient_clip_val 1)"
        )


def _on_cpu(value: Any) -> Any:
    return value.cpu() if isinstance(value, Tensor) else value
