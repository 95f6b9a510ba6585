"""A run that cannot continue says so, and keeps what is needed to see why."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import pytest
import pytorch_lightning as pl
import torch
from nets import build

from datamodules import Audio, AudioFolderDataModule, Crops
from lightning_wavenet.backbone import GaussianMixture, LogisticMixture, MuLawSoftmax, WaveNet
from lightning_wavenet.backbone.fused.gate import _library
from lightning_wavenet.callbacks.execution import Execution
from lightning_wavenet.callbacks.guard import Guard
from lightning_wavenet.data.batch import Batch
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError, TrainingError
from lightning_wavenet.sampling import native
from lightning_wavenet.tasks import RecognitionWaveNet, UnconditionalWaveNet
from lightning_wavenet.tasks.phone_criterion import PhoneCriterion


class Sick(UnconditionalWaveNet):
    """Falls ill at its fourth batch."""

    illness: float = 1.0
    gradient_illness: float = 1.0

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        if batch_idx != 3:
            return loss
        parameter = next(self.model.backbone.input_layer.parameters())
        if self.gradient_illness != 1.0:
            parameter.register_hook(lambda gradient: gradient * self.gradient_illness)
        return loss * self.illness


def fit(tones, folder, task, callbacks, **options):
    data = AudioFolderDataModule(tones, audio=Audio(4_000), crops=Crops(300), batch_size=4)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        default_root_dir=folder,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        **options,
    )
    trainer.fit(task, datamodule=data)
    return trainer


@pytest.mark.parametrize(
    ("illness", "said"),
    [
        (math.nan, "the loss is NaN, on crops"),
        (math.inf, "the loss is infinite, on crops"),
        (10.0, r"the loss has exploded to \d\d\.\d nats, where a uniform guess costs 5\.5, on crops"),
    ],
)
def test_a_sick_loss_ends_training_before_the_step_and_keeps_the_batch(tones, tmp_path, illness, said):
    task = Sick(build)
    task.illness = illness
    seen = []

    class Spy(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen.append((batch, [p.detach().clone() for p in pl_module.parameters()]))

    with pytest.raises(TrainingError, match=said) as stopped:
        fit(tones, tmp_path, task, [Spy(), Guard()])
    batch, before = seen[-1]
    assert len(seen) == 4
    assert all(map(torch.equal, before, task.parameters()))
    assert not torch.equal(before[0], seen[0][1][0])
    message = str(stopped.value)
    assert message.startswith("step 4: ")
    assert all(name in message for name in batch.ids)
    folder = tmp_path / "diverged" / "step_0000004"
    assert str(folder) in message
    (kept,) = torch.load(folder / "batches.pt", weights_only=True)
    assert torch.equal(kept["waveform"], batch.waveform)
    assert kept["ids"] == batch.ids
    assert len(list(folder.glob("*.wav"))) == len(batch.ids) == 4


def test_sick_gradients_end_training_too(tones, tmp_path):
    task = Sick(build)
    task.gradient_illness = math.inf
    with pytest.raises(TrainingError, match="step 4: the gradients are not finite"):
        fit(tones, tmp_path, task, [Guard()])


def test_of_accumulated_batches_the_sick_one_is_named(tones, tmp_path):
    task = Sick(build)
    task.illness = math.nan
    seen = []
    names = pl.callbacks.LambdaCallback(on_train_batch_start=lambda _t, _m, batch, _i: seen.append(batch))
    with pytest.raises(TrainingError, match="step 1: the loss is NaN"):
        fit(tones, tmp_path, task, [names, Guard()], accumulate_grad_batches=5)
    (kept,) = torch.load(tmp_path / "diverged" / "step_0000001" / "batches.pt", weights_only=True)
    assert len(seen) == 5
    assert torch.equal(kept["waveform"], seen[3].waveform)


def test_a_healthy_run_is_left_alone(tones, tmp_path):
    trainer = fit(tones, tmp_path, UnconditionalWaveNet(build), [Guard()], accumulate_grad_batches=2)
    assert trainer.global_step > 3
    assert not (tmp_path / "diverged").exists()


def test_a_loss_that_is_no_likelihood_ends_training_only_where_it_is_not_finite(tones, tmp_path):
    class Unlikely(Sick):
        uniform_loss = None

    task = Unlikely(build)
    task.illness = 1e6
    fit(tones, tmp_path, task, [Guard()])
    task.illness = math.nan
    with pytest.raises(TrainingError, match="step 4: the loss is NaN"):
        fit(tones, tmp_path, task, [Guard()])


def test_outputs_have_their_own_patience(tones, tmp_path):
    """200 nats a sample are an explosion of logistics, and of normal distributions an onset out of silence."""

    def run(distribution, loss):
        task = Sick(lambda: build(distribution=distribution))
        task.illness = loss / 12  # About what such a net costs untrained.
        return fit(tones, tmp_path, task, [Guard()])

    with pytest.raises(TrainingError, match=r"has exploded to \d{3}\.\d nats, where a uniform guess costs 11\.1"):
        run(LogisticMixture(), 200)
    run(GaussianMixture(), 200)
    with pytest.raises(TrainingError, match=r"has exploded to \d{3,4}\.\d nats, where a uniform guess costs 11\.1"):
        run(GaussianMixture(), 600)


def test_how_many_times_a_guess_a_loss_may_cost_is_an_option(tones, tmp_path):
    task = Sick(build)
    task.illness = 10.0
    fit(tones, tmp_path, task, [Guard(times=30.0)])
    with pytest.raises(TrainingError, match=r"step 1: the loss has exploded to \d\.\d nats"):
        fit(tones, tmp_path, UnconditionalWaveNet(build), [Guard(times=0.5)])
    with pytest.raises(ValueError, match=r"guard\.times must be positive"):
        Guard(times=0)


@pytest.mark.parametrize("levels", [256, 64])
def test_a_model_that_guesses_has_the_loss_of_a_uniform_guess(levels):
    task = UnconditionalWaveNet(lambda: build(distribution=MuLawSoftmax(levels)))
    task.model = task.build(Vocabulary(700))
    task.log = lambda *args, **kwargs: None
    _guess(task.model.backbone.head[-1])
    wave = torch.rand(2, 80) * 2 - 1
    loss = task.training_step(Batch(wave, torch.ones(2, 80, dtype=torch.bool), ["a", "b"]), 0)
    assert task.uniform_loss == pytest.approx(math.log(levels))
    assert loss.item() == pytest.approx(task.uniform_loss, rel=1e-5)


@pytest.mark.parametrize(("frame_weight", "sample_weight"), [(1.0, 1.0), (2.0, 0.5), (1.0, 0.0)])
def test_a_recognizer_that_guesses_has_the_loss_of_uniform_guesses(frame_weight, sample_weight):
    criterion = PhoneCriterion(frame_weight=frame_weight, sample_weight=sample_weight)
    task = RecognitionWaveNet(build, criterion=criterion, hop=7)
    task.model = task.build(Vocabulary(700, phones=("a", "b", "sil")))
    task.log = lambda *args, **kwargs: None
    _guess(task.model.classify)
    _guess(task.model.backbone.head[-1])
    length = task.model.history + 70
    said = torch.tensor([[0, 1]])
    batch = Batch(
        torch.rand(1, length) * 2 - 1,
        torch.arange(length).expand(1, -1) >= task.model.history,
        ["clip"],
        phones=torch.zeros(1, length // 7, dtype=torch.long),
        transcript=said,
        optional=torch.zeros_like(said, dtype=torch.bool),
    )
    assert task.training_step(batch, 0).item() == pytest.approx(task.uniform_loss, rel=1e-5)


def test_a_uniform_guess_among_alignments_is_counted_with_its_blank():
    criterion = PhoneCriterion(frame_weight=0.0, ctc_weight=2.0, sample_weight=0.0)
    task = RecognitionWaveNet(build, criterion=criterion, blank=True)
    task.model = task.build(Vocabulary(700, phones=("a", "b", "sil")))
    assert task.uniform_loss == pytest.approx(2 * math.log(4))


def _guess(layer: torch.nn.Linear) -> None:
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)


def test_what_will_not_fit_into_memory_is_refused_with_what_would(tones, tmp_path, monkeypatch):
    task = UnconditionalWaveNet(build)
    one = build().step_memory(300, torch.float32)
    monkeypatch.setattr("lightning_wavenet.callbacks.execution.free_memory", lambda device: int(2.5 * one))
    with pytest.raises(RequestError, match=r"--data.batch_size 2, or try --execution.recompute true"):
        fit(tones, tmp_path, task, [Execution()])
    monkeypatch.setattr("lightning_wavenet.callbacks.execution.free_memory", lambda device: one // 2)
    with pytest.raises(RequestError, match=r"--data.batch_size 1 --data.crops.samples 13\d"):
        fit(tones, tmp_path, task, [Execution()])
    monkeypatch.undo()
    fit(tones, tmp_path, task, [Execution(recompute=True)])
    assert task.model.backbone.stack.recompute


MEASURE = """
import multiprocessing, torch
from lightning_wavenet.backbone import MuLawSoftmax, WaveNet
from lightning_wavenet.benchmarks.rounds import forget_peak_memory, peak_memory_mb


