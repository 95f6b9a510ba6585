"""How training steps are computed: speed and memory."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from datamodules.base import AudioDataModule
from lightning_wavenet.errors import RequestError
from lightning_wavenet.memory import free_memory, keep_freed_memory
from lightning_wavenet.tasks import BaseTask


class Execution(Callback):
    """Sets how the backbone computes its training steps; what they come to is the same but for rounding.

    Before the first step, what a batch will need is compared with the memory that is free.

    Args:
        compile: Compile the backbone by `torch.compile`: the first steps take a minute, the others less time.
        recompute: Keep only every layer's input for the backward pass and compute the rest again: about half the
            memory, for more time.
    """

    def __init__(self, compile: bool = False, recompute: bool = False) -> None:
        self.compile = compile
        self.recompute = recompute

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prepares the backbone.

        Raises:
            RequestError: A batch will not fit into memory, or whole clips are to be compiled for.
        """
        if not isinstance(pl_module, BaseTask):
            return
        if pl_module.device.type == "cpu":
            keep_freed_memory()
        pl_module.backbone.stack.recompute = self.recompute
        corpus = getattr(trainer, "datamodule", None)
        if self.compile:
            if isinstance(corpus, AudioDataModule) and corpus.crops.samples is None:
                raise RequestError("whole clips have too many lengths to compile for: leave out --execution.compile")
            # In place: names in checkpoints stay. All crops have one length, so that every shape is compiled once.
            pl_module.backbone.compile(dynamic=False)
        if isinstance(corpus, AudioDataModule):
            free = free_memory(pl_module.device)
            if free is not None and free < corpus.crops.batch_size * _crop_memory(trainer, pl_module, corpus):
                raise RequestError(self.advice(trainer, pl_module))

    def advice(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> str:
        """What a batch needs, what there is, and what would fit."""
        corpus = getattr(trainer, "datamodule", None)
        if not isinstance(corpus, AudioDataModule) or not isinstance(pl_module, BaseTask):
            return "a training step needs more memory than there is; give it smaller batches"
        crops, one, samples = corpus.crops, _crop_memory(trainer, pl_module, corpus), _longest_crop(corpus)
        what = "crops of" if crops.samples is not None else "whole clips of up to"
        batch = f"a step of {crops.batch_size:,} {what} {samples:,} samples"
        needed = f"{batch} needs at least {_gb(crops.batch_size * one)}"
        free = free_memory(pl_module.device)
        if free is None:
            return f"{needed}, more than there is; lower --data.crops.batch_size"
        fitting = min(int(0.9 * free / one), crops.batch_size - 1)
        smaller = f"--data.crops.batch_size {fitting or 1}"
        if not fitting and crops.samples is not None:
            smaller += f" --data.crops.samples {max(1, int(0.9 * free / one * samples))}"
        less = "" if self.recompute else ", or try --execution.recompute true"
        return f"{needed}, and {_gb(free)} are free on {pl_module.device}: give {smaller}{less}"


def _crop_memory(trainer: pl.Trainer, task: BaseTask, corpus: AudioDataModule) -> int:
    half = str(trainer.precision).startswith(("16", "bf16"))
    return task.backbone.step_memory(_longest_crop(corpus), torch.bfloat16 if half else torch.float32)


def _longest_crop(corpus: AudioDataModule) -> int:
    return corpus.crops.samples or int(corpus.clips.frames[corpus.clips_of("train")].max(initial=0))


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
