"""Every shipped experiment builds and trains a step, on a synthetic corpus in the original layout; every file of
`configs/trainers/` goes with any of them; those of `configs/corpora/` are enough for verbs of a corpus."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import soundfile
import yaml
from pytorch_lightning.strategies import DDPStrategy
from stand_ins import write_timit, write_timit_sample

from datamodules.phone_times import write_phones
from datamodules.synthetic import synthesize_folder, synthesize_vctk
from datamodules.synthetic_music import synthesize_music
from lightning_wavenet.cli.main import main
from lightning_wavenet.models.speaking import at_phrases
from lightning_wavenet.text.phones import Phone
from lightning_wavenet.text.structure import structure

ROOT = Path(__file__).parents[1]
EXPERIMENTS = sorted((ROOT / "configs" / "experiments").glob("*.yaml"))
CORPORA = sorted((ROOT / "configs" / "corpora").glob("*.yaml"))
STUDIES = sorted((ROOT / "configs" / "studies").glob("*.yaml"))
TRAINERS = sorted((ROOT / "configs" / "trainers").glob("*.yaml"))


def align(phones: Path, recording: Path, text: str) -> None:
    """Says that the phones of a text are all equally long."""
    said = [segment.label for segment in at_phrases(structure(text)).segments]
    times = np.linspace(0, soundfile.info(recording).frames, len(said) + 1).astype(int).tolist()
    write_phones(phones, map(Phone, said, times, times[1:]))


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> dict[str, Path]:
    """Four tone speakers in each layout; digits are named as in the Free Spoken Digit Dataset."""
    root = tmp_path_factory.mktemp("corpora")
    options = {"speakers": 4, "clips": 6, "source": "tones", "seconds": 1.0}
    folder = synthesize_folder(root / "folder", sample_rate=22_050, **options)
    digits = root / "digits"
    digits.mkdir()
    letters = "abcd"
    for path in folder.glob("*/*.wav"):
        speaker, number = path.stem.split("_")
        name = f"0_{letters[int(speaker[-1]) - 1]}_{int(number) + 2}.wav"
        (digits / name).write_bytes(path.read_bytes())
    sc09 = root / "sc09"
    for number, path in enumerate(sorted(folder.glob("*/*.wav"))):
        home = sc09 / ("validation", "testing", "", "", "")[number % 5] / "seven"
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{number:08x}_nohash_0.wav").write_bytes(path.read_bytes())
    vctk = synthesize_vctk(root / "vctk", **options)
    for path in vctk.glob("wav48_silence_trimmed/*/*_mic1.flac"):
        id = path.stem.removesuffix("_mic1")
        text = (vctk / "txt" / path.parent.name / f"{id}.txt").read_text()
        align(vctk / "phones" / f"{id}.phn", path, text)
    ljspeech = root / "LJSpeech-1.1"
    (ljspeech / "wavs").mkdir(parents=True)
    (ljspeech / "phones").mkdir()
    lines = []
    for number, path in enumerate(folder.glob("*/*.wav"), 1):
        id = f"LJ001-{number:04d}"
        lines.append(f"{id}|Take number.|Take number.\n")
        (ljspeech / "wavs" / f"{id}.wav").write_bytes(path.read_bytes())
        align(ljspeech / "phones" / f"{id}.phn", path, "Take number.")
    (ljspeech / "metadata.csv").write_text("".join(lines))
    return {
        "VCTKDataModule": vctk,
        "AudioFolderDataModule": folder,
        "LJSpeechDataModule": ljspeech,
        "MagnaTagATuneDataModule": synthesize_music(root / "music", clips=32, seconds=1.0, sample_rate=16_000),
        "sc09": sc09,
        "TIMITDataModule": write_timit(root / "timit", audio=True),
        "timit_sample": write_timit_sample(root / "sample", ("falr0", "marc0", "faem0")),
        "fsdd": digits,
    }


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiment_builds_and_trains_a_step(path, corpora, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load(path.read_text())
    data = config["data"]["class_path"].rpartition(".")[2]
    special = next((name for name in ("fsdd", "sc09", "timit_sample") if path.stem.startswith(name)), data)
    arguments = ["fit", "--config", str(path), "--run", "run", "--data.root", str(corpora[special])]
    arguments += ["--data.num_workers", "0", "--data.batch_size", "1"]
    if "Recognition" not in config["model"]["class_path"]:
        arguments += ["--data.crops.samples", "500", "--data.crops.evaluation_samples", "500"]
    if data == "LJSpeechDataModule" or path.stem == "vctk_tts_lf":
        arguments += ["--data.alignments", str(corpora[data] / "phones")]
    if data == "MagnaTagATuneDataModule":
        arguments += ["--data.min_clips", "3"]
    if path.stem == "demo_recognition":  # Speakers have other names here.
        arguments += ["--data.split.validation_speakers", "[tone001]", "--data.split.test_speakers", "[tone002]"]
    arguments += ["--trainer.max_steps", "1", "--trainer.accelerator", "cpu", "--samples.every_n_steps", "0"]
    # A CPU without bfloat16 takes minutes for what another does in seconds.
    arguments += ["--trainer.limit_val_batches", "1", "--trainer.precision", "32-true"]
    main(arguments)
    assert Path("run/checkpoints/last.ckpt").is_file()


@pytest.mark.parametrize("path", CORPORA, ids=lambda path: path.stem)
def test_a_corpus_alone_is_prepared_and_described(path, corpora, capsys):
    config = yaml.safe_load(path.read_text())
    assert config.keys() == {"data"}
    root = corpora[config["data"]["class_path"].rpartition(".")[2]]
    for verb in ("prepare", "describe"):
        main(["data", verb, "--config", str(path), "--data.root", str(root)])
    assert "24 clips" in capsys.readouterr().out  # four speakers with six each


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_listening_test_is_read_as_it_is_written(path, capsys):
    written = yaml.safe_load(path.read_text())
    read = resolved(["listening", "export", str(path), "--out", "study"], capsys)
    for name, value in written.items():
        if name == "systems":
            assert read[name].keys() == value.keys()
        elif name == "design":
            assert value.items() <= read[name].items()
        elif "$" not in str(value):
            assert read[name] == value
    assert f"wavenet listening export configs/studies/{path.name}" in path.read_text().splitlines()[0]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiment_begins_with_its_command_source_and_expectation(path):
    header = [line.lstrip("# ").rstrip() for line in path.read_text().splitlines() if line.startswith("#")]
    commands = [shlex.split(line) for line in header if line.startswith("wavenet fit")]
    assert len(commands) == 1
    assert commands[0][2:4] == ["--config", f"configs/experiments/{path.name}"]
    assert any("Source:" in line for line in header)
    assert any(line.startswith("Expected:") for line in header)


def resolved(arguments: list[str], capsys) -> dict:
    """The configuration that a command would run with; nothing runs."""
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--print_config"])
    assert stop.value.code in (None, 0)
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize("experiment", ["demo", "vctk_speaker"])
def test_trainers_change_on_what_an_experiment_trains_and_nothing_else(experiment, capsys):
    assert {path.stem for path in TRAINERS} >= {"cpu", "one_gpu", "many_gpus", "many_nodes"}
    fit = ["fit", "--config", str(ROOT / "configs" / "experiments" / f"{experiment}.yaml")]
    alone = resolved(fit, capsys)
    for path in TRAINERS:
        config = yaml.safe_load(path.read_text())
        assert config.keys() == {"trainer"}
        assert config["trainer"].keys() <= {"accelerator", "devices", "num_nodes", "strategy", "precision"}
        if "num_nodes" in config["trainer"]:
            config["trainer"]["num_nodes"] = 1
        assert resolved([*fit, "--config", str(path)], capsys) == alone | {
            "trainer": alone["trainer"] | config["trainer"]
        }


def test_the_number_of_machines_is_that_of_torchrun_or_slurm(capsys, monkeypatch):
    fit = ["fit", "--config", str(EXPERIMENTS[0]), "--config", str(ROOT / "configs" / "trainers" / "many_nodes.yaml")]
    monkeypatch.setenv("SLURM_NNODES", "3")
    assert resolved(fit, capsys)["trainer"]["num_nodes"] == 3
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")
    assert resolved(fit, capsys)["trainer"]["num_nodes"] == 2


@pytest.mark.parametrize("path", TRAINERS, ids=lambda path: path.stem)
def test_trainers_are_taken_by_lightning(path, tmp_path):
    options = yaml.safe_load(path.read_text())["trainer"] | {"accelerator": "cpu", "devices": 2, "num_nodes": 1}
    trainer = pl.Trainer(**options, default_root_dir=tmp_path, logger=False)
    assert trainer.world_size == 2
    assert isinstance(trainer.strategy, DDPStrategy)
    assert not trainer.strategy._ddp_kwargs.get("find_unused_parameters", False)


@pytest.mark.parametrize("path", TRAINERS, ids=lambda path: path.stem)
def test_trainers_begin_with_their_command_and_what_a_batch_is(path, capsys):
    header = [line.lstrip("# ").rstrip("\\") for line in path.read_text().splitlines() if line.startswith("#")]
    command = shlex.split(" ".join(header[: header.index("")]))
    arguments = command[command.index("fit") :]
    assert arguments[3:5] == ["--config", f"configs/trainers/{path.name}"]
    assert resolved([str(ROOT / part) if part.startswith("configs/") else part for part in arguments], capsys)
    assert any(line.startswith("Batch:") for line in header)


def test_the_sample_job_asks_for_a_process_a_gpu_and_runs_a_command_that_parses(tmp_path, capsys):
    job = ROOT / "configs" / "trainers" / "slurm.sbatch"
    subprocess.run(["bash", "-n", job], check=True)
    asked = dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", job.read_text(), re.MULTILINE))
    assert asked["ntasks-per-node"] == asked["gpus-per-node"]
    assert asked["signal"].startswith("SIGUSR1@")
    assert "requeue" in asked
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "77"}
    started = subprocess.run(["bash", job], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    command, *arguments = started.stdout.splitlines()
    assert command == ".venv/bin/wavenet"
    config = resolved([str(ROOT / part) if part.startswith("configs/") else part for part in arguments], capsys)
    assert config["run"] == "runs/vctk_speaker/slurm-77"
    assert config["resume"]
    assert config["trainer"]["strategy"] == "ddp"


@pytest.mark.parametrize(
    ("experiment", "change", "name", "expected"),
    [
        ("demo", "--model.optimizer=torch.optim.AdamW", "weight_decay", 0.01),  # Of Adam it is 0.
        ("demo_recognition", "--model.encoder=RecurrentEncoder", "layers", 2),  # Of ConvolutionalEncoder it is 3.
    ],
)
def test_another_class_comes_with_its_own_defaults(experiment, change, name, expected, capsys, tmp_path):
    """Where the experiment names none: options of a default class would stay otherwise."""
    config = yaml.safe_load((ROOT / "configs" / "experiments" / f"{experiment}.yaml").read_text())
    option = change.partition("=")[0].rpartition(".")[2]
    del config["model"]["init_args"][option]
    (tmp_path / "bare.yaml").write_text(yaml.safe_dump(config))
    chosen = resolved(["fit", "--config", str(tmp_path / "bare.yaml"), change], capsys)
    assert chosen["model"]["init_args"][option]["init_args"][name] == expected
