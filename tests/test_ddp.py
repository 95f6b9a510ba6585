"""Several processes train as one does, with DDP on CPUs: what it must not change, and what it must share out."""

from __future__ import annotations

import hashlib
import math
import os
import pkgutil
import subprocess
import sys
from functools import partial
from importlib import import_module
from inspect import isabstract
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import soundfile
import torch
from nets import build
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import CSVLogger

from datamodules import (
    Audio,
    AudioDataModule,
    AudioFolderDataModule,
    Crops,
    LJSpeechDataModule,
    MagnaTagATuneDataModule,
    Split,
    cache,
)
from datamodules.decoding import decode
from datamodules.synthetic import synthesize_ljspeech
from datamodules.synthetic_music import synthesize_music
from lightning_wavenet import tasks
from lightning_wavenet.backbone import TransposedUpsampling
from lightning_wavenet.callbacks import LastAndBest, SampleLogger
from lightning_wavenet.cli.run_folder import RunFolder
from lightning_wavenet.errors import RequestError
from lightning_wavenet.features import Linguistic, LogF0, MelSpectrogram
from lightning_wavenet.sampling import Sampler
from lightning_wavenet.tasks import (
    ConvolutionalEncoder,
    DurationModel,
    LogF0Model,
    MusicWaveNet,
    PhoneCriterion,
    RecognitionWaveNet,
    SpeakerWaveNet,
    TTSWaveNet,
    UnconditionalWaveNet,
)
from lightning_wavenet.tasks.base import BaseTask

ROOT = Path(__file__).parents[1]
RATE = 2_000

TASKS = {
    "unconditional": partial(UnconditionalWaveNet, build),
    "speaker, one-hot": partial(SpeakerWaveNet, partial(build, "global")),
    "speaker, embedding": partial(SpeakerWaveNet, partial(build, "global"), embedding=5),
    "recognition": partial(
        RecognitionWaveNet,
        build,
        partial(ConvolutionalEncoder, 6, 1, 3),
        criterion=PhoneCriterion(ctc_weight=1.0),
        hop=20,
    ),
    "vocoder": partial(TTSWaveNet, lambda channels: TransposedUpsampling(channels, [4, 5], 4), build, ["mel"]),
    "music with a context": partial(MusicWaveNet, partial(build, "context of frames"), False),
    "music": partial(MusicWaveNet, partial(build, "global")),
    "duration": partial(DurationModel, 6),
    "log F0": partial(LogF0Model, 6, 1, 3),
}


@pytest.fixture(autouse=True)
def _can_fork(monkeypatch):
    # Or else Lightning gives each process as many threads as there are cores for it.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    if torch.cuda.is_initialized():
        pytest.skip("a process that uses CUDA cannot be forked: run this file by itself")


