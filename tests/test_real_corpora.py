"""A few steps and a clip on real recordings, where they are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from lightning_wavenet import load
from lightning_wavenet.cli.main import main

CONFIGS = Path(__file__).parents[1] / "configs" / "experiments"


@pytest.mark.parametrize(
    ("corpus", "config", "speakers", "voice", "rate"),
    [
        ("fsdd/recordings", "fsdd_speaker.yaml", 6, "theo", 8_000),
        ("VCTK-Corpus", "vctk_speaker.yaml", 3, "p226", 16_000),
        ("LJSpeech-1.1/wavs", "folder_unconditional.yaml", None, None, 16_000),
    ],
)
def test_training_and_generation(corpus, config, speakers, voice, rate, real_corpus, tmp_path, monkeypatch, capsys):
    root = real_corpus(corpus)
    monkeypatch.chdir(tmp_path)
    data = {
        "root": root,
        "num_workers": 0,
        "batch_size": 1,
        "crops.samples": 1_000,
        "crops.validation_windows": 4,
    }
    arguments = ["fit", "--config", str(CONFIGS / config), "--run", "run", "--samples.every_n_steps", "0"]
    arguments += [f"--data.{key}={value}" for key, value in data.items()]
    arguments += ["--trainer.max_steps=12", "--trainer.val_check_interval=6", "--trainer.accelerator=cpu"]
    # A small net on the experiment's corpus: what is tried is the corpus.
    arguments += ["--model.backbone.dilations=1..16", "--model.optimizer.lr=0.01"]
    arguments += ["--model.lr_scheduler.warmup_steps=0"]
    main(arguments)
    before, after = (float(part.split()[0]) for part in capsys.readouterr().out.rpartition("Hz): ")[2].split(", ")[:2])
    assert before == pytest.approx(8, abs=0.2)
    assert after < before - 0.2
    # How many speakers there are is for the corpus to say.
    model = load("run/checkpoints/best.ckpt", device="cpu")
    assert len(model.vocabulary.speakers) == (speakers or 0)
    assert model.backbone.global_channels == (speakers or 0)
    main(
        ["generate", "run/checkpoints/best.ckpt", "--out", "clips", "--seconds", "0.05"]
        + (["--speaker", voice] if voice else [])
    )
    clip = f"clips/{voice}_000.wav" if voice else "clips/000.wav"
    samples, got = soundfile.read(clip)
    assert (len(samples), got) == (rate // 20, rate)
    assert np.abs(samples).max() > 0
