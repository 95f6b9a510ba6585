"""What cannot be trained is refused in one line, and leaves nothing behind that would refuse the corrected command."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from runs import stopped

from lightning_wavenet.cli.main import main
from lightning_wavenet.cli.run_folder import RunFolder


class Needs(pl.Callback):
    """Needs a package that nobody has."""

    def setup(self, trainer, pl_module, stage):
        import no_such_package  # noqa: F401


class NeedsAtOnce(pl.Callback):
    """Needs it to be made."""

    def __init__(self) -> None:
        raise ModuleNotFoundError("no_such_package is not installed")


def refused(arguments: list[str], capsys) -> str:
    capsys.readouterr()
    assert stopped(arguments) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    (line,) = [line for line in captured.err.splitlines() if line.startswith("wavenet: error:")]
    return line


STOPPING = ["--trainer.callbacks=EarlyStopping"]
IMPOSSIBLE = [
    ([*STOPPING, "--trainer.callbacks.monitor=val/loss"], "monitors val/loss, which this run does not log"),
    ([*STOPPING, "--trainer.callbacks.monitor=train/loss"], "one of train/bits, train/samples_per_second"),
    ([*STOPPING, "--trainer.callbacks.monitor=loss", "--trainer.num_sanity_val_steps=2"], "val/bits"),
    (
        ["--trainer.val_check_interval=900", "--trainer.check_val_every_n_epoch=1"],
        "`val_check_interval` (900) must be less than or equal",
    ),
    (["--trainer.callbacks=test_refusals.Needs"], "a package is missing"),
    (["--trainer.callbacks=test_refusals.NeedsAtOnce"], "no_such_package"),
    (["--trainer.precision=transformer-engine"], "a package is missing"),
    (["--model.optimizer.lr=-1"], "Invalid learning rate: -1"),
    (["--trainer.gradient_clip_val=1", "--trainer.gradient_clip_algorithm=sum"], "sum"),
]


@pytest.mark.parametrize(("options", "said"), IMPOSSIBLE)
def test_what_cannot_be_trained_is_one_line_and_leaves_nothing(fit, options, said, capsys):
    Path("mine").mkdir()
    for run in ([], ["--run", "new/deep"], ["--run", "mine"]):
        assert said in refused([*fit, *options, *run], capsys)
        assert not Path("runs").exists()
        assert not Path("new").exists()
        assert not list(Path("mine").iterdir())


def test_a_checkpoint_of_weights_alone_is_refused(fit, capsys):
    main([*fit, "--run", "run", "--trainer.max_steps", "1"])
    saved = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    for name in ("optimizer_states", "lr_schedulers"):
        del saved[name]
    torch.save(saved, "weights.ckpt")
    line = refused([*fit, "--run", "new", "--ckpt_path", "weights.ckpt"], capsys)
    assert "weights.ckpt holds weights alone" in line
    assert "--weights weights.ckpt" in line
    del saved["loops"]
    torch.save(saved, "weights.ckpt")
    assert "holds weights alone" in refused([*fit, "--run", "new", "--ckpt_path", "weights.ckpt"], capsys)
    torch.save(saved["state_dict"], "weights.ckpt")
    assert "weights.ckpt is not a checkpoint" in refused([*fit, "--run", "new", "--ckpt_path", "weights.ckpt"], capsys)
    assert not Path("new").exists()


def test_a_refused_resume_leaves_the_run_as_it_was(fit, capsys):
    main([*fit, "--run", "run", "--trainer.max_steps", "1"])
    before = {str(path): path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    refused([*fit, "--run", "run", "--resume", "--model.optimizer.lr", "0.5"], capsys)
    refused([*fit, "--run", "run", "--resume", "--trainer.precision=transformer-engine"], capsys)
    assert {str(path): path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before


def _choose(start, chosen) -> None:
    start.wait()
    chosen.put(str(RunFolder(None, None, "same").path))


@pytest.mark.parametrize("runs", [4, 9])
def test_runs_that_start_together_have_folders_of_their_own(tmp_path, monkeypatch, runs):
    monkeypatch.chdir(tmp_path)
    context = multiprocessing.get_context("fork")
    start, chosen = context.Barrier(runs), context.Queue()
    processes = [context.Process(target=_choose, args=(start, chosen)) for _ in range(runs)]
    for process in processes:
        process.start()
    folders = {chosen.get(timeout=30) for _ in processes}
    for process in processes:
        process.join()
    assert len(folders) == runs
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.glob("runs/same/*")} == folders


@pytest.mark.parametrize("number", [1, 3])
def test_a_withdrawn_run_takes_away_its_own_folder_only(tmp_path, monkeypatch, number):
    monkeypatch.chdir(tmp_path)
    folders = []
    for _ in range(number):
        folders.append(RunFolder(None, None, "same"))
        RunFolder.forget()
    folders[-1].withdraw()
    assert [folder.path.exists() for folder in folders] == [True] * (number - 1) + [False]
    assert Path("runs").exists() == (number > 1)