class Notes(Callback):
    """Each process' own: the crops of each step, what the gradients are, the weights, the last figures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps: list[list[str]] = []
        self.without_gradient: set[str] = set()
        self.norms: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, *_: Any) -> None:
        crops = batch.frames if batch.waveform is None else batch.waveform
        self.steps.append([hashlib.sha256(crop.numpy().tobytes()).hexdigest() for crop in crops])

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        named = pl_module.named_parameters()
        self.without_gradient |= {name for name, weight in named if weight.grad is None or not weight.grad.any()}

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        gradients = [weight.grad for weight in pl_module.parameters()]
        self.norms.append(float(torch.nn.utils.get_total_norm(gradients)))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        notes = {
            "steps": self.steps,
            "without gradient": self.without_gradient,
            "norms": self.norms,
            "weights": pl_module.state_dict(),
            "figures": dict(trainer.callback_metrics),
        }
        torch.save(notes, self.folder / f"rank{trainer.global_rank}.pt")


def corpus(root: Path, batch_size: int, workers: int = 0, samples: int | None = 500) -> AudioFolderDataModule:
    """Three speakers of eight clips, a second each: four crops of 500 samples."""
    return AudioFolderDataModule(
        root,
        r"(?P<speaker>\w+)/",
        audio=Audio(RATE),
        split=Split(validation=0.125, test=0.125),
        crops=Crops(samples, prompts=3),
        batch_size=batch_size,
        num_workers=workers,
        features=[MelSpectrogram(20, 100, 3, high_hz=1_000)],
    )


def spoken(root: Path) -> LJSpeechDataModule:
    """Sixteen sentences with the times of their phones."""
    folder = synthesize_ljspeech(root, clips=16, seconds=1.0, sample_rate=8_000)
    features = [Linguistic(40), LogF0(40, method="dio")]
    return LJSpeechDataModule(folder, audio=Audio(8_000), features=features, alignments=folder / "phones", batch_size=2)


def run(
    verb: str,
    folder: Path,
    task: BaseTask,
    data: AudioDataModule,
    ranks: int,
    *callbacks: Callback,
    resume: Path | None = None,
    **options: Any,
) -> list[dict[str, Any]]:
    """What each process noted."""
    folder.mkdir(exist_ok=True)
    quiet = {"logger": False, "enable_checkpointing": False, "num_sanity_val_steps": 0, "limit_val_batches": 0}
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=ranks,
        strategy="auto" if ranks == 1 else "ddp_fork",
        default_root_dir=folder,
        callbacks=[Notes(folder), *callbacks],
        enable_progress_bar=False,
        enable_model_summary=False,
        **quiet | options,
    )
    more = {"ckpt_path": resume} if verb == "fit" else {"return_predictions": False} if verb == "predict" else {}
    getattr(trainer, verb)(task, datamodule=data, **more)
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(ranks)]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("clip", [None, 0.1])
def test_two_processes_with_half_the_batch_are_one_with_the_whole(clip, tones, tmp_path):
    """Eight steps, through an epoch's end."""

    def fit(ranks: int) -> list[dict[str, Any]]:
        task = TASKS["speaker, one-hot"](optimizer=lambda weights: torch.optim.SGD(weights, lr=0.5, momentum=0.9))
        options = {"max_steps": 8, "gradient_clip_val": clip}
        return run("fit", tmp_path / str(ranks), task, corpus(tones, 12 // ranks), ranks, **options)

    (alone,), (one, other) = fit(1), fit(2)
    assert one["norms"] == pytest.approx(alone["norms"], rel=1e-4)
    assert clip is None or min(alone["norms"]) > clip
    for name, weight in alone["weights"].items():
        assert torch.equal(one["weights"][name], other["weights"][name]), name
        torch.testing.assert_close(one["weights"][name], weight, rtol=1e-4, atol=1e-6)
    begun = build("global").state_dict()
    assert (
        max((alone["weights"]["model.backbone." + name] - weight).abs().max() for name, weight in begun.items()) > 0.05
    )

    epoch = crops_of(tones) // 12
    assert 2 < epoch < 8 == len(alone["steps"]) == len(one["steps"]) == len(other["steps"])
    for whole, *shares in zip(alone["steps"], one["steps"], other["steps"], strict=True):
        assert [len(share) for share in shares] == [6, 6]
        assert not set(shares[0]) & set(shares[1])
        assert sorted(shares[0] + shares[1]) == sorted(whole)
    first = [crop for step in one["steps"][:epoch] + other["steps"][:epoch] for crop in step]
    assert len(set(first)) == len(first) == 12 * epoch


def opened(root: Path, batch_size: int = 1, samples: int = 500) -> AudioFolderDataModule:
    data = corpus(root, batch_size, samples=samples)
    data.prepare_data()
    data.setup()
    return data


def crops_of(root: Path) -> int:
    """Crops in an epoch."""
    return len(opened(root).train_dataloader().dataset)


@pytest.mark.parametrize("kind", TASKS)
def test_every_parameter_gets_a_gradient(kind, tones, tmp_path):
    """DDP without a search for unused parameters refuses a second step where one got none."""
    if kind in ("duration", "log F0"):
        data = spoken(tmp_path)
    elif kind == "music":
        root = synthesize_music(tmp_path, clips=32, seconds=1.0, sample_rate=4_000)
        data = MagnaTagATuneDataModule(root, min_clips=1, audio=Audio(RATE), crops=Crops(500), batch_size=12)
    else:
        data = corpus(tones, 6, samples=None) if kind == "recognition" else corpus(tones, 12)
    for notes in run("fit", tmp_path, TASKS[kind](), data, 2, max_steps=3):
        assert len(notes["steps"]) == 3
        assert notes["without gradient"] == set()


def test_every_task_is_among_those_tested():
    found = set()
    for module in pkgutil.iter_modules(tasks.__path__, tasks.__name__ + "."):
        for item in vars(import_module(module.name)).values():
            if isinstance(item, type) and issubclass(item, BaseTask) and not isabstract(item):
                found.add(item)
    assert found == {type(make()) for make in TASKS.values()}


@pytest.mark.parametrize("batch_size", [2, 4])
def test_validation_covers_every_sample_once(batch_size, tones, tmp_path):
    windows = len(opened(tones, batch_size, samples=310).val_dataloader().dataset)
    assert windows % 2 == 1
    assert windows % batch_size
    assert math.ceil(windows / 2) % batch_size

    def validate(ranks: int) -> list[dict[str, Any]]:
        data = corpus(tones, batch_size, samples=310)
        return run("validate", tmp_path / str(ranks), TASKS["speaker, one-hot"](), data, ranks, limit_val_batches=1.0)

    (alone,), shares = validate(1), validate(2)
    for share in shares:
        assert share["figures"]["val/bits"].item() == pytest.approx(alone["figures"]["val/bits"].item(), rel=1e-6)


@pytest.mark.parametrize("clips", [3, 1])
def test_samples_are_those_of_one_process(clips, tones, tmp_path):
    """At a learning rate of zero, so that the weights are the same; one process has a clip more than the other."""

    def fit(ranks: int) -> dict[str, bytes]:
        folder = tmp_path / str(ranks)
        samples = SampleLogger(every_n_steps=2, clips=clips, seconds=0.1, prime_seconds=0.02, seed=5)
        task = TASKS["speaker, one-hot"](optimizer=lambda weights: torch.optim.SGD(weights, lr=0.0))
        run("fit", folder, task, corpus(tones, 4), ranks, samples, max_steps=2, logger=CSVLogger(folder, "logs"))
        logged = (folder / "logs" / "version_0" / "metrics.csv").read_text().splitlines()
        assert sum("samples/level_db" in line for line in logged[:1]) == 1
        assert len(logged) == 3
        return files(folder / "samples") | {"metrics": "\n".join(sorted(logged)).encode()}

    alone = fit(1)
    assert fit(2) == alone
    wavs = [name for name in alone if name.startswith("step") and name.endswith(".wav")]
    assert len(wavs) == 2 * clips
    assert len({alone[name] for name in wavs}) == clips


def test_predictions_are_those_of_one_process(tones, tmp_path, capfd):
    """Each prompt's clip has its place as its seed, and is generated once."""
    task = TASKS["speaker, one-hot"]()

    def predict(ranks: int) -> dict[str, bytes]:
        folder = tmp_path / str(ranks)
        run("predict", folder, task, corpus(tones, 1), ranks)
        said = [line for line in capfd.readouterr().out.splitlines() if line.endswith(".wav")]
        assert sorted(said) == sorted(map(str, (folder / "predictions").rglob("*.wav")))
        return files(folder / "predictions")

    alone = predict(1)
    assert predict(2) == predict(3) == alone

    data = opened(tones)
    data.connect(task.request)
    for seed, prompt in enumerate(data.predict_dataloader()):
        (clip,) = Sampler(task.model.backbone).generate(task.model.streams(prompt, prompt.waveform.shape[1], [seed]))
        written = soundfile.read(tmp_path / "1" / "predictions" / prompt.ids[0], dtype="int16")[0]
        assert torch.equal((clip * 32768).round().clamp(max=32767).short(), torch.from_numpy(written))
    assert seed == 2


def test_more_processes_than_prompts_are_refused(tones):
    data = opened(tones)
    data._rank_of_ranks = lambda: (0, 4)  # type: ignore[method-assign]
    with pytest.raises(RequestError, match="3 test prompts are too few for 4 processes"):
        data.predict_dataloader()


@pytest.mark.parametrize("launcher", [{"LOCAL_RANK": "1", "WORLD_SIZE": "2"}, {"SLURM_NTASKS": "2"}])
def test_processes_that_are_started_apart_need_a_run_folder(launcher, monkeypatch):
    for name, value in launcher.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RequestError, match="give --run"):
        RunFolder(None, None, "demo")
    assert RunFolder("here", None, "demo").path == Path("here")
    RunFolder.forget()


@pytest.mark.parametrize("workers", [0, 1])
def test_two_processes_that_stop_and_resume_are_uninterrupted_to_the_bit(workers, tones, tmp_path):
    """Stopped in mid-epoch."""

    def fit(name: str, steps: int, resume: Path | None = None) -> list[dict[str, Any]]:
        pl.seed_everything(1, workers=True, verbose=False)
        task = TASKS["speaker, one-hot"](
            optimizer=lambda weights: torch.optim.Adam(weights, lr=1e-2),
            lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9),
        )
        options = {"max_steps": steps, "gradient_clip_val": 1.0, "enable_checkpointing": True, "resume": resume}
        return run("fit", tmp_path / name, task, corpus(tones, 6, workers), 2, LastAndBest(), **options)

    whole = fit("whole", 8)
    fit("stopped", 4)
    resumed = fit("resumed", 8, tmp_path / "stopped" / "checkpoints" / "last.ckpt")
    assert crops_of(tones) // 12 not in (2, 4, 8)
    for straight, further in zip(whole, resumed, strict=True):
        assert further["steps"] == straight["steps"][4:]
        assert all(torch.equal(weight, further["weights"][name]) for name, weight in straight["weights"].items())


