"""Sweeps: every shipped file lands where it should, and one on this machine survives being killed."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from runs import CONFIG
from test_configs import resolved

from lightning_wavenet.cli.main import main
from lightning_wavenet.errors import RequestError
from lightning_wavenet.sweeps.sweep_file import Halving, Parameter, SweepFile

ROOT = Path(__file__).parents[1]
SWEEPS = sorted((ROOT / "configs" / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_value_of_a_sweep_lands_where_it_should(path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    sweep = SweepFile.read(path)
    first = {one.name: one.ends[0] for one in sweep.parameters}
    for one in sweep.parameters:
        for value in one.ends:
            found = resolved(sweep.arguments(first | {one.name: value}), capsys)
            for part in one.name.split("."):
                # The options of a class are one level further down.
                found = found[part] if part in found else found["init_args"][part]
            assert found == value
    assert found is not None


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_sweep_is_one_of_weights_and_biases(path):
    """The agent's own expansion of its command gives what is run here."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    content = yaml.safe_load(path.read_text())
    values = {name: SweepFile.read(path).parameters[place].ends[0] for place, name in enumerate(content["parameters"])}
    arguments = create_sweep_command_args({"args": {name: {"value": value} for name, value in values.items()}})
    expanded = []
    for part in create_sweep_command(content["command"]):
        expanded += arguments["args"] if part == "${args}" else [part]
    assert expanded[-len(values) - len(content["command"]) + 3 :] == SweepFile.read(path).arguments(values)
    assert "run_cap" in content or content["method"] == "grid"


def write(path: Path, **changes) -> Path:
    content = {
        "method": "random",
        "metric": {"name": "val/bits", "goal": "minimize"},
        "parameters": {"model.optimizer.lr": {"min": 0.001, "max": 0.1, "distribution": "log_uniform_values"}},
        "command": ["${env}", "wavenet", "fit", "--config=tiny.yaml", "${args}"],
    }
    path.write_text(yaml.safe_dump({name: value for name, value in (content | changes).items() if value is not None}))
    return path


def test_a_file_is_read_as_weights_and_biases_reads_it(tmp_path):
    parameters = {
        "a": {"values": [1, "x", [2, 3]]},
        "b": {"value": 5},
        "c": {"min": 1, "max": 9},
        "d": {"min": 1, "max": 9.5},
        "e": {"min": 0.1, "max": 10, "distribution": "log_uniform_values"},
        "f": {"min": 0, "max": 1, "distribution": "q_uniform", "q": 0.25},
    }
    sweep = SweepFile.read(
        write(
            tmp_path / "s.yaml", parameters=parameters, early_terminate={"type": "hyperband", "min_iter": 3}, run_cap=7
        )
    )
    assert sweep.parameters == (
        Parameter("a", (1, "x", [2, 3])),
        Parameter("b", (5,)),
        Parameter("c", (), 1, 9, whole=True),
        Parameter("d", (), 1, 9.5),
        Parameter("e", (), 0.1, 10, log=True),
        Parameter("f", (), 0, 1, step=0.25),
    )
    assert sweep.halving == Halving(3, 3)
    assert sweep.size == 7
    assert sweep.arguments({"a": 1}) == ["fit", "--config=tiny.yaml", "--a=1"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "annealing"}, "annealing"),
        ({"metric": None}, "names no metric"),
        ({"parameters": None}, "no parameters"),
        ({"parameters": {"a": 3}}, "needs values"),
        ({"parameters": {"a": {"min": 3}}}, "min below max"),
        ({"parameters": {"a": {"min": 0, "max": 1, "distribution": "normal"}}}, "normal"),
        ({"parameters": {"a": {"min": 0, "max": 1.0, "distribution": "log_uniform_values"}}}, "above 0"),
        ({"parameters": {"a": {"parameters": {"b": {"value": 1}}}}}, "with dots"),
        ({"method": "grid"}, "a grid has values"),
        ({"command": ["${env}", "wavenet", "fit"]}, "no command"),
        ({"early_terminate": {"type": "envelope"}}, "hyperband"),
    ],
)
def test_what_is_no_sweep_is_refused(change, said, tmp_path):
    with pytest.raises(RequestError, match=said):
        SweepFile.read(write(tmp_path / "s.yaml", **change))


@pytest.fixture
def place(tones, tmp_path, monkeypatch) -> Path:
    """A folder with a tiny experiment of 40 steps, validated every 10."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WAVENET_CACHE", str(tmp_path / "cache"))
    Path("tiny.yaml").write_text(CONFIG.replace("TONES", str(tones)))
    fit = ["${env}", "wavenet", "fit", "--config=tiny.yaml", "--trainer.accumulate_grad_batches=1"]
    fit += ["--trainer.max_steps=40", "--trainer.val_check_interval=10"]
    write(tmp_path / "sweep.yaml", command=[*fit, "${args}"])
    return tmp_path


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_sweep_that_was_killed_has_the_same_table_as_one_that_was_not(place, capsys):
    main(["sweep", "sweep.yaml", "--local", "2", "--out", "whole"])
    assert "0 of them have ended before" in capsys.readouterr().out
    whole = table(place / "whole" / "trials.csv")
    assert [row["state"] for row in whole] == ["done"] * 2
    assert [row["step"] for row in whole] == ["39"] * 2
    assert len({row["model.optimizer.lr"] for row in whole}) == 2
    assert (place / "whole" / "trials.png").stat().st_size > 5_000

    command = [sys.executable, "-m", "lightning_wavenet", "sweep", "sweep.yaml", "--local", "2", "--out", "killed"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    logs = place / "killed" / "trials" / "001" / "logs"
    while not list(logs.glob("*/metrics.csv")):
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)  # its trial ends with it
    process.wait()
    main(command[3:])
    assert "1 of them have ended before" in capsys.readouterr().out
    assert table(place / "killed" / "trials.csv") == whole


@pytest.mark.slow
def test_trials_that_are_behind_end_early(place, capsys):
    content = yaml.safe_load((place / "sweep.yaml").read_text())
    content["parameters"] = {"model.optimizer.lr": {"values": [0.02, 1e-9]}}
    content |= {"method": "grid", "early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2}}
    (place / "sweep.yaml").write_text(yaml.safe_dump(content))
    main(["sweep", "sweep.yaml", "--out", "out"])
    rows = table(place / "out" / "trials.csv")
    assert [(row["trial"], row["state"]) for row in rows] == [("000", "done"), ("001", "ended early")]
    assert int(rows[1]["step"]) < 39
    capsys.readouterr()


def test_a_command_that_is_refused_ends_the_sweep_in_a_line(place, capsys):
    write(place / "sweep.yaml", parameters={"model.no_such_option": {"values": [1, 2]}}, method="grid")
    with pytest.raises(SystemExit) as stop:
        main(["sweep", "sweep.yaml", "--out", "out"])
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert "trial 0 was refused" in message
    assert "no_such_option" in message
    assert message.count("\n") == 1


def test_a_folder_keeps_one_sweep(place, capsys):
    from lightning_wavenet.sweeps.local import LocalSweep

    sweep = SweepFile.read(place / "sweep.yaml")
    first = LocalSweep(sweep, place / "out", seed=0)
    with pytest.raises(RequestError, match="a sweep is running"):
        LocalSweep(sweep, place / "out", seed=0)
    first.close()
    with pytest.raises(RequestError, match="another seed"):
        LocalSweep(sweep, place / "out", seed=1)
    LocalSweep(sweep, place / "out", seed=0).close()
