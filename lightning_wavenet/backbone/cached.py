"""A residual stack one step at a time: every layer keeps the inputs that its taps will still need.

So a step costs O(layers), whatever the receptive field and however much came before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from lightning_wavenet.backbone.residual import ResidualLayer, ResidualStack


class StackSteps(Protocol):
    """A residual stack that is fed step by step."""

    def step(self, x: Tensor) -> Tensor:
        """The skip sum `[B, S]` of one step of B streams, from the stack's input `[B, C]`."""

    def keep(self, rows: Tensor) -> None:
        """Drops all streams but those at the given rows, int64 `[kept]`, ascending."""


StepsOf = Callable[[ResidualStack, Sequence[Tensor]], StackSteps]
"""Begins the steps of a stack without conditions, from what `ResidualStack.past_inputs` returns."""


class CachedLayer:
    """One layer's last `reach` inputs, `[B, C]` each, in a ring.

    Args:
        layer: The layer whose taps the ring serves.
        past: Its inputs before the first step, oldest first, `[B, reach, C]`.
        global_term: The projected global condition, `[B, G]` or None.
    """

    def __init__(self, layer: ResidualLayer, past: Tensor, global_term: Tensor | None) -> None:
        self.layer = layer
        self.ring = list(past.clone().unbind(1))
        self.global_term = global_term
        self.position = 0

    def step(self, x: Tensor, local: Tensor | None) -> Tensor:
        """Takes in the layer's input `[B, C]` of one step and returns its gated signal z `[B, G / 2]`."""
        dilation, reach = self.layer.dilation, len(self.ring)
        taps = [self.ring[(self.position + back) % reach] for back in range(0, reach, dilation)]
        self.ring[self.position] = x
        self.position = (self.position + 1) % reach
        return self.layer.gate(torch.cat([*taps, x], dim=-1), self.global_term, local)

    def keep(self, rows: Tensor) -> None:
        """Drops all streams but those at the given rows."""
        self.ring = [x[rows] for x in self.ring]
        if self.global_term is not None:
            self.global_term = self.global_term[rows]


class CachedStack:
    """A residual stack step by step in PyTorch; its weights are read at every step.

    Args:
        stack: The stack.
        past: Every layer's inputs before the first step, `[B, reach, C]` each.
        global_terms: The global condition's part in every layer's gate, `[B, G]` each or None; None for no condition.
    """

    def __init__(
        self, stack: ResidualStack, past: Sequence[Tensor], global_terms: Sequence[Tensor | None] | None = None
    ) -> None:
        self.stack = stack
        terms = [None] * len(past) if global_terms is None else global_terms
        self.layers = [CachedLayer(*parts) for parts in zip(stack.residual_layers(), past, terms, strict=True)]

    def step(self, x: Tensor, local: Tensor | None = None) -> Tensor:
        """The skip sum `[B, S]` of one step, from the stack's input `[B, C]` and the local condition `[B, L]`."""
        gated, projected = [], []
        for cached in self.layers:
            z = cached.step(x, local)
            gated.append(z)
            if cached.layer.projection is not None:
                projected.append(cached.layer.projection(z))
                x = x + projected[-1]
        return self.stack.sum_skips(gated, projected)

    def keep(self, rows: Tensor) -> None:
        """Drops all streams but those at the given rows, int64 `[kept]`, ascending."""
        for cached in self.layers:
            cached.keep(rows)
