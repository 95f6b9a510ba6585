"""Every option of Lightning's Trainer has its effect on a run, or is refused in the user's words."""

import inspect
import logging
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import yaml
from runs import stopped

from lightning_wavenet.callbacks import ProgressBar
from lightning_wavenet.cli.main import main
from lightning_wavenet.cli.training import said_at_each_start

PASSED_ON = {
    *("accelerator", "strategy", "devices", "num_nodes", "precision", "callbacks", "fast_dev_run", "max_epochs"),
    *("min_epochs", "max_steps", "min_steps", "max_time", "limit_train_batches", "limit_val_batches"),
    *("limit_test_batches", "limit_predict_batches", "overfit_batches", "val_check_interval"),
    *("check_val_every_n_epoch", "num_sanity_val_steps", "log_every_n_steps", "accumulate_grad_batches"),
    *("gradient_clip_val", "gradient_clip_algorithm", "deterministic", "benchmark", "inference_mode", "profiler"),
    *("use_distributed_sampler", "detect_anomaly", "plugins", "sync_batchnorm", "reload_dataloaders_every_n_epochs"),
}
"""What Lightning does as it always does."""
OURS = {"logger", "enable_progress_bar", "enable_model_summary", "enable_autolog_hparams"}
REFUSED = {
    "default_root_dir": ["elsewhere", "../there"],
    "enable_checkpointing": ["false"],
    "barebones": ["true"],
    "model_registry": ["team/model"],
    "gradient_clip_algorithm": ["norm", "value"],
    "use_distributed_sampler": ["false"],
    "precision": ["bf16-true", "16-true"],
}


def refused(arguments: list[str], capsys) -> str:
    capsys.readouterr()
    assert stopped(arguments) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("wavenet: error:")]
    return line


def test_there_is_no_other_option():
    options = set(inspect.signature(pl.Trainer.__init__).parameters) - {"self"}
    assert options == PASSED_ON | OURS | set(REFUSED)


@pytest.mark.parametrize(("option", "value"), [(option, one) for option, values in REFUSED.items() for one in values])
def test_what_has_no_effect_is_refused_by_the_name_that_was_given(fit, option, value, capsys):
    if option == "gradient_clip_algorithm":
        Path("tiny.yaml").write_text(Path("tiny.yaml").read_text().replace("gradient_clip_val: 1.0", ""))
    line = refused([*fit, f"--trainer.{option}", value], capsys)
    assert line.startswith(f"wavenet: error: --trainer.{option} {value}: ")
    assert not Path("runs").exists()


@pytest.mark.parametrize("value", ["all", "true"])
def test_a_logger_that_has_no_checkpoint_to_upload_is_refused(fit, value, capsys):
    logger = ["--trainer.logger=WandbLogger", f"--trainer.logger.log_model={value}"]
    assert "--trainer.logger.log_model" in refused([*fit, *logger], capsys)
    assert not Path("runs").exists()


def test_no_logger_no_progress_and_a_summary(fit, capsys):
    options = ["--trainer.logger=false", "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=true"]
    main([*fit, "--run", "run", "--trainer.max_steps=2", *options])
    assert not Path("run/logs").exists()
    said = capsys.readouterr().out
    assert "  step  " not in said
    assert "SpeakerModel" in said
    main([*fit, "--run", "run", "--resume", "--trainer.max_steps=4", "--trainer.logger=true"])
    assert Path("run/logs").is_dir()
    for logger, there in ((["--trainer.logger=CSVLogger", "--trainer.logger.save_dir=mine"], True), ([], False)):
        main(["test", "--config", "run/config.yaml", "--ckpt_path", "run/checkpoints/last.ckpt", *logger])
        assert bool(list(Path("mine").rglob("metrics.csv"))) == there
        if there:
            assert "test/bits" in next(Path("mine").rglob("metrics.csv")).read_text()
            next(Path("mine").rglob("metrics.csv")).unlink()


@pytest.mark.parametrize("batches", ["1", "3"])
def test_fast_dev_run_leaves_nothing(fit, batches):
    main([*fit, "--run", "run", "--trainer.fast_dev_run", batches])
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("GPU available: False, used: False", False),
        ("TPU available: False, using: 0 TPU cores", False),
        ("`Trainer.fit` stopped: `max_steps=4` reached.", False),
        ("\nDetected KeyboardInterrupt, attempting graceful shutdown ...", False),
        ("FIT Profiler Report", True),
        ("\n  | Name  | Type", True),
        ("Monitored metric val/bits did not improve in the last 1 records.", True),
        ("Time limit reached. Elapsed time is 0:00:01. Signaling Trainer to stop.", True),
    ],
)
def test_lightnings_log_is_silent_only_on_what_nobody_asked(message, shown):
    assert said_at_each_start(logging.makeLogRecord({"msg": message, "levelno": logging.INFO})) == shown
    assert said_at_each_start(logging.makeLogRecord({"msg": message, "levelno": logging.WARNING}))


@pytest.mark.parametrize(("epochs", "said"), [(-1, "Epoch 5"), (9, "Epoch 5/8")])
def test_the_bar_counts_the_epochs_that_there_are(epochs, said):
    bar = ProgressBar()
    bar.setup(
        pl.Trainer(max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False),
        torch.nn.Module(),
        "",
    )
    assert bar._get_train_description(5).strip() == said


def test_what_is_refused_in_a_file_is_too(fit, capsys):
    config = yaml.safe_load(Path("tiny.yaml").read_text())
    config["trainer"]["default_root_dir"] = "there"
    Path("tiny.yaml").write_text(yaml.safe_dump(config))
    assert "--trainer.default_root_dir there" in refused(fit, capsys)
