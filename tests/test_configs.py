"""Every shipped experiment builds and trains a step, on a synthetic corpus in the original layout."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

from datamodules.synthetic import synthesize_folder, synthesize_vctk
from lightning_wavenet.cli.main import main

EXPERIMENTS = sorted((Path(__file__).parents[1] / "configs" / "experiments").glob("*.yaml"))


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> dict[str, Path]:
    """Four tone speakers in each layout; digits are named as in the Free Spoken Digit Dataset."""
    root = tmp_path_factory.mktemp("corpora")
    options = {"speakers": 4, "clips": 6, "source": "tones", "seconds": 1.0}
    folder = synthesize_folder(root / "folder", sample_rate=16_000, **options)
    digits = root / "digits"
    digits.mkdir()
    letters = "abcd"
    for path in folder.glob("*/*.wav"):
        speaker, number = path.stem.split("_")
        name = f"0_{letters[int(speaker[-1]) - 1]}_{int(number) + 2}.wav"
        (digits / name).write_bytes(path.read_bytes())
    return {
        "VCTKDataModule": synthesize_vctk(root / "vctk", **options),
        "AudioFolderDataModule": folder,
        "fsdd": digits,
    }


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiment_builds_and_trains_a_step(path, corpora, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load(path.read_text())
    data = config["data"]["class_path"].rpartition(".")[2]
    root = corpora["fsdd" if "fsdd" in path.stem else data]
    arguments = ["fit", "--config", str(path), "--run", "run", "--data.init_args.root", str(root)]
    arguments += ["--data.init_args.crops.workers", "0", "--data.init_args.crops.samples", "500"]
    arguments += ["--trainer.max_steps", "1", "--trainer.accelerator", "cpu", "--samples.every_n_steps", "0"]
    arguments += ["--trainer.limit_val_batches", "1", "--data.init_args.crops.batch_size", "1"]
    if "speakers" in config["model"]["init_args"]:
        arguments += ["--model.init_args.speakers", "4"]
    main(arguments)
    assert Path("run/checkpoints/last.ckpt").is_file()


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiment_begins_with_its_command_source_and_expectation(path):
    header = [line.lstrip("# ").rstrip() for line in path.read_text().splitlines() if line.startswith("#")]
    commands = [shlex.split(line) for line in header if line.startswith("wavenet fit")]
    assert len(commands) == 1
    assert commands[0][2:4] == ["--config", f"configs/experiments/{path.name}"]
    assert any("Source:" in line for line in header)
    assert any(line.startswith("Expected:") for line in header)
