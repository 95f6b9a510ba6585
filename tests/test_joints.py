"""What passes between runs: machine and random state in a checkpoint, old names of options, predictions in batches."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from runs import assert_same, stopped

from lightning_wavenet.cli.main import main


def changed(checkpoint: str, **machine: object) -> None:
    """Lets a checkpoint be of another machine."""
    saved = torch.load(checkpoint, weights_only=True)
    saved["lightning_wavenet"]["machine"].update(machine)
    torch.save(saved, checkpoint)


def test_a_run_that_resumes_on_another_machine_says_so_in_one_line(fit, capsys):
    fit += ["--run", "run"]
    main([*fit, "--trainer.max_steps", "3"])
    main([*fit, "--resume", "--trainer.max_steps", "4"])
    assert "not to the bit" not in capsys.readouterr().out
    changed("run/checkpoints/last.ckpt", CPU="Some CPU (NEON)", threads=7)
    main([*fit, "--resume", "--trainer.max_steps", "5"])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "not to the bit" in line]
    assert line.startswith("resumed, but not to the bit: CPU Some CPU (NEON), now ")
    assert line.endswith("; threads 7, now 1")


def test_a_checkpoint_knows_what_it_was_trained_on(fit, tones):
    main([*fit, "--run", "run", "--trainer.max_steps", "1"])
    known = torch.load("run/checkpoints/last.ckpt", weights_only=True)["lightning_wavenet"]["trained_on"]
    all_ids = sorted(path.relative_to(tones).as_posix() for path in tones.rglob("*.wav"))
    assert len(all_ids) == 24
    # A fifth validates and a fifth is tested on, of 24 clips: 5 each.
    assert len(known["ids"]) == 14
    assert set(known["ids"]) < set(all_ids)
    assert known["sha256"] == hashlib.sha256("\n".join(known["ids"]).encode()).hexdigest()


RECOGNIZER = [
    *("--model", "RecognitionWaveNet", "--data", "AudioFolderDataModule"),
    *("--data.audio.sample_rate=4000", "--data.batch_size=2", "--data.split.validation=0.2"),
    *("--model.backbone.dilations=1..4", "--model.backbone.residual_channels=8", "--model.backbone.skip_channels=8"),
    *(
        "--model.encoder=ConvolutionalEncoder",
        "--model.encoder.channels=8",
        "--model.encoder.dropout=0.5",
        "--model.hop=40",
        "--model.criterion.sample_weight=0",
    ),
    *("--trainer.accelerator=cpu", "--trainer.val_check_interval=3", "--trainer.check_val_every_n_epoch=null"),
]


@pytest.mark.slow
def test_without_the_random_state_dropout_would_be_another(tones, tmp_path, monkeypatch):
    """So that a test of resumed dropout (`test_cli_recognition`) cannot pass by chance."""
    monkeypatch.chdir(tmp_path)
    fit = ["fit", *RECOGNIZER, "--data.root", str(tones), "--run"]
    main([*fit, "whole", "--trainer.max_steps", "6"])
    main([*fit, "parts", "--trainer.max_steps", "4"])
    saved = torch.load("parts/checkpoints/last.ckpt", weights_only=True)
    saved["lightning_wavenet"]["random"] *= 2  # As of a run with two processes: of no use to one.
    torch.save(saved, "parts/checkpoints/last.ckpt")
    main([*fit, "parts", "--resume", "--trainer.max_steps", "6"])
    one, other = (
        torch.load(f"{run}/checkpoints/last.ckpt", weights_only=True)["state_dict"] for run in ("whole", "parts")
    )
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--data.crops.batch_size=3", "data.crops.batch_size is now called data.batch_size"),
        ("--data.init_args.crops.workers=1", "data.crops.workers is now called data.num_workers"),
        (
            "--data.crops.evaluation_windows=3",
            "data.crops.evaluation_windows is now called data.crops.validation_windows",
        ),
        ("--guard.bits=24", "guard.bits is not an option any more: say guard.times"),
        ("--model.ctc_weight=1", "model.ctc_weight is now called model.criterion.ctc_weight"),
        ("--model.frame=80", "model.frame is now called model.hop"),
        (
            "--model.init_args.frames.init_args.channels=8",
            "model.frames.channels is now called model.encoder.channels",
        ),
        ("--model.speakers=3", "the corpus says how many speakers there are: leave it out"),
        ("--model.init_args.backbone.init_args.global_channels=3", "the task says how wide its condition is"),
    ],
)
def test_an_old_name_of_an_option_is_refused_with_the_new_one(fit, capsys, option, message):
    assert stopped([*fit, option]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("wavenet: error:")]
    assert message in line


def test_old_names_in_a_config_are_refused_too_by_every_verb_that_reads_one(fit, capsys):
    Path("old.yaml").write_text(
        Path("tiny.yaml").read_text().replace("    batch_size: 4\n    crops:\n", "    crops:\n      batch_size: 4\n")
    )
    for arguments in (["fit", "--config", "old.yaml"], ["data", "describe", "--config", "old.yaml"]):
        assert stopped(arguments) == 2
        assert "data.crops.batch_size is now called data.batch_size" in capsys.readouterr().err


def test_predictions_do_not_depend_on_how_many_are_made_at_a_time(fit):
    main([*fit, "--run", "run", "--trainer.max_steps", "1"])
    verb = [
        "predict",
        "--config",
        "run/config.yaml",
        "--ckpt_path",
        "run/checkpoints/last.ckpt",
        "--data.crops.prompts=5",
    ]
    for size in (1, 5):
        main([*verb, "--run", f"by{size}", f"--data.batch_size={size}"])
    names = sorted(path.relative_to("by1") for path in Path("by1").rglob("*.wav"))
    assert len(names) == 5
    for name in names:
        samples = sf.read(Path("by1") / name, dtype="int16")[0]
        assert np.array_equal(sf.read(Path("by5") / name, dtype="int16")[0], samples)
        about = json.loads((Path("by5") / name).with_suffix(".json").read_text())
        assert about["id"].startswith("tone")
        assert about["conditions"] == {"speaker": about["id"].split("/")[0]}
        assert about["seconds"] == pytest.approx(len(samples) / 4_000)
    seeds = [json.loads(path.read_text())["seed"] for path in Path("by5").rglob("*.json")]
    assert sorted(seeds) == [0, 1, 2, 3, 4]


def test_a_test_is_on_every_sample_however_few_windows_a_validation_takes(fit, capsys):
    main([*fit, "--run", "run", "--trainer.max_steps", "1"])
    figures = []
    for windows in ("1", "null"):
        Path("windows.yaml").write_text(f"data: {{init_args: {{crops: {{validation_windows: {windows}}}}}}}")
        options = ["--config", "run/config.yaml", "--config", "windows.yaml"]
        options += ["--ckpt_path", "run/checkpoints/last.ckpt"]
        for verb in ("validate", "test"):
            main([verb, *options])
            figures.append(capsys.readouterr().out.splitlines()[-1])
    assert figures[1] == figures[3]
    assert figures[0] != figures[2]


def test_a_schedule_falls_over_the_length_of_the_training(fit):
    main([*fit, "--run", "told", "--model.lr_scheduler.total_steps", "14"])
    Path("tiny.yaml").write_text(Path("tiny.yaml").read_text().replace("        total_steps: 400\n", ""))
    main([*fit, "--run", "untold"])
    assert_same("told", "untold")


def test_a_model_of_one_corpus_is_tested_on_another(fit, tones, tmp_path, capsys):
    """An unconditional one, for which it does not matter who speaks; one of speakers is refused."""
    Path("plain.yaml").write_text(Path("tiny.yaml").read_text().replace("SpeakerWaveNet", "UnconditionalWaveNet"))
    main(["fit", "--config", "plain.yaml", "--run", "plain", "--trainer.max_steps", "1"])
    main([*fit, "--run", "voices", "--trainer.max_steps", "1"])
    other = tmp_path / "other" / "someone"
    other.mkdir(parents=True)
    for path in (tones / "tone001").glob("*.wav"):
        (other / path.name).write_bytes(path.read_bytes())
    options = ["--data.root", str(other.parent), "--run", "elsewhere", "--data.split.test", "0.5"]
    main(["test", "--config", "plain/config.yaml", "--ckpt_path", "plain/checkpoints/last.ckpt", *options])
    assert "bits per sample (mu-law 256, 4,000 Hz): " in capsys.readouterr().out
    refused = ["test", "--config", "voices/config.yaml", "--ckpt_path", "voices/checkpoints/last.ckpt", *options]
    assert stopped(refused) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("wavenet: error:")]
    assert line.endswith(
        "the model and the checkpoint have different speakers (1 and 3): only the model has someone, only the "
        "checkpoint tone001, tone002, tone003"
    )
