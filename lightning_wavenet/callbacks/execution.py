"""How training steps are computed: speed and memory."""

from __future__ import annotations

from typing import Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from datamodules.base import AudioDataModule
from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.errors import RequestError
from lightning_wavenet.machine.memory import free_memory, keep_freed_memory
from lightning_wavenet.tasks import BaseTask


class Execution(Callback):
    """Sets how the backbone computes its training steps; what they come to is the same but for rounding.

    Before the first step, what a batch will need is compared with the memory that is free.

    Args:
        compile: Compile the backbone by `torch.compile`: the first steps take a minute, the others less time.
        recompute: Keep only every layer's input for the backward pass and compute the rest again (activation
            checkpointing): about half the memory, for more time.
        path: How the residual layers are computed, with the same results but for rounding: "reference", the layers as
            equations, by autograd; "fused", forward and backward pass written by hand, faster and with less memory on
            CPUs. Compiled for a GPU, both are the reference.
    """

    def __init__(
        self, compile: bool = False, recompute: bool = False, path: Literal["reference", "fused"] = "fused"
    ) -> None:
        self.compile = compile
        self.recompute = recompute
        self.path: Literal["reference", "fused"] = path

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prepares the backbone.

        Raises:
            RequestError: A batch will not fit into memory, or whole clips are to be compiled for.
        """
        backbone = _backbone(pl_module)
        if backbone is None:
            return
        if pl_module.device.type == "cpu":
            keep_freed_memory()
        backbone.stack.recompute = self.recompute
        backbone.stack.path = self.path
        corpus = getattr(trainer, "datamodule", None)
        if self.compile:
            if isinstance(corpus, AudioDataModule) and corpus.samples is None:
                raise RequestError("whole clips have too many lengths to compile for: leave out --execution.compile")
            # In place: names in checkpoints stay. All crops have one length, so that every shape is compiled once.
            backbone.compile(dynamic=False)
        if isinstance(corpus, AudioDataModule):
            free = free_memory(pl_module.device)
            if free is not None and free < corpus.batch_size * _crop_memory(trainer, backbone, corpus):
                raise RequestError(self.advice(trainer, pl_module))

    def advice(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> str:
        """What a batch needs, what there is, and what would fit."""
        corpus = getattr(trainer, "datamodule", None)
        backbone = _backbone(pl_module)
        if not isinstance(corpus, AudioDataModule) or backbone is None:
            return "a training step needs more memory than there is; give it smaller batches"
        size, one, samples = corpus.batch_size, _crop_memory(trainer, backbone, corpus), _longest_crop(corpus)
        what = "crops of" if corpus.samples is not None else "whole clips of up to"
        batch = f"a step of {size:,} {what} {samples:,} samples"
        needed = f"{batch} needs at least {_gb(size * one)}"
        free = free_memory(pl_module.device)
        if free is None:
            return f"{needed}, more than there is; lower --data.batch_size"
        fitting = min(int(0.9 * free / one), size - 1)
        smaller = f"--data.batch_size {fitting or 1}"
        if not fitting and corpus.samples is not None:
            smaller += f" --data.crops.samples {max(1, int(0.9 * free / one * samples))}"
        less = "" if self.recompute else ", or try --execution.recompute true"
        return f"{needed}, and {_gb(free)} are free on {pl_module.device}: give {smaller}{less}"


def _backbone(pl_module: pl.LightningModule) -> WaveNet | None:
    """The WaveNet that a task trains, if it does train one."""
    backbone = getattr(pl_module.model, "backbone", None) if isinstance(pl_module, BaseTask) else None
    return backbone if isinstance(backbone, WaveNet) else None


def _crop_memory(trainer: pl.Trainer, backbone: WaveNet, corpus: AudioDataModule) -> int:
    half = str(trainer.precision).startswith(("16", "bf16"))
    return backbone.step_memory(_longest_crop(corpus), torch.bfloat16 if half else torch.float32)


def _longest_crop(corpus: AudioDataModule) -> int:
    return corpus.samples or int(corpus.clips.lengths[corpus.clips_of("train")].max(initial=0))


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
