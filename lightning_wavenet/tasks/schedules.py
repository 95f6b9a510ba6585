"""Learning-rate schedules that torch does not have."""

from __future__ import annotations

import math
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class WarmupCosine(LambdaLR):
    """Rises linearly to the optimizer's learning rate, then falls to nothing on half a cosine.

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
            progress = min(1.0, max(0, step - warmup_steps) / max(1, total - warmup_steps))
            return rise * (1 + math.cos(math.pi * progress)) / 2

        super().__init__(optimizer, factor)

    def set_default_steps(self, steps: float) -> None:
        """Falls over a training of so many steps, unless it was told otherwise; infinitely many hold the rate."""
        if self.total_steps is None:
            self.total_steps = int(steps) if math.isfinite(steps) else -1

    def state_dict(self) -> dict[str, Any]:
        """The step, and not the shape."""
        return {name: value for name, value in super().state_dict().items() if name != "total_steps"}