def peak(case):
    half, recompute, samples = case
    torch.manual_seed(0)
    net = WaveNet()
    net.stack.recompute = recompute
    for crop in (100, samples):
        forget_peak_memory(torch.device("cpu"))
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            net.nll(torch.rand(1, crop + net.receptive_field) * 2 - 1).mean().backward()
    return peak_memory_mb(torch.device("cpu")) * 1e6


if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        print(pool.map(peak, {cases}, chunksize=1))
"""


@pytest.mark.skipif(_library() is None, reason="without a C++ compiler the gate takes more memory")
@pytest.mark.slow
def test_a_step_takes_the_memory_that_is_foretold():
    library = native.load()
    # CPUs that do not multiply bfloat16 take minutes for it, and copies in float32.
    halves = (False, True) if isinstance(library, native.Library) and library.bfloat16 else (False,)
    forms = [(half, recompute) for half in halves for recompute in (False, True)]
    cases = [(*form, samples) for form in forms for samples in (8_000, 20_000)]
    # What is freed goes back to the system at once, so that the peak is that of what lives at one time.
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "0",
    }
    command = [sys.executable, "-c", MEASURE.format(cases=cases)]
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=environment)
    found = dict(zip(cases, json.loads(done.stdout), strict=True))
    net = WaveNet()
    for half, recompute in forms:
        net.stack.recompute = recompute
        few, many = (net.step_memory(samples, torch.bfloat16 if half else torch.float32) for samples in (8_000, 20_000))
        # Of differences, which products' constant working space is no part of.
        assert 0.8 < (many - few) / (found[half, recompute, 20_000] - found[half, recompute, 8_000]) < 1.05
