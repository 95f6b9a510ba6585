"""A run that is stopped, killed or finds its files damaged goes on, and ends as if nothing had happened, to the bit."""

import csv
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from runs import assert_same, contents, differences, stopped

from lightning_wavenet.callbacks import WeightAverage
from lightning_wavenet.cli.main import main


class Knock(pl.Callback):
    """Sends this process a signal while the first batch of a step is trained on."""

    def __init__(self, step: int, number: int) -> None:
        self.step = step
        self.number = number

    def on_before_backward(self, trainer, pl_module, loss):
        if trainer.global_step == self.step - 1 and self.number:
            number, self.number = self.number, 0
            os.kill(os.getpid(), number)


class KnockEarly(pl.Callback):
    """Sends this process a signal in the check before training."""

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        assert batch_idx == 0, "the first check goes on"
        os.kill(os.getpid(), signal.SIGTERM)


class KillValidating(pl.Callback):
    """Kills this process in the validation at step 8, where a checkpoint is due as well."""

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
        if trainer.global_step == 8:
            os.kill(os.getpid(), signal.SIGKILL)


def knock(step: int, number: int) -> list[str]:
    return [
        "--trainer.callbacks=test_resume.Knock",
        f"--trainer.callbacks.step={step}",
        f"--trainer.callbacks.number={int(number)}",
    ]


def launch(arguments: list[str], before: Callable[[], None] = lambda: None) -> int:
    """Runs the command in a process group of its own, where all that takes time to import is there already."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        os.setsid()
        log = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        before()
        main(arguments)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(process: int) -> int:
    """The exit code of a process, or the negative number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def said() -> str:
    return Path("said.txt").read_text() if Path("said.txt").exists() else ""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, said()
        time.sleep(0.001)


def stopped_while_training(arguments: list[str], send: Callable[[int, int], None], number: signal.Signals) -> int:
    """The step at which the command, in a process group of its own, is ended by a signal."""
    command = [sys.executable, "-m", "lightning_wavenet", *arguments, "--run", "parts", "--trainer.max_steps=100000"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0)
    try:
        assert running.stdout is not None
        lines, sent = [], False
        for line in running.stdout:
            lines.append(line)
            if re.match(r".* step .* val/bits", line) and not sent:
                send(running.pid, number)
                sent = True
        assert running.wait() == 128 + number, lines
    finally:
        running.kill()
    step = contents("parts")["global_step"]
    assert (
        lines[-1] == f"stopped by {number.name} at step {step}; resume with --ckpt_path parts/checkpoints/last.ckpt\n"
    )
    return step


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """One byte of a weight, which leaves the file as easy to read as before."""
    weight = torch.load(path, weights_only=True)["ema"]["weights"]["model.backbone.head.3.weight"].numpy().tobytes()
    contents = bytearray(path.read_bytes())
    contents[contents.index(weight) + 5] ^= 1
    path.write_bytes(contents)


