"""The reference engine: cached generation step by step in PyTorch, on any device.

Every layer keeps the inputs that its taps will still need, so that a step costs O(layers), whatever the receptive
field and however much has been generated.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_wavenet.backbone.local_condition import at_samples
from lightning_wavenet.backbone.residual import ResidualLayer
from lightning_wavenet.sampling.session import Start


class LayerCache:
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


class EagerSession:
    """A session step by step in PyTorch; the backbone's weights are read at every step.

    Args:
        start: Where it begins.
    """

    def __init__(self, start: Start) -> None:
        self.backbone = start.backbone
        self.local = start.local
        self.draw = start.draw
        self.done = 0
        self.recent = start.recent
        layers = start.backbone.stack.residual_layers()
        self.caches = [
            LayerCache(*parts) for parts in zip(layers, start.layer_inputs(), start.global_terms(), strict=True)
        ]

    def run(self, uniforms: Tensor) -> Tensor:
        """Generates n samples of every stream: float64 `[B, n]` in [0, 1) to codes int64 `[B, n]`."""
        steps = uniforms.shape[1]
        uniforms = uniforms.to(self.recent.device)
        local = None if self.local is None else at_samples(*self.local.rows(self.done, self.done + steps))
        codes = []
        for step in range(steps):
            parameters = self.predict(None if local is None else local[:, step])
            code = self.draw(parameters, uniforms[:, step])
            self.recent = torch.cat([self.recent[:, 1:], code.unsqueeze(1)], dim=1)
            codes.append(code)
        self.done += steps
        return torch.stack(codes, dim=1)

    def predict(self, local: Tensor | None) -> Tensor:
        """Distribution parameters `[B, P]` of the next sample, given its local condition `[B, C]`."""
        x = self.backbone.input_layer(self.recent)[:, 0]
        gated, projected = [], []
        for cache in self.caches:
            z = cache.step(x, local)
            gated.append(z)
            if cache.layer.projection is not None:
                projection = cache.layer.projection(z)
                projected.append(projection)
                x = x + projection
        return self.backbone.head(self.backbone.stack.sum_skips(gated, projected))

    def keep(self, rows: Tensor) -> None:
        """Drops all streams but those at the given rows, int64 `[kept]`."""
        rows = rows.to(self.recent.device)
        self.recent = self.recent[rows]
        for cache in self.caches:
            cache.keep(rows)
