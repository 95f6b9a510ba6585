import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import wandb
import yaml

from lightning_wavenet.cli.main import VERBS, main

CONFIG = """
seed_everything: 3
model:
  class_path: lightning_wavenet.tasks.SpeakerWaveNet
  init_args:
    speakers: 3
    backbone:
      class_path: lightning_wavenet.backbone.WaveNet
      init_args:
        dilations: 1..4 x2
        residual_channels: 8
        gate_channels: 8
        skip_channels: 8
        head_channels: 8
        global_channels: ${model.init_args.speakers}
    optimizer:
      class_path: torch.optim.Adam
      init_args:
        lr: 0.01
data:
  class_path: datamodules.AudioFolderDataModule
  init_args:
    root: TONES
    pattern: (?P<speaker>\\w+)/
    audio:
      sample_rate: 2000
    split:
      validation: 0.2
      test: 0.2
    crops:
      samples: 500
      batch_size: 2
      prompts: 2
trainer:
  accelerator: cpu
  max_steps: 4
  val_check_interval: 2
  check_val_every_n_epoch: null
  log_every_n_steps: 1
samples:
  every_n_steps: 4
  clips: 2
  seconds: 0.2
"""


@pytest.fixture
def config(tones, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG.replace("TONES", str(tones)))
    return path


