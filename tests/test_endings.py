"""However a run ended, it has a last checkpoint, and knows whether there is more of it to train."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
from runs import assert_same, contents

from lightning_wavenet.cli.main import main


class StopAt(pl.Callback):
    """Ends the training at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, *_):
        trainer.should_stop = trainer.global_step >= self.step


def early(**options) -> list[str]:
    """Early stopping at the first validations, whose figure no run reaches."""
    options = {"monitor": "val/bits", "min_delta": 100.0, "patience": 1} | options
    flag = "--trainer.callbacks"
    return [f"{flag}=EarlyStopping", *(f"{flag}.{name}={value}" for name, value in options.items())]


def files(folder: str) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in Path(folder).rglob("*") if path.is_file()
    }


def ended(arguments: list[str], capsys) -> str:
    """What a command says that trains no step and touches no file."""
    before = files("run")
    capsys.readouterr()
    main(arguments)
    assert files("run") == before
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("validation", "step"),
    [
        # Where no last checkpoint is due: at every validation, and with every epoch's.
        (["--trainer.val_check_interval=9"], 6),
        (["--trainer.val_check_interval=1.0", "--trainer.check_val_every_n_epoch=1"], None),
    ],
)
def test_early_stopping_leaves_a_last_checkpoint_and_ends_the_run(fit, validation, step, capsys):
    fit += [*validation, "--checkpoint.every_n_steps=1000", "--run", "run", "--trainer.max_steps"]
    main([*fit, "50", *early(patience=1)])
    at = contents("run")["global_step"]
    assert at == step or (step is None and 0 < at < 50)
    for length in ("50", "90"):
        said = ended([*fit, length, *early(patience=1), "--resume"], capsys)
        assert f"run ended at step {at}, nothing is left to train: EarlyStopping ended it" in said
        assert "other options of EarlyStopping continue it" in said
    main([*fit, "50", *early(patience=2), "--resume"])
    assert contents("run")["global_step"] > at
    fit[fit.index("run")] = "whole"
    main([*fit, "50", *early(patience=2)])
    fit[fit.index("whole")] = "run"
    assert contents("whole")["global_step"] == contents("run")["global_step"]
    assert contents("whole")["best"]["best"] == contents("run")["best"]["best"]
    assert "EarlyStopping ended it" in ended([*fit, "50", *early(patience=2), "--resume"], capsys)


def test_a_run_that_a_callback_of_the_users_ended(fit, capsys):
    def stop(step: int) -> list[str]:
        return ["--trainer.callbacks=test_endings.StopAt", f"--trainer.callbacks.step={step}", "--run", "run"]

    main([*fit, *stop(5)])
    assert contents("run")["global_step"] == 5
    assert "run ended at step 5, nothing is left to train: StopAt ended it" in ended(
        [*fit, *stop(5), "--resume"], capsys
    )
    main([*fit, *stop(7), "--resume"])
    assert contents("run")["global_step"] == 7
    main([*fit, "--run", "run", "--resume"])
    main([*fit, "--run", "whole"])
    assert_same("run", "whole")


@pytest.mark.parametrize("length", ["steps", "epochs"])
def test_a_run_that_has_come_to_its_length(fit, length, capsys):
    fit += ["--trainer.max_steps=-1", "--trainer.accumulate_grad_batches=1", "--run", "run"]
    fit += ["--data.batch_size=16", "--trainer.val_check_interval=2"]
    option = f"--trainer.max_{length}"
    main([*fit, option, "2"])
    at = contents("run")["global_step"]
    said = ended([*fit, option, "2", "--resume"], capsys)
    assert f"run ended at step {at}, nothing is left to train: that is {option} 2; a larger one continues it" in said
    assert "nothing is left" in ended([*fit, option, "1", "--ckpt_path", "run/checkpoints/last.ckpt"], capsys)
    main([*fit, option, "3", "--resume"])
    fit[fit.index("run")] = "whole"
    main([*fit, option, "3"])
    assert_same("run", "whole")


def test_a_run_whose_time_was_up(fit, capsys):
    fit += ["--trainer.max_steps=-1", "--run", "run", "--trainer.max_time"]
    main([*fit, "00:00:00:01"])
    at = contents("run")["global_step"]
    assert at
    assert f"run ended at step {at}, nothing is left to train: its time is up (1 s)" in ended(
        [*fit, "00:00:00:01", "--resume"], capsys
    )
    main([*fit, "00:00:00:02", "--resume"])
    assert contents("run")["global_step"] > at