def written(path: Path) -> int:
    """A number that is another whenever the file has been replaced."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stopped_run_goes_on_to_the_bit(fit, workers, capsys):
    """With average, schedule and accumulation; stopped in the middle of an epoch, and before a validation."""
    fit += [f"--data.num_workers={workers}"]
    main([*fit, "--run", "whole"])
    capsys.readouterr()
    assert stopped([*fit, "--run", "parts", *knock(5, signal.SIGTERM)]) == 143
    last = "parts/checkpoints/last.ckpt"
    assert f"stopped by SIGTERM at step 5; resume with --ckpt_path {last}\n" in capsys.readouterr().out
    assert contents("parts")["global_step"] == 5
    assert stopped([*fit, "--ckpt_path", last, *knock(8, signal.SIGINT)]) == 130
    said = capsys.readouterr().out
    assert "stopped by SIGINT at step 8; " in said
    assert "step       8  train/bits" in said
    assert differences(contents("parts"), contents("whole")) != []
    main([*fit, "--run", "parts", "--resume"])
    assert_same("parts", "whole")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_command_and_its_workers_stops_it_after_a_step(fit, number):
    """As a terminal or a scheduler sends it, to all processes at once."""
    fit += ["--data.num_workers=2"]
    step = stopped_while_training(fit, os.killpg, number)
    end = ["--trainer.max_steps", str(step + 9)]
    main([*fit, "--run", "parts", "--resume", *end])
    main([*fit, "--run", "whole", *end])
    assert_same("parts", "whole")


def test_a_second_ctrl_c_does_not_wait_for_the_step(fit):
    def slow() -> None:
        WeightAverage.on_train_batch_end = lambda *_: time.sleep(100)

    process = launch([*fit, "--run", "run"], slow)
    wait_for(lambda: "before training" in said())
    time.sleep(1)
    os.killpg(process, signal.SIGINT)
    time.sleep(0.5)
    assert os.waitpid(process, os.WNOHANG) == (0, 0)
    os.killpg(process, signal.SIGINT)
    begun = time.monotonic()
    assert ended(process) == 130
    assert time.monotonic() - begun < 5
    assert said().splitlines()[-1] == "wavenet: error: interrupted"


def test_before_training_a_signal_ends_the_run_at_once(fit, capsys):
    waiting = "--trainer.callbacks=test_resume.KnockEarly"
    assert stopped([*fit, "--run", "run", waiting]) == 143
    assert capsys.readouterr().out.splitlines()[-1] == "stopped by SIGTERM before the first step"
    assert not Path("run/checkpoints").exists()
    main([*fit, "--run", "run", "--resume"])
    assert contents("run")["global_step"] == 14


def test_slurm_has_a_job_requeued_whose_command_goes_on_by_itself(fit, tmp_path, monkeypatch, capsys):
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f"#!/bin/sh\necho $@ >> {tmp_path}/asked\n[ $2 != 8_1 ]\n")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scontrol.parent}:{os.environ['PATH']}")
    # As in a task of srun, so that Lightning too would act on the signal.
    slurm = {"JOB_ID": "77", "JOB_NAME": "train", "NTASKS": "1", "NTASKS_PER_NODE": "1", "PROCID": "0", "LOCALID": "0"}
    for name, value in (slurm | {"NODEID": "0", "NODELIST": "here"}).items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert stopped([*fit, "--run", "other", *knock(3, signal.SIGUSR1)]) == 138
    assert not Path("asked").exists()
    fit += ["--run", "run", "--resume"]
    assert stopped([*fit, *knock(3, signal.SIGUSR1)]) == 138
    assert Path("asked").read_text() == "requeue 77\n"
    assert capsys.readouterr().out.splitlines()[-1] == "requeued SLURM job 77"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "8")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    assert stopped([*fit, *knock(5, signal.SIGUSR1)]) == 138
    assert Path("asked").read_text() == "requeue 77\nrequeue 8_1\n"
    assert "SLURM did not requeue job 8_1" in capsys.readouterr().err
    main(fit)
    main([*fit[:-3], "--run", "whole"])
    assert_same("run", "whole")
    assert not list(Path("run").glob("hpc*"))


@pytest.mark.parametrize("damage", [cut, flip, lambda path: path.write_bytes(b""), Path.unlink])
def test_where_the_last_checkpoint_is_damaged_the_one_before_is_as_good(fit, damage, capsys):
    main([*fit, "--run", "whole"])
    assert stopped([*fit, "--run", "run", *knock(7, signal.SIGTERM)]) == 143
    last, previous = (Path(f"run/checkpoints/{name}.ckpt") for name in ("last", "previous"))
    before = previous.read_bytes()
    damage(last)
    capsys.readouterr()
    assert stopped([*fit, "--ckpt_path", str(last), *knock(5, signal.SIGTERM)]) == 143
    fell_back = f"{last} is missing or damaged: resuming from {previous}"
    assert fell_back in capsys.readouterr().out
    assert previous.read_bytes() == before, "a damaged checkpoint was kept instead"
    main([*fit, "--run", "run", "--resume"])
    assert fell_back not in capsys.readouterr().out
    assert_same("run", "whole")

    damage(last)
    flip(previous)
    assert stopped([*fit, "--run", "run", "--resume"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "damaged" in line


def test_a_full_disk_ends_the_run_in_one_line_and_keeps_what_there_was(fit, capsys):
    assert stopped([*fit, "--run", "run", *knock(5, signal.SIGTERM)]) == 143
    last = Path("run/checkpoints/last.ckpt")
    before = last.read_bytes()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, unlimited[1]))
    try:
        capsys.readouterr()
        assert stopped([*fit, "--run", "run", "--resume"]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("wavenet: error:")]
    assert "cannot write run/checkpoints/best.ckpt (File too large)" in line
    assert line.endswith("the checkpoint before is kept")
    assert last.read_bytes() == before
    assert not list(Path("run/checkpoints").glob(".*.part"))
    main([*fit, "--run", "run", "--resume"])
    main([*fit, "--run", "whole"])
    assert_same("run", "whole")


@pytest.mark.parametrize("call", ["fsync", "replace", "replace once more"])
def test_killed_while_a_checkpoint_is_written(fit, call):
    """While the file is written, before it takes its place, and when there is no last one for a moment."""

    def deadly() -> None:
        def die(*_: Any) -> None:
            if (
                list(Path("run/checkpoints").glob(".last.ckpt.*.part"))
                and Path("run/checkpoints/previous.ckpt").exists()
            ):
                os.kill(os.getpid(), signal.SIGKILL)

        if call == "fsync":
            os.fsync = die
        else:
            replace = Path.replace

            def deadly_replace(path: Path, target: Path) -> None:
                if (path.suffix == ".part") == (call == "replace once more"):
                    die()
                replace(path, target)

            Path.replace = deadly_replace  # type: ignore[method-assign,assignment]

    assert ended(launch([*fit, "--run", "run"], deadly)) == -signal.SIGKILL
    folder = Path("run/checkpoints")
    (folder / ".another.ckpt.1.part").touch()
    assert list(folder.glob(".last.ckpt.*.part"))
    assert (folder / "previous.ckpt").exists()
    assert (folder / "last.ckpt").exists() == (call != "replace once more")
    main([*fit, "--run", "run", "--resume"])
    main([*fit, "--run", "whole"])
    assert_same("run", "whole")
    assert {path.name for path in folder.iterdir()} == {"last.ckpt", "previous.ckpt", "best.ckpt"}


def test_a_validation_that_is_killed_is_made_up_for(fit):
    """Or the best checkpoint, which is that of step 8, would be another."""
    fit += ["--trainer.max_steps", "9", "--run"]
    assert ended(launch([*fit, "run", "--trainer.callbacks=test_resume.KillValidating"])) == -signal.SIGKILL
    main([*fit, "run", "--resume"])
    main([*fit, "whole"])
    assert contents("whole", "best")["global_step"] == 8
    assert_same("run", "whole")


def test_resume_begins_where_there_is_nothing_and_keeps_config_and_logs(fit, capsys):
    fit += ["--run", "run"]
    Path("run/logs/version_0").mkdir(parents=True)  # As a start leaves it that ends before its first checkpoint.
    Path("run/logs/version_0/metrics.csv").write_text("step\n")
    assert stopped(fit) == 2
    assert "run has files in it: choose another --run, or say --resume or --overwrite" in capsys.readouterr().err
    main([*fit, "--resume"])
    config = Path("run/config.yaml").read_text()
    assert "resume" not in config
    before = [Path(f"run/logs/version_{n}/metrics.csv").read_text() for n in range(2)]
    main([*fit, "--resume", "--trainer.max_steps", "16"])
    assert Path("run/config.yaml").read_text() == config
    assert [Path(f"run/logs/version_{n}/metrics.csv").read_text() for n in range(2)] == before
    with Path("run/logs/version_2/metrics.csv").open() as log:
        steps = [int(row["step"]) for row in csv.DictReader(log)]
    assert min(steps) == 14
    main([*fit, "--resume", "--trainer.max_steps", "16"])
    assert contents("run")["global_step"] == 16
    assert stopped([*fit[:3], "--resume"]) == 2
    assert "wavenet fit --run DIR --resume" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_stop_after_the_same_step(fit):
    """Though only the first hears of it."""
    fit += ["--trainer.devices=2", "--trainer.strategy=ddp", "--data.batch_size=2"]
    step = stopped_while_training(fit, os.kill, signal.SIGTERM)
    fit += ["--trainer.max_steps", str(step + 9), "--run"]
    for arguments in ([*fit, "parts", "--resume"], [*fit, "whole"]):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        # As torchrun does it, because processes that Lightning starts would import everything anew.
        environments = [{"LOCAL_RANK": f"{rank}", "MASTER_PORT": f"{port}"} for rank in range(2)]
        processes = [launch(arguments, partial(os.environ.update, environment)) for environment in environments]
        assert [ended(process) for process in processes] == [0, 0], said()
    assert_same("parts", "whole")


@pytest.mark.slow
def test_twenty_kills(fit):
    """Killed at random moments of start-up, and of training, validating and writing; with a worker."""
    fit += ["--data.num_workers=1", "--trainer.accumulate_grad_batches=1", "--trainer.max_steps=300"]
    fit += ["--trainer.val_check_interval=20", "--checkpoint.every_n_steps=2", "--run"]
    assert ended(launch([*fit, "whole"])) == 0, said()
    last = Path("parts/checkpoints/last.ckpt")
    moments = random.Random(4)
    steps = []
    for kill in range(20):
        process = launch([*fit, "parts", "--resume"])
        if kill % 2:
            for _ in range(moments.randint(1, 8)):
                before = written(last)
                wait_for(lambda before=before: written(last) != before)
            time.sleep(moments.uniform(0, 0.03))
        else:
            time.sleep(moments.uniform(0, 2))
        os.killpg(process, signal.SIGKILL)
        assert ended(process) == -signal.SIGKILL, said()
        steps.append(contents("parts")["global_step"] if last.exists() else 0)
    assert len(set(steps)) >= 10
    assert steps[-1] < 300
    assert ended(launch([*fit, "parts", "--resume"])) == 0, said()
    assert_same("parts", "whole")
