"""A task without a WaveNet, on batches without a waveform, with all that the command does around a training."""

from __future__ import annotations

from pathlib import Path

import torch
from pytorch_lightning.cli import OptimizerCallable
from torch import nn
from torchmetrics import MeanMetric

import lightning_wavenet as lw
from lightning_wavenet.cli.main import main
from lightning_wavenet.data.batch import Batch, Request
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.models import Model
from lightning_wavenet.tasks import BaseTask


class NextFrame(Model):
    """The next mel frame as a linear function of this one."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__(vocabulary)
        self.layer = nn.Linear(vocabulary.frame_channels, vocabulary.frame_channels)

    @property
    def request(self) -> Request:
        hop = self.vocabulary.hop
        return Request(frozenset({"frames"}), history=hop, hop=hop, waveform=False)


class NextFrameTask(BaseTask):
    """Mean squared error of frames that count."""

    monitor = "error"

    def __init__(self, optimizer: OptimizerCallable = torch.optim.Adam) -> None:
        super().__init__(optimizer)
        self.error = MeanMetric()

    def build(self, vocabulary: Vocabulary) -> NextFrame:
        return NextFrame(vocabulary)

    def unit(self) -> str:
        return "mean squared error"

    def errors(self, batch: Batch) -> torch.Tensor:
        assert batch.waveform is None
        frames = batch.frames.transpose(1, 2)
        assert batch.target_mask.shape == frames.shape[:2]
        return (self.model.layer(frames[:, :-1]) - frames[:, 1:]).square().mean(2)[batch.target_mask[:, 1:]]

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        loss = self.errors(batch).mean()
        self.log("train/error", loss.detach(), batch_size=len(batch.ids))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.error.update(self.errors(batch))
        self.log("val/error", self.error, batch_size=len(batch.ids))


def test_a_task_without_a_wavenet_trains_resumes_and_is_loaded(tones, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fit = [
        "fit",
        "--model",
        "test_frame_tasks.NextFrameTask",
        "--model.optimizer.lr=0.05",
        "--ema.decay=0.9",
    ]
    fit += ["--data", "AudioFolderDataModule", "--data.root", str(tones), "--data.audio.sample_rate=2000"]
    fit += ["--data.features+=MelSpectrogram", "--data.features.hop=50", "--data.features.window=200"]
    fit += ["--data.features.bands=6", "--data.features.high_hz=1000"]
    fit += ["--data.crops.samples=500", "--data.split.validation=0.2"]
    fit += ["--trainer.accelerator=cpu", "--run", "run"]
    main([*fit, "--trainer.max_steps=20"])
    said = capsys.readouterr().out
    assert "42 parameters\n" in said
    main([*fit, "--resume", "--trainer.max_steps=60"])
    said = capsys.readouterr().out
    before, best = (
        float(line.split()[at]) for line in said.splitlines() if line.startswith("mean squared") for at in (3, 6)
    )
    assert best < before / 4
    model = lw.load("run/checkpoints/best.ckpt")
    assert type(model) is NextFrame
    assert model.vocabulary.frame_channels == 6
    assert not Path("run/samples").exists()
