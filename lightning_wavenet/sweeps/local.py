"""Runs a sweep on this machine, without an account or a network: trials are processes, kept in an Optuna study."""

from __future__ import annotations

import csv
import ctypes
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.trial import TrialState

from lightning_wavenet.errors import RequestError
from lightning_wavenet.sweeps.sweep_file import Parameter, SweepFile

_POLL_SECONDS = 0.5
_DIES_WITH_PARENT = 1
"""Linux's PR_SET_PDEATHSIG."""
_REFUSED = 2
"""Exit code of a request that cannot be met."""
_END_SECONDS = 120.0
"""In which a process that was asked to end does."""
_STATES = {TrialState.COMPLETE: "done", TrialState.PRUNED: "ended early", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Attributes:
        place: Its number, from 0.
        values: Of the parameters.
        state: "done", "ended early" or "failed".
        metric: The last value; None where there was none.
        step: At which training step.
    """

    place: int
    values: Mapping[str, Any]
    state: str
    metric: float | None
    step: int | None


class LocalSweep:
    """The trials of a sweep in a folder: `study.db` knows them, `trials/NNN` are their runs.

    Trial N has the same values in every sweep of the same file and seed where the method is grid or random, and where
    it is bayes if one process works alone.

    Args:
        sweep: What is varied.
        folder: Made, or resumed.
        seed: Of all draws.

    Raises:
        RequestError: The folder has another sweep in it, or one is running there.
    """

    def __init__(self, sweep: SweepFile, folder: Path, seed: int) -> None:
        self.sweep = sweep
        self.folder = folder
        self.seed = seed
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / ".lock", blocking=False)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise RequestError(f"a sweep is running in {folder}: wait for its end, or choose another --out") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(
            storage=f"sqlite:///{folder / 'study.db'}",
            study_name="sweep",
            load_if_exists=True,
            direction=sweep.goal,
            pruner=_pruner(sweep),
        )
        plain = [str(one) for one in (seed, sweep.method, sweep.metric, sweep.goal, sweep.parameters, sweep.command)]
        own = hashlib.sha256(json.dumps(plain).encode()).hexdigest()
        if self.study.user_attrs.get("sweep", own) != own:
            self.close()
            raise RequestError(f"{folder} has another sweep in it, or one with another seed: choose another --out")
        self.study.set_user_attr("sweep", own)

    def close(self) -> None:
        """Lets others work in the folder."""
        self._lock.release()

    def outcomes(self) -> list[Outcome]:
        """Of all trials that have ended, in their order."""
        found = {}
        for trial in self.study.get_trials(deepcopy=False, states=tuple(_STATES)):
            if "ended" in trial.user_attrs:
                place, values, metric, step = trial.user_attrs["ended"]
                found[place] = Outcome(place, values, _STATES[trial.state], metric, step)
        return [found[place] for place in sorted(found)]

    def run(self, trials: int, processes: int, tell: Callable[[Outcome], None]) -> None:
        """Runs what is left of some trials. What is interrupted resumes with the next call.

        Args:
            trials: How many there are to be in all.
            processes: Side by side.
            tell: Called for each that ends.

        Raises:
            RequestError: A trial's command was refused.
        """
        resumed = self._left_over()
        ended = {outcome.place for outcome in self.outcomes()}
        waiting = [place for place in range(trials) if place not in ended]
        running: list[_Running] = []
        try:
            while waiting or running:
                while waiting and len(running) < processes:
                    place = waiting.pop(0)
                    running.append(self._begin(place, resumed.get(place), processes))
                time.sleep(_POLL_SECONDS)
                for one in list(running):
                    state = one.watched()
                    if state is not None:
                        running.remove(one)
                        self._end(one, state)
                        tell(next(outcome for outcome in self.outcomes() if outcome.place == one.place))
        finally:
            for one in running:
                one.stop()

    def _left_over(self) -> dict[int, dict[str, Any]]:
        """The choices of trials that were running when a sweep was killed, by their numbers."""
        choices = {}
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if "place" in trial.user_attrs:
                choices[trial.user_attrs["place"]] = dict(trial.params)
            self.study.tell(trial.number, state=TrialState.FAIL)
        return choices

    def _begin(self, place: int, choices: Mapping[str, Any] | None, processes: int) -> _Running:
        seed = int.from_bytes(hashlib.sha256(f"{self.seed} {place}".encode()).digest()[:4], "big")
        random = self.sweep.method == "random"
        self.study.sampler = (
            optuna.samplers.RandomSampler(seed=seed) if random else optuna.samplers.TPESampler(seed=seed)
        )
        if choices is None and self.sweep.method == "grid":
            choices = {name: json.dumps(value) for name, value in self.sweep.grid()[place].items()}
        if choices is not None:
            self.study.enqueue_trial(dict(choices))
        trial = self.study.ask()
        values = {one.name: _chosen(trial, one) for one in self.sweep.parameters}
        trial.set_user_attr("place", place)
        return _Running(self.sweep, trial, place, values, self.folder / "trials" / f"{place:03d}", processes)

    def _end(self, one: _Running, state: TrialState) -> None:
        step, metric = next(reversed(one.reported.items()), (None, None))
        if state == TrialState.COMPLETE and metric is None:
            state = TrialState.FAIL
        one.trial.set_user_attr("ended", [one.place, one.values, metric, step])
        self.study.tell(one.trial, metric if state == TrialState.COMPLETE else None, state=state)


class _Running:
    """A trial whose process runs."""

    def __init__(
        self, sweep: SweepFile, trial: optuna.Trial, place: int, values: dict[str, Any], run: Path, processes: int
    ) -> None:
        self.sweep = sweep
        self.trial = trial
        self.place = place
        self.values = values
        self.run = run
        self.reported: dict[int, float] = {}
        """The metric by training step."""
        run.parent.mkdir(parents=True, exist_ok=True)
        self.log = run.parent / f"{run.name}.log"
        command = [sys.executable, "-m", "lightning_wavenet", *sweep.arguments(values), f"--run={run}", "--resume"]
        environment = os.environ | {"WANDB_MODE": "disabled"}
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=environment, preexec_fn=_die_with_parent
            )

    def watched(self) -> TrialState | None:
        """Reports what is new; the state of a trial that has ended, None of one that runs."""
        code = self.process.poll()
        for step, value in _metrics(self.run, self.sweep.metric).items():
            if step not in self.reported:
                self.reported[step] = value
                self.trial.report(value, len(self.reported))
                if code is None and self.trial.should_prune():
                    self.stop()
                    return TrialState.PRUNED
        if code is None:
            return None
        if code == _REFUSED:
            lines = self.log.read_text("utf-8", "replace").strip().splitlines()
            raise RequestError(f"trial {self.place} was refused: {lines[-1] if lines else self.log}")
        return TrialState.COMPLETE if code == 0 else TrialState.FAIL

    def stop(self) -> None:
        """Has the process write a checkpoint and end."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _pruner(sweep: SweepFile) -> optuna.pruners.BasePruner:
    if sweep.halving is None:
        return optuna.pruners.NopPruner()
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=sweep.halving.least, reduction_factor=sweep.halving.factor
    )


def _chosen(trial: optuna.Trial, one: Parameter) -> Any:
    """A value for a parameter. Values of a list are kept as JSON, for a study keeps no lists."""
    if one.values:
        return json.loads(trial.suggest_categorical(one.name, [json.dumps(value) for value in one.values]))
    if one.whole:
        return trial.suggest_int(one.name, int(one.low), int(one.high), log=one.log)
    return trial.suggest_float(one.name, one.low, one.high, step=one.step, log=one.log)


def _metrics(run: Path, name: str) -> dict[int, float]:
    """The values of a metric in a run's logs by training step; a resumed run has written several files."""
    found: dict[int, float] = {}
    files = sorted(run.glob("logs/version_*/metrics.csv"), key=lambda path: int(path.parent.name.rpartition("_")[2]))
    for path in files:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                if row.get(name) and row.get("step"):
                    found[int(row["step"])] = float(row[name])
    return dict(sorted(found.items()))


def _die_with_parent() -> None:
    """Has Linux end the process when the sweep is killed, so that nothing trains unwatched."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGTERM)
