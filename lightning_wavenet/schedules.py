"""Learning-rate schedules that torch does not have."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class WarmupCosine(LambdaLR):
    """Rises linearly to the optimiser's learning rate, then falls to nothing on half a cosine.

    Any number of steps will do, and a resumed run may be given more of them: only the step is kept in a checkpoint,
    not the shape.

    Args:
        optimizer: Its learning rate is the highest that is reached.
        total_steps: Step at which the rate has fallen to nothing; -1 holds it after the rise.
        warmup_steps: Steps of the rise.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup_steps: int = 200) -> None:
        def factor(step: int) -> float:
            rise = min(1.0, (step + 1) / (warmup_steps + 1))
            if total_steps < 0:
                return rise
            progress = min(1.0, max(0, step - warmup_steps) / max(1, total_steps - warmup_steps))
            return rise * (1 + math.cos(math.pi * progress)) / 2

        super().__init__(optimizer, factor)
