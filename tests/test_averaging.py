"""The moving average of the weights against one worked out by hand, and wherever the model is looked at."""

from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import soundfile
import torch
from runs import contents, stopped
from torch.utils.data import DataLoader

import lightning_wavenet as lw
from lightning_wavenet.callbacks import LastAndBest, WeightAverage
from lightning_wavenet.cli.main import main


class Line(pl.LightningModule):
    """One weight, whose gradient is the batch's mean, and a table that no average may touch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([3.0]))
        self.register_buffer("table", torch.arange(256))
        self.trained: list[float] = []
        self.validated: list[float] = []

    def training_step(self, batch):
        self.trained.append(self.weight.item())
        return (self.weight * batch).mean()

    def validation_step(self, batch):
        self.validated.append(self.weight.item())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Between(pl.Callback):
    """Notes what the module is after each batch."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(pl_module.weight.item())


@pytest.mark.parametrize("accumulated", [1, 2])
def test_the_average_is_the_one_worked_out_by_hand(tmp_path, accumulated):
    """Over 12 steps, so that the decay first rises, from 2/11 on, and from step 8 stays at 0.5."""
    batches = torch.rand(12 * accumulated, generator=torch.Generator().manual_seed(0))
    gradients = batches.double().view(12, accumulated).mean(1).tolist()
    weights, averages = [3.0], [3.0]
    for step, gradient in enumerate(gradients, start=1):
        weights.append(weights[-1] - 0.1 * gradient)
        decay = [2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17][step - 1] if step < 8 else 0.5
        averages.append(decay * averages[-1] + (1 - decay) * weights[-1])

    line, between = Line(), Between()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[WeightAverage(0.5), between, LastAndBest()],
        default_root_dir=tmp_path,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        val_check_interval=3 * accumulated,
        accumulate_grad_batches=accumulated,
    )
    trainer.fit(line, DataLoader(batches), DataLoader(torch.zeros(1)))
    during = [weight for weight in weights[:-1] for _ in range(accumulated)]
    assert line.trained == pytest.approx(during, rel=1e-6)
    after = [averages[(batch + 1) // accumulated] for batch in range(12 * accumulated)]
    assert between.seen == pytest.approx(after, rel=1e-6)
    # The first is Lightning's check before training.
    assert line.validated == pytest.approx([averages[step] for step in (0, 3, 6, 9, 12)], rel=1e-6)
    assert line.weight.item() == pytest.approx(averages[-1], rel=1e-6)
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["state_dict"]["weight"].item() == pytest.approx(averages[-1], rel=1e-6)
    assert saved["ema"]["weights"]["weight"].item() == pytest.approx(weights[-1], rel=1e-6)
    assert torch.equal(saved["state_dict"]["table"], torch.arange(256))
    assert saved["state_dict"].keys() == {"weight", "table"}


def test_the_average_does_not_change_what_the_weights_become(fit):
    main([*fit, "--run", "with"])
    main([*fit, "--run", "without", "--ema.decay", "null"])
    averaged, plain = contents("with"), torch.load("without/checkpoints/last.ckpt", weights_only=True)
    assert "ema" not in plain
    for name, weight in averaged["ema"]["weights"].items():
        assert torch.equal(weight, plain["state_dict"][name])
        assert not torch.equal(weight, averaged["state_dict"][name])


def test_validation_samples_and_loaded_checkpoints_are_the_average(fit, capsys):
    sampled = ["--samples.every_n_steps", "8", "--samples.clips", "3", "--samples.seconds", "0.05"]
    main([*fit, "--run", "run", *sampled, "--trainer.max_steps", "8"])
    best = torch.load("run/checkpoints/best.ckpt", weights_only=True)
    assert best["global_step"] == 8
    capsys.readouterr()
    main(["validate", "--config", "run/config.yaml", "--ckpt_path", "run/checkpoints/best.ckpt"])
    assert f": {best['callbacks']['LastAndBest']['best']:.4f} on the validation split" in capsys.readouterr().out

    def generated(weights: dict[str, torch.Tensor]) -> list[np.ndarray]:
        model = lw.load("run/checkpoints/last.ckpt", "cpu")
        model.load_state_dict({name.removeprefix("model."): weight for name, weight in weights.items()})
        streams = [lw.Stream(200, row, global_condition=voice) for row, voice in enumerate(torch.eye(3))]
        return [clip.numpy() for clip in lw.Sampler(model.backbone).generate(streams)]

    last = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    # Clips of the speakers in turn.
    files = sorted(Path("run/samples/step_0000008").glob("*.wav"))
    written = [soundfile.read(file)[0] for file in files]
    for clip, average, weights in zip(
        written, generated(last["state_dict"]), generated(last["ema"]["weights"]), strict=True
    ):
        assert np.abs(clip - average).max() < 1e-4
        assert np.abs(clip - weights).max() > 1e-2


def test_with_and_without_an_average_do_not_mix(fit, capsys):
    plain = ["--ema.decay", "null"]
    main([*fit, "--run", "with", "--trainer.max_steps", "2"])
    main([*fit, "--run", "without", "--trainer.max_steps", "2", *plain])
    capsys.readouterr()
    for arguments, line in [
        (["--run", "with", *plain], "the checkpoint has ema.decay 0.9, this run null; say --ema.decay 0.9"),
        (["--run", "without"], "the checkpoint has ema.decay null, this run 0.9; say --ema.decay null"),
    ]:
        assert stopped([*fit, *arguments, "--resume"]) == 2
        assert f"wavenet: error: {line}\n" in capsys.readouterr().err
    assert stopped([*fit, "--run", "new", "--ema.decay", "1"]) == 2
    assert "ema.decay must lie between 0 and 1, got 1.0" in capsys.readouterr().err
