"""The optimizer that torch does not have."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd polynomial a s + b s^3 + c s^5, which brings singular values from (0, 1] near 1 when it is repeated."""


class Muon(Adam):
    """Muon for matrices between hidden layers, Adam for everything else (Jordan et al. 2024; arXiv 2502.16982).

    Of a matrix the momentum is made orthogonal before it is added: all its directions move equally far, however large
    their gradients. Matrices of one shape are computed side by side. `torch.optim.Muon` does the same for matrices
    only, and in bfloat16, which most CPUs have to emulate.

    A matrix moves by `matrix_lr`, everything else by `lr`; a schedule scales both.

    Args:
        params: Parameters with their names, as of `named_parameters()`.
        lr: Learning rate of Adam.
        matrix_lr: Learning rate of the matrices: how far every direction of a square one moves in a step.
        momentum: How much of the matrices' momentum a step keeps.
        betas: Of Adam.
        matrices: Regular expression for the names of the matrices that are made orthogonal. The default are the dilated
            convolutions and residual projections of the stack, and the first of the head's layers. Input and output
            layer are better left to Adam, and so is the skip projection.
        steps: How often the polynomial is repeated.

    Raises:
        ValueError: Parameters have no names, or none is such a matrix.
    """

    def __init__(
        self,
        params: Iterable[tuple[str, Tensor]],
        lr: float = 0.005,
        matrix_lr: float = 0.02,
        momentum: float = 0.9,
        betas: tuple[float, float] = (0.9, 0.99),
        matrices: str = r"layers\.\d+\.(dilated|projection)\.weight$|head\.1\.weight$",
        steps: int = 5,
    ) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum lies between 0 and 1, got {momentum}")
        named = list(params)
        if not all(isinstance(one, tuple) for one in named):
            raise ValueError("Muon tells matrices by their names: give it named_parameters()")
        chosen = [(name, one) for name, one in named if re.search(matrices, name) and one.ndim == 2]
        names = {name for name, _ in chosen}
        if not chosen:
            raise ValueError(f"no matrix among the parameters has a name like {matrices!r}")
        others = [(name, one) for name, one in named if name not in names]
        groups: list[dict[str, Any]] = [{"params": others}] if others else []
        super().__init__([*groups, {"params": chosen, "lr": matrix_lr}], lr, betas)
        self.defaults |= {"matrix_lr": matrix_lr, "momentum": momentum, "matrices": matrices, "steps": steps}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Takes a step; returns what the closure returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        matrices = [one for one in self.param_groups[-1]["params"] if one.grad is not None]
        gradients = {one: one.grad for one in matrices}
        self._step_matrices(gradients)
        for one in matrices:  # Adam leaves out what has no gradient.
            one.grad = None
        super().step()
        for one in matrices:
            one.grad = gradients[one]
        return loss

    def _step_matrices(self, gradients: dict[Tensor, Tensor | None]) -> None:
        lr, momentum = self.param_groups[-1]["lr"], self.defaults["momentum"]
        by_shape: dict[tuple[torch.Size, torch.device], list[Tensor]] = defaultdict(list)
        for one in gradients:
            by_shape[one.shape, one.device].append(one)
        for (shape, _), matrices in by_shape.items():
            updates = []
            for one in matrices:
                gradient, state = gradients[one], self.state[one]
                assert gradient is not None
                if not state:
                    state["step"] = torch.zeros(())  # Adam looks for it in what it loads.
                    state["momentum"] = torch.zeros_like(one)
                state["step"] += 1
                state["momentum"].lerp_(gradient, 1 - momentum)
                updates.append(gradient.lerp(state["momentum"], momentum))  # Nesterov's.
            stretch = max(1.0, shape[0] / shape[1]) ** 0.5
            directions = orthogonalized(torch.stack(updates), self.defaults["steps"])
            for one, direction in zip(matrices, directions, strict=True):
                one.sub_(direction, alpha=lr * stretch)


def orthogonalized(matrices: Tensor, steps: int) -> Tensor:
    """Matrices `[N, R, C]` with their singular values brought near 1 (0.7 to 1.2), singular vectors left as they are.

    Args:
        matrices: Of any scale.
        steps: How often the polynomial is applied.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x / x.flatten(1).norm(dim=1).clamp(min=1e-7)[:, None, None]
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.transpose(1, 2) if tall else x
