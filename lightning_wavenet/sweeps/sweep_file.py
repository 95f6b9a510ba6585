"""A sweep as Weights & Biases describes it: method, metric, parameters, when to end a trial early, and the command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import exp, prod
from pathlib import Path
from typing import Any, Literal

import yaml  # type: ignore[import-untyped]

from lightning_wavenet.errors import RequestError

Method = Literal["grid", "random", "bayes"]
_METHODS = ("grid", "random", "bayes")
_RANGES = ("uniform", "int_uniform", "q_uniform", "log_uniform_values", "q_log_uniform_values", "log_uniform")
_ARGS = "${args}"
_ENV = "${env}"


@dataclass(frozen=True)
class Parameter:
    """What one option may be.

    Attributes:
        name: Of the option, with dots.
        values: A list of values; empty for a range.
        low: Lowest value of a range.
        high: Highest.
        step: Between values of a range; None: any.
        log: Whether orders of magnitude are drawn alike.
        whole: Whether the values are integers.
    """

    name: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    whole: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        """All values, or both ends of a range."""
        return self.values or (self.low, self.high)


@dataclass(frozen=True)
class Halving:
    """Trials that are behind end early: of those that got so far, one in `factor` trains to the next rung.

    Attributes:
        least: Values of the metric before the first rung.
        factor: Between the rungs, and between how many there are on them.
    """

    least: int
    factor: int


@dataclass(frozen=True)
class SweepFile:
    """A sweep.

    Attributes:
        path: Of the file.
        method: How values are chosen.
        metric: Name of what is compared.
        goal: "minimize" or "maximize".
        parameters: What is varied.
        halving: When trials end early; None: never.
        command: Arguments of `wavenet`, in which "${args}" stands for the values.
        trials: How many at most; None: as many as there is time for.
    """

    path: Path
    method: Method
    metric: str
    goal: Literal["minimize", "maximize"]
    parameters: tuple[Parameter, ...]
    halving: Halving | None
    command: tuple[str, ...]
    trials: int | None

    @classmethod
    def read(cls, path: Path) -> SweepFile:
        """A sweep from its YAML.

        Raises:
            RequestError: The file is none, or has something that is not known here.
        """
        if not path.is_file():
            raise RequestError(f"there is no sweep {path}")
        try:
            content = yaml.safe_load(path.read_text("utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise RequestError(f"{path} is not YAML: {error}") from error
        if not isinstance(content, dict) or not isinstance(content.get("parameters"), dict):
            raise RequestError(f"{path} is no sweep: it has no parameters")
        method, metric = content.get("method"), content.get("metric")
        if method not in _METHODS:
            raise RequestError(f"{path}: the method is {method!r}, not one of {', '.join(_METHODS)}")
        if not isinstance(metric, dict) or not metric.get("name"):
            raise RequestError(f"{path} names no metric: metric: {{name: val/bits, goal: minimize}}")
        goal = metric.get("goal", "minimize")
        if goal not in ("minimize", "maximize"):
            raise RequestError(f"{path}: the goal is {goal!r}, not minimize or maximize")
        parameters = tuple(_parameter(path, str(name), one) for name, one in content["parameters"].items())
        if method == "grid" and any(not one.values for one in parameters):
            raise RequestError(f"{path}: a grid has values, not ranges")
        return cls(
            path,
            method,
            str(metric["name"]),
            goal,
            parameters,
            _halving(path, content.get("early_terminate")),
            _command(path, content.get("command")),
            content.get("run_cap"),
        )

    def arguments(self, values: Mapping[str, Any]) -> list[str]:
        """The command's arguments with values for its parameters, as `wandb agent` writes them."""
        given = [f"--{name}={value}" for name, value in values.items()]
        return [part for one in self.command for part in (given if one == _ARGS else [one])]

    def grid(self) -> list[dict[str, Any]]:
        """All combinations of values, the last parameter's changing fastest."""
        names = [one.name for one in self.parameters]
        return [dict(zip(names, values, strict=True)) for values in product(*(one.values for one in self.parameters))]

    @property
    def size(self) -> int | None:
        """How many trials there can be; None: any number."""
        return prod(len(one.values) for one in self.parameters) if self.method == "grid" else self.trials


def _parameter(path: Path, name: str, given: Any) -> Parameter:
    if not isinstance(given, dict):
        raise RequestError(f"{path}: parameter {name} needs values, a value, or min and max")
    if "parameters" in given:
        raise RequestError(f"{path}: parameter {name} is nested: write its options with dots, such as {name}.lr")
    if "value" in given:
        return Parameter(name, (given["value"],))
    if "values" in given:
        if not isinstance(given["values"], list) or not given["values"]:
            raise RequestError(f"{path}: the values of {name} are no list")
        return Parameter(name, tuple(given["values"]))
    low: Any = given.get("min")
    high: Any = given.get("max")
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high)) or not low < high:
        raise RequestError(f"{path}: parameter {name} needs min below max, or values")
    whole = isinstance(low, int) and isinstance(high, int)
    kind = given.get("distribution", "int_uniform" if whole else "uniform")
    if kind not in _RANGES:
        raise RequestError(f"{path}: {name} has the distribution {kind!r}, which is not one of {', '.join(_RANGES)}")
    if kind == "log_uniform":  # of the exponents of e
        low, high = exp(low), exp(high)
    log = "log" in kind
    if log and low <= 0:
        raise RequestError(f"{path}: {name} is drawn by its logarithm, and min is not above 0")
    step = float(given.get("q", 1)) if kind.startswith("q_") else None
    return Parameter(name, (), float(low), float(high), None if log else step, log, kind == "int_uniform")


def _halving(path: Path, given: Any) -> Halving | None:
    if given is None:
        return None
    if not isinstance(given, dict) or given.get("type") != "hyperband" or "min_iter" not in given:
        raise RequestError(f"{path}: early_terminate must be {{type: hyperband, min_iter: N}}")
    return Halving(int(given["min_iter"]), int(given.get("eta", 3)))


def _command(path: Path, given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or _ARGS not in given:
        raise RequestError(f"{path} has no command with {_ARGS}: command: [${{env}}, wavenet, fit, ..., {_ARGS}]")
    command: Sequence[str] = [str(one) for one in given if one != _ENV]
    if command[:1] != ["wavenet"]:
        raise RequestError(f"{path}: the command is {command[0]!r}, not wavenet")
    return tuple(command[1:])