def test_the_cache_is_built_once(tones, tmp_path, monkeypatch):
    notes = tmp_path / "decoded"

    def noting(path: Path, *how: Any) -> Any:
        with notes.open("a") as file:
            file.write(f"{path}\n")
        return decode(path, *how)

    monkeypatch.setattr(cache, "decode", noting)
    run("fit", tmp_path, TASKS["unconditional"](), corpus(tones, 4), 2, max_steps=1)
    assert sorted(notes.read_text().split()) == sorted(map(str, tones.rglob("*.wav")))


@pytest.mark.slow
def test_the_command_starts_its_processes_itself(tones, tmp_path):
    command = [sys.executable, "-m", "lightning_wavenet", "fit", "--config", ROOT / "configs/experiments/demo.yaml"]
    command += ["--data.root", tones, "--data.audio.sample_rate", "4000"]
    command += ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.max_steps", "4"]
    command += ["--samples.seconds", "0.1", "--data.split.validation", "0.2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    (folder,) = (tmp_path / "runs" / "demo").iterdir()
    assert {path.name for path in folder.iterdir()} == {"config.yaml", "checkpoints", "logs", "samples"}
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 4
    assert len(list((folder / "samples" / "step_0000000").glob("*.wav"))) == 4
    assert done.stdout.count("run folder ") == 1