def refused(arguments: list[str], capsys) -> str:
    """The one line with which a request is refused, with exit code 2."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("wavenet: error:")]
    assert len(lines) == 1
    return lines[0]


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def same_weights(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_help_lists_every_verb_without_importing_torch():
    code = "import sys; import lightning_wavenet.cli.main as m\ntry: m.main(['-h'])\nfinally: print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(f"  {verb}" in shown for verb in VERBS)
    imported = shown.splitlines()[-1].split()
    assert "importlib" in imported
    assert "torch" not in imported


def test_a_run_from_fit_to_generate(config, capsys):
    main(["fit", "--config", str(config), "--run", "run"])
    said = capsys.readouterr().out
    assert "before training: val/bits 8." in said
    assert "bits per sample (mu-law 256, 2,000 Hz)" in said
    run = Path("run")
    resolved = yaml.safe_load((run / "config.yaml").read_text())
    assert resolved["model"]["init_args"]["backbone"]["init_args"]["global_channels"] == 3
    assert resolved["trainer"]["check_val_every_n_epoch"] is None
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"last.ckpt", "best.ckpt"}
    logged = (run / "logs" / "version_0" / "metrics.csv").read_text()
    for column in ("train/bits", "val/bits", "train/samples_per_second", "samples/level_db"):
        assert column in logged.splitlines()[0]
    for step in (0, 4):
        assert len(list((run / "samples" / f"step_{step:07d}").glob("*.wav"))) == 2
    assert len(list((run / "samples" / "reference").glob("*.png"))) == 2

    checkpoint = str(run / "checkpoints" / "best.ckpt")
    for verb, key in (("validate", "val/bits"), ("test", "test/bits")):
        main([verb, "--config", "run/config.yaml", "--ckpt_path", checkpoint])
        assert key in capsys.readouterr().out
    main(["predict", "--config", "run/config.yaml", "--ckpt_path", checkpoint, "--return_predictions", "false"])
    assert len(list((run / "predictions").glob("*.wav"))) == 2

    main(["generate", checkpoint, "--out", "clips", "--seconds", "0.25", "--speaker", "tone003,tone001", "--num", "2"])
    names = {"tone003_000", "tone003_001", "tone001_000", "tone001_001"}
    assert {path.name for path in Path("clips").iterdir()} == {
        f"{n}.{kind}" for n in names for kind in ("wav", "png", "json")
    }
    samples, rate = soundfile.read("clips/tone003_001.wav", dtype="int16")
    assert (len(samples), rate) == (500, 2000)
    assert soundfile.info("clips/tone003_001.wav").subtype == "PCM_16"
    made = json.loads(Path("clips/tone003_001.json").read_text())
    assert (made["speaker"], made["seed"], made["codec"]) == ("tone003", 1, "mu-law 256")

    # What the JSON says is enough to make the clip again.
    main(["generate", checkpoint, "--out", "again", "--seconds", "0.25", "--speaker", "tone003", "--seed", "1"])
    assert np.array_equal(soundfile.read("again/tone003_000.wav", dtype="int16")[0], samples)


def test_the_saved_config_alone_reproduces_the_run(config):
    main(["fit", "--config", str(config), "--run", "first", "--model.init_args.optimizer.init_args.lr", "0.02"])
    main(["fit", "--config", "first/config.yaml"])
    (second,) = Path("runs/config").iterdir()
    assert same_weights(Path("first/checkpoints/last.ckpt"), second / "checkpoints" / "last.ckpt")
    assert (second / "config.yaml").read_text() == Path("first/config.yaml").read_text()


def test_resume_continues_in_the_run_folder_and_keeps_its_logs(config):
    main(["fit", "--config", str(config), "--run", "whole", "--trainer.max_steps", "6"])
    main(["fit", "--config", str(config), "--run", "parts"])
    first_log = Path("parts/logs/version_0/metrics.csv").read_text()
    main(
        [
            "fit",
            "--config",
            "parts/config.yaml",
            "--ckpt_path",
            "parts/checkpoints/last.ckpt",
            "--trainer.max_steps",
            "6",
        ]
    )
    assert same_weights(Path("whole/checkpoints/last.ckpt"), Path("parts/checkpoints/last.ckpt"))
    assert Path("parts/logs/version_0/metrics.csv").read_text() == first_log
    assert Path("parts/logs/version_1/metrics.csv").exists()
    assert not Path("runs").exists()


def test_a_prime_is_continued(config):
    main(["fit", "--config", str(config), "--run", "run"])
    # After four steps all codes are about equally likely, whatever came before; sharper logits tell contexts apart.
    checkpoint = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    checkpoint["state_dict"]["backbone.head.3.weight"] *= 30
    torch.save(checkpoint, "run/checkpoints/last.ckpt")
    prime = "noise.wav"
    soundfile.write(prime, np.random.default_rng(0).uniform(-0.5, 0.5, 8_000), 8_000)
    common = ["generate", "run/checkpoints/last.ckpt", "--seconds", "0.1", "--speaker", "tone001"]
    main([*common, "--out", "primed", "--prime", prime])
    main([*common, "--out", "plain"])
    primed, plain = (soundfile.read(f"{folder}/tone001_000.wav")[0] for folder in ("primed", "plain"))
    assert len(primed) == len(plain) == 200
    assert not np.array_equal(primed, plain)


def test_wrong_requests_end_in_one_line(config, tones, capsys):
    fit = ["fit", "--config", str(config)]
    assert "'frobnicate'" in refused(["frobnicate"], capsys)
    assert "learning_rate" in refused([*fit, "--model.init_args.learning_rate", "1"], capsys)
    assert "max_stepps" in refused([*fit, "--trainer.max_stepps", "1"], capsys)
    assert "nowhere.yaml" in refused(["fit", "--config", "nowhere.yaml"], capsys)
    odd = refused([*fit, "--model.init_args.backbone.init_args.gate_channels", "7"], capsys)
    assert odd == "wavenet: error: gate_channels holds filter and gate, so it must be even, got 7"
    assert "dilations" in refused([*fit, "--model.init_args.backbone.init_args.dilations", "1..500"], capsys)
    assert "corpus has 3 speakers, but model.speakers is 4" in refused(
        [*fit, "--model.init_args.speakers", "4"], capsys
    )
    assert "nothing-here" in refused([*fit, "--data.init_args.root", "nothing-here"], capsys)
    assert "no checkpoint missing.ckpt" in refused([*fit, "--ckpt_path", "missing.ckpt"], capsys)
    # What is refused leaves nothing behind.
    assert not Path("runs").exists()
    assert "say which checkpoint to validate" in refused(["validate", "--config", str(config)], capsys)
    generate = ["generate", "missing.ckpt", "--out", "clips"]
    assert "no checkpoint missing.ckpt" in refused(generate, capsys)
    assert "required: out" in refused(generate[:2], capsys)
    assert not Path("clips").exists()


def test_requests_that_do_not_fit_a_checkpoint_end_in_one_line(config, capsys):
    fit = ["fit", "--config", str(config), "--run", "run"]
    main(fit)
    assert "has files in it" in refused(fit, capsys)
    generate = ["generate", "run/checkpoints/last.ckpt", "--out", "clips", "--seconds", "0.05"]
    assert "unknown speaker 'p225'" in refused([*generate, "--speaker", "p225"], capsys)
    assert "tone001, tone002, tone003" in refused([*generate, "--speaker", "p225"], capsys)
    assert "positive" in refused([*generate, "--seconds", "0"], capsys)
    assert "temperature" in refused([*generate, "--temperature", "0"], capsys)
    assert "no recording" in refused([*generate, "--prime", "missing.wav"], capsys)
    main(generate)
    before = Path("clips/tone001_000.wav").read_bytes()
    assert "exists" in refused([*generate, "--seed", "9"], capsys)
    assert Path("clips/tone001_000.wav").read_bytes() == before
    main([*generate, "--seed", "9", "--overwrite"])
    assert Path("clips/tone001_000.wav").read_bytes() != before
    plain = Path(config).read_text().replace("    speakers: 3\n", "").replace("SpeakerWaveNet", "UnconditionalWaveNet")
    config.write_text(plain.replace("        global_channels: ${model.init_args.speakers}\n", ""))
    resume = ["fit", "--config", str(config), "--ckpt_path", "run/checkpoints/last.ckpt"]
    assert "checkpoint is of SpeakerWaveNet, but the task is UnconditionalWaveNet" in refused(resume, capsys)


def test_weights_and_biases_get_samples_metrics_and_config(config, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = ["--trainer.logger", "pytorch_lightning.loggers.WandbLogger", "--trainer.logger.offline", "true"]
    main(["fit", "--config", str(config), "--run", "run", *logger, "--trainer.logger.save_dir", "run"])
    wandb.finish()
    (offline,) = Path("run/wandb").glob("offline-run-*")
    assert len(list(offline.glob("files/media/audio/samples/*.wav"))) == 4
    assert len(list(offline.glob("files/media/images/samples/*.png"))) == 4
    recorded = next(offline.glob("*.wandb")).read_bytes()
    for text in (b"val/bits", b"samples/spectral_distance_db", b"SpeakerWaveNet", b"gate_channels"):
        assert text in recorded
    assert Path("run/logs/version_0/metrics.csv").is_file()
