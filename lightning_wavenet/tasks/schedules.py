"""Learning-rate schedules that torch does not have, and what is to be known of all of them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LinearLR, OneCycleLR, PolynomialLR


class Warmup(LambdaLR, ABC):
    """Rises linearly to the optimizer's learning rate, then falls to nothing.

    Any number of steps will do, and a resumed run may be given more of them: only the step is kept in a checkpoint,
    not the shape.

    Args:
        optimizer: Its learning rate is the highest that is reached.
        total_steps: Step at which the rate has fallen to nothing; -1 holds it after the rise. None: the length of the
            training, of which a task tells it (`set_default_steps`).
        warmup_steps: Steps of the rise.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int | None = None, warmup_steps: int = 200) -> None:
        self.total_steps = total_steps

        def factor(step: int) -> float:
            rise = min(1.0, (step + 1) / (warmup_steps + 1))
            total = self.total_steps
            if total is None or total < 0:
                return rise
            return rise * self.fall(min(1.0, max(0, step - warmup_steps) / max(1, total - warmup_steps)))

        super().__init__(optimizer, factor)

    @staticmethod
    @abstractmethod
    def fall(progress: float) -> float:
        """What is left of the rate, 1 to 0, when so much of the time after the rise is over, 0 to 1."""

    def set_default_steps(self, steps: float) -> None:
        """Falls over a training of so many steps, unless it was told otherwise; infinitely many hold the rate."""
        if self.total_steps is None:
            self.total_steps = int(steps) if math.isfinite(steps) else -1

    def state_dict(self) -> dict[str, Any]:
        """The step, and not the shape."""
        return {name: value for name, value in super().state_dict().items() if name != "total_steps"}


class WarmupCosine(Warmup):
    """Rises linearly to the optimizer's learning rate, then falls to nothing on half a cosine."""

    @staticmethod
    def fall(progress: float) -> float:
        """Half a cosine."""
        return (1 + math.cos(math.pi * progress)) / 2


class WarmupLinear(Warmup):
    """Rises linearly to the optimizer's learning rate, then falls to nothing on a straight line."""

    @staticmethod
    def fall(progress: float) -> float:
        """A straight line."""
        return 1 - progress


class End(NamedTuple):
    """Where a schedule has brought the learning rate to nothing, for good."""

    step: int
    option: str
    """Which option says so."""
    value: Any
    final: bool = False
    """Whether it fails to be stepped further."""


def last_step(scheduler: Any) -> End | None:
    """The end of a schedule; None for one that never ends, or whose end is not known."""
    if isinstance(scheduler, Warmup):
        total = scheduler.total_steps
        return None if total is None or total < 0 else End(total, "total_steps", total)
    if isinstance(scheduler, OneCycleLR):
        return End(scheduler.total_steps, "total_steps", scheduler.total_steps, final=True)
    if isinstance(scheduler, PolynomialLR) or (isinstance(scheduler, LinearLR) and not scheduler.end_factor):
        return End(scheduler.total_iters, "total_iters", scheduler.total_iters)
    return None


_MOVING = {"last_epoch", "base_lrs", "best", "num_bad_epochs", "cooldown_counter", "verbose"}


def options_of(scheduler: Any, optimizer: Optimizer) -> dict[str, Any]:
    """What a schedule was made with, as far as its state would put it back; of one that has not been stepped.

    Args:
        scheduler: The schedule.
        optimizer: What it was made for, in whose groups some schedules keep their options.
    """
    group = {
        name: optimizer.param_groups[0].get(name) for name in ("max_lr", "min_lr", "max_momentum", "base_momentum")
    }
    kept = {name: value for name, value in group.items() if value is not None} | scheduler.state_dict()
    return {name: value for name, value in plain_options(kept).items() if name not in _MOVING}


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those with a public name whose value is plain: a number, a text, a truth, nothing, or several of these."""
    return {name: value for name, value in options.items() if not name.startswith("_") and _plain(value)}


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
