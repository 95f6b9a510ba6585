"""The reference engine: cached generation step by step in PyTorch, on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_wavenet.backbone.cached import CachedStack
from lightning_wavenet.backbone.local_condition import at_samples
from lightning_wavenet.sampling.session import Start, guided, of_streams, streams_of


class EagerSession:
    """A session step by step in PyTorch; the backbone's weights are read at every step.

    Args:
        start: Where it begins.
    """

    def __init__(self, start: Start) -> None:
        self.backbone = start.backbone
        self.local = start.local
        self.draw = start.draw
        self.strengths = start.strengths
        self.done = 0
        self.recent = start.recent
        self.stack = CachedStack(start.backbone.stack, start.layer_inputs(), start.global_terms())

    def run(self, uniforms: Tensor) -> Tensor:
        """Generates n samples of every clip: float64 `[B, n]` in [0, 1) to codes int64 `[B, n]`."""
        steps = uniforms.shape[1]
        uniforms = uniforms.to(self.recent.device)
        local = None if self.local is None else at_samples(*self.local.rows(self.done, self.done + steps))
        codes = []
        for step in range(steps):
            parameters = self.predict(None if local is None else local[:, step])
            code = self.draw(guided(parameters, self.strengths), uniforms[:, step])
            drawn = of_streams(code, self.strengths).unsqueeze(1)
            self.recent = torch.cat([self.recent[:, 1:], drawn], dim=1)
            codes.append(code)
        self.done += steps
        return torch.stack(codes, dim=1)

    def predict(self, local: Tensor | None) -> Tensor:
        """Distribution parameters of every stream's next sample, given its local condition `[streams, C]`."""
        return self.backbone.head(self.stack.step(self.backbone.input_layer(self.recent)[:, 0], local))

    def keep(self, rows: Tensor) -> None:
        """Drops all clips but those at the given rows, int64 `[kept]`."""
        rows = rows.to(self.recent.device)
        streams = streams_of(rows, self.strengths)
        if self.strengths is not None:
            self.strengths = self.strengths[rows]
        self.recent = self.recent[streams]
        self.stack.keep(streams)
