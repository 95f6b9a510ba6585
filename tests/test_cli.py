import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import wandb
import yaml

from lightning_wavenet.backbone.fused.gate import _library
from lightning_wavenet.cli.generate import live_verdict
from lightning_wavenet.cli.main import VERBS, main

CONFIG = """
seed_everything: 3
model:
  class_path: lightning_wavenet.tasks.SpeakerWaveNet
  init_args:
    backbone:
      dilations: 1..4 x2
      residual_channels: 8
      gate_channels: 8
      skip_channels: 8
      head_channels: 8
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
    batch_size: 2
    crops:
      samples: 500
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
    assert resolved["model"]["init_args"]["backbone"]["init_args"]["skip_channels"] == 8
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
    predict = ["predict", "--config", "run/config.yaml", "--ckpt_path", checkpoint]
    main(predict)
    assert len(list((run / "predictions").rglob("*.wav"))) == 2
    assert "run/predictions has files in it: choose another --run, or say --overwrite" in refused(predict, capsys)
    main([*predict, "--overwrite"])

    main(["generate", checkpoint, "--out", "clips", "--seconds", "0.25", "--speaker", "tone003,tone001", "--num", "2"])
    names = {"tone003_000", "tone003_001", "tone001_000", "tone001_001"}
    assert {path.name for path in Path("clips").iterdir()} == {
        f"{n}.{kind}" for n in names for kind in ("wav", "png", "json")
    }
    samples, rate = soundfile.read("clips/tone003_001.wav", dtype="int16")
    assert (len(samples), rate) == (500, 2000)
    assert soundfile.info("clips/tone003_001.wav").subtype == "PCM_16"
    made = json.loads(Path("clips/tone003_001.json").read_text())
    assert (made["conditions"], made["seed"], made["codec"]) == ({"speaker": "tone003"}, 1, "mu-law 256")

    assert made["engine"] in ("native", "eager")
    assert made["precision"] in ("bfloat16", "float32")

    main(["generate", checkpoint, "--seconds", "0.25", "--speaker", "tone003", "--live_check"])
    assert "1 clip of 0.25 s at 2000 Hz by the" in capsys.readouterr().out

    # What the JSON says is enough to make the clip again.
    main(["generate", checkpoint, "--out", "again", "--seconds", "0.25", "--speaker", "tone003", "--seed", "1"])
    assert np.array_equal(soundfile.read("again/tone003_000.wav", dtype="int16")[0], samples)


def test_the_saved_config_alone_reproduces_the_run(config):
    main(["fit", "--config", str(config), "--run", "first", "--model.optimizer.lr", "0.02"])
    main(["fit", "--config", "first/config.yaml"])
    (second,) = Path("runs/first").iterdir()
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
    checkpoint["state_dict"]["model.backbone.head.3.weight"] *= 30
    torch.save(checkpoint, "run/checkpoints/last.ckpt")
    prime = "noise.wav"
    soundfile.write(prime, np.random.default_rng(0).uniform(-0.5, 0.5, 8_000), 8_000)
    common = ["generate", "run/checkpoints/last.ckpt", "--seconds", "0.1", "--speaker", "tone001"]
    main([*common, "--out", "primed", "--prime", prime])
    main([*common, "--out", "plain"])
    primed, plain = (soundfile.read(f"{folder}/tone001_000.wav")[0] for folder in ("primed", "plain"))
    assert len(primed) == len(plain) == 200
    assert not np.array_equal(primed, plain)


def test_a_refused_request_takes_away_nothing_but_what_it_made(config, capsys):
    main(["fit", "--config", str(config), "--run", "run"])
    Path("run/checkpoints/last.ckpt").rename("last.ckpt")
    Path("notes/empty").mkdir(parents=True)
    Path("mine").mkdir()
    for arguments in (
        ["validate", "--config", str(config), "--ckpt_path", "last.ckpt"],
        ["fit", "--config", str(config), "--run", "new/deep", "--model.embedding", "0"],
        ["fit", "--config", str(config), "--run", "mine", "--model.embedding", "0"],
    ):
        refused(arguments, capsys)
    assert Path("notes/empty").is_dir()
    assert Path("mine").is_dir()
    assert not Path("new").exists()


def test_no_run_is_touched_by_another(config, capsys):
    main(["fit", "--config", str(config), "--run", "one", "--trainer.max_steps", "2"])
    main(["fit", "--config", str(config), "--run", "two"])
    before = Path("two/checkpoints/last.ckpt").read_bytes()
    resume = ["fit", "--config", str(config), "--ckpt_path", "one/checkpoints/last.ckpt", "--run", "two"]
    assert "has files in it" in refused(resume, capsys)
    assert Path("two/checkpoints/last.ckpt").read_bytes() == before
    Path("two/samples/step_9999999").mkdir()
    Path("two/notes.txt").write_text("mine")
    main(["fit", "--config", str(config), "--run", "two", "--overwrite", "--seed_everything", "9"])
    assert not same_weights(Path("one/checkpoints/last.ckpt"), Path("two/checkpoints/last.ckpt"))
    assert not Path("two/samples/step_9999999").exists()
    assert yaml.safe_load(Path("two/config.yaml").read_text())["seed_everything"] == 9
    assert Path("two/notes.txt").read_text() == "mine"


def test_the_last_checkpoint_knows_the_best(config):
    main(["fit", "--config", str(config), "--run", "run"])
    saved = [torch.load(f"run/checkpoints/{name}.ckpt", weights_only=True) for name in ("last", "best")]
    last, best = (checkpoint["callbacks"]["LastAndBest"]["best"] for checkpoint in saved)
    assert last == best


def test_gradients_under_accumulation_are_never_saved_halfway(config):
    main(["fit", "--config", str(config), "--run", "whole", "--trainer.accumulate_grad_batches", "3"])
    parts = [
        "fit",
        "--config",
        str(config),
        "--trainer.accumulate_grad_batches",
        "3",
        "--checkpoint.every_n_steps",
        "1",
    ]
    main([*parts, "--run", "parts", "--trainer.max_steps", "2"])
    main([*parts, "--ckpt_path", "parts/checkpoints/last.ckpt"])
    assert same_weights(Path("whole/checkpoints/last.ckpt"), Path("parts/checkpoints/last.ckpt"))


def test_wrong_requests_end_in_one_line(config, tones, capsys):
    fit = ["fit", "--config", str(config)]
    assert "'frobnicate'" in refused(["frobnicate"], capsys)
    assert "learning_rate" in refused([*fit, "--model.learning_rate", "1"], capsys)
    assert "max_stepps" in refused([*fit, "--trainer.max_stepps", "1"], capsys)
    assert "nowhere.yaml" in refused(["fit", "--config", "nowhere.yaml"], capsys)
    learning_rate = refused([*fit, "--model.optimizer.lr", "fast"], capsys)
    assert "Expected a <class 'float'>" in learning_rate
    assert "Union" not in learning_rate
    assert "NoneType" not in learning_rate
    odd = refused([*fit, "--model.backbone.gate_channels", "7"], capsys)
    assert odd == "wavenet: error: gate_channels holds filter and gate, so it must be even, got 7"
    assert "dilations" in refused([*fit, "--model.backbone.dilations", "1..500"], capsys)
    assert "an embedding needs a width" in refused([*fit, "--model.embedding", "0"], capsys)
    assert "clips" in refused([*fit, "--samples.clips", "0"], capsys)
    assert "channels" in refused([*fit, "--model.backbone.skip_channels", "-1"], capsys)
    assert "limit_val_batches" in refused([*fit, "--trainer.limit_val_batches", "1.5"], capsys)
    assert "nothing-here" in refused([*fit, "--data.root", "nothing-here"], capsys)
    assert "no checkpoint missing.ckpt" in refused([*fit, "--ckpt_path", "missing.ckpt"], capsys)
    # What is refused leaves nothing behind.
    assert not Path("runs").exists()
    assert "say which checkpoint to validate" in refused(["validate", "--config", str(config)], capsys)
    generate = ["generate", "missing.ckpt", "--out", "clips"]
    assert "no checkpoint missing.ckpt" in refused(generate, capsys)
    assert "give a folder as --out" in refused(generate[:2], capsys)
    assert "leave out --out" in refused([*generate, "--live_check"], capsys)
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
    assert "seed" in refused([*generate, "--seed", "-1"], capsys)
    assert "no device 'cuda:7'" in refused([*generate, "--device", "cuda:7"], capsys)
    assert "no checkpoint" in refused(["generate", str(config), "--out", "clips"], capsys)
    Path("file").touch()
    assert "is a file" in refused([*generate[:2], "--out", "file"], capsys)
    assert "no recording" in refused([*generate, "--prime", "missing.wav"], capsys)
    main(generate)
    before = Path("clips/tone001_000.wav").read_bytes()
    assert "exists" in refused([*generate, "--seed", "9"], capsys)
    assert Path("clips/tone001_000.wav").read_bytes() == before
    main([*generate, "--seed", "9", "--overwrite"])
    assert Path("clips/tone001_000.wav").read_bytes() != before
    config.write_text(config.read_text().replace("SpeakerWaveNet", "UnconditionalWaveNet"))
    resume = ["fit", "--config", str(config), "--ckpt_path", "run/checkpoints/last.ckpt"]
    assert "checkpoint has task SpeakerWaveNet, this run UnconditionalWaveNet" in refused(resume, capsys)


def test_weights_and_biases_get_samples_metrics_and_config(config, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = ["--trainer.logger", "pytorch_lightning.loggers.WandbLogger", "--trainer.logger.offline", "true"]
    main(["fit", "--config", str(config), "--run", "run", *logger, "--trainer.logger.save_dir", "run"])
    wandb.finish()
    (offline,) = Path("run/wandb").glob("offline-run-*")
    assert len(list(offline.glob("files/media/audio/samples/*.wav"))) == 4
    assert len(list(offline.glob("files/media/images/samples/*.png"))) == 4
    texts = (b"val/bits", b"samples/spectral_distance_db", b"SpeakerWaveNet", b"gate_channels")
    # Written by a process of its own, which may be behind.
    deadline = time.monotonic() + 30
    while missing := [text for text in texts if text not in next(offline.glob("*.wandb")).read_bytes()]:
        assert time.monotonic() < deadline, missing
        time.sleep(0.2)
    assert Path("run/logs/version_0/metrics.csv").is_file()


def test_a_live_check_holds_arrivals_against_playback():
    # Chunks of 0.1 s that play from 0.05 s on: needed at 0.05, 0.15, 0.25 s.
    assert live_verdict([0.05, 0.15, 0.2], 0.1) == "keeps up, playback can begin after 0.05 s and never stops"
    late = live_verdict([0.05, 0.25, 0.3], 0.1)
    assert late == "does not keep up, playback would stop for 0.10 s in all, or has to begin after 0.15 s to go through"


@pytest.mark.slow
def test_benchmark_writes_a_row_a_case(tmp_path, capsys):
    file = tmp_path / "rows.json"
    wanted = ["benchmark", "generate", "--net", "deepvoice-20-32-128", "--batch", "1", "--threads", "[1]"]
    wanted += ["--seconds", "0.1", "--rounds", "1", "--json", str(file)]
    main(wanted)
    rows = json.loads(file.read_text())
    assert [row["engine"] for row in rows[:1]] == ["eager"]
    assert len(rows) == len({(row["engine"], row["precision"]) for row in rows}) >= 1
    for row in rows:
        assert (row["net"], row["batch"], row["threads"]) == ("deepvoice-20-32-128", 1, 1)
        assert row["rtf"] == pytest.approx(16_000 / row["samples_per_second"])
        assert row["samples_per_second"] > 10
        # A small net on one stream: what PyTorch takes by itself, and little more.
        assert 100 < row["peak_memory_mb"] < 2_000
        assert -1 < row["extra_memory_mb"] < 100
        assert 0 < row["first_sample_seconds"] < 60
    table = capsys.readouterr().out
    assert f"{rows[0]['samples_per_second']:,.0f}" in table
    assert "exists" in refused(wanted, capsys)
    assert "is a file" in refused([*wanted[:-1], str(file / "rows.json")], capsys)
    assert "positive" in refused([*wanted[:-2], "--seconds", "0"], capsys)
    assert "whole numbers joined by commas" in refused([*wanted[:-2], "--batch", "1,many"], capsys)
    assert "no engine 'gpu'" in refused([*wanted[:-2], "--engines", "eager,gpu"], capsys)
    assert "no net 'wide'; there are paper" in refused([*wanted[:-2], "--net", "wide"], capsys)


def failed(arguments, capsys, code=1) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == code
    said = capsys.readouterr().err
    assert said.count("wavenet: error:") == 1
    return said


def test_a_run_whose_loss_explodes_ends_with_the_step_and_the_crops(config, tmp_path, capsys):
    said = failed(["fit", "--config", str(config), "--run", "run", "--guard.times", "0.1"], capsys)
    assert "step 1: the loss has exploded to" in said
    assert "diverged/step_0000001" in said
    assert list((tmp_path / "run" / "diverged" / "step_0000001").glob("*.wav"))


def test_out_of_memory_says_what_would_fit(config, monkeypatch, capsys):
    def step(self, batch, batch_idx):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("lightning_wavenet.tasks.GenerationTask.training_step", step)
    said = failed(["fit", "--config", str(config), "--run", "run"], capsys)
    assert "a step of 2 crops of 500 samples needs at least" in said
    assert "--data.batch_size 1" in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_one_line(config, capsys):
    said = refused(["fit", "--config", str(config), "--run", "run", "--trainer.accelerator", "gpu"], capsys)
    assert "no GPU" in said
    assert not Path("run").exists()


@pytest.mark.slow
@pytest.mark.skipif(_library() is None, reason="torch.compile needs a C++ compiler")
def test_a_run_is_compiled_or_recomputes_where_that_is_asked_for(config, tmp_path):
    weights = []
    for options in ([], ["--execution.recompute", "true"], ["--execution.compile", "true"]):
        run = f"run{len(weights)}"
        main(["fit", "--config", str(config), "--run", run, *options])
        weights.append(torch.load(tmp_path / run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    for other in weights[1:]:
        for name, weight in weights[0].items():
            torch.testing.assert_close(other[name], weight, atol=1e-4, rtol=1e-3)
