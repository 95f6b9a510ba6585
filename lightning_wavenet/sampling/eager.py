"""The reference engine: cached generation step by step in PyTorch, on any device.

Every layer keeps the inputs that its taps will still need, so that a step costs O(layers), whatever the receptive
field and however much has been generated.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_wavenet.backbone.residual import ResidualLayer
from lightning_wavenet.backbone.wavenet import WaveNet


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
    """Generation in progress: a batch of streams that advance together.

    Args:
        backbone: The net; its weights are read at every step.
        context: The R codes before the first sample of each stream, `[B, R]`.
        vector: Global condition `[B, global_channels]` or None.
        local: Local condition of the R - 1 samples before the first, `[B, R - 1, C]` or None.
        temperature: Divides the logits.
        top_p: Probability mass that is kept.
    """

    def __init__(
        self,
        backbone: WaveNet,
        context: Tensor,
        vector: Tensor | None,
        local: Tensor | None,
        temperature: float,
        top_p: float,
    ) -> None:
        self.backbone = backbone
        self.temperature = temperature
        self.top_p = top_p
        self.recent = context[:, -backbone.input_kernel_size :]
        self.caches: list[LayerCache] = []
        x = backbone.input_layer(context[:, :-1])
        terms = backbone.stack.global_terms(vector)
        for layer, term in zip(backbone.stack.residual_layers(), terms, strict=True):
            self.caches.append(LayerCache(layer, x[:, x.shape[1] - layer.reach :], term))
            remaining = x.shape[1] - layer.reach
            if remaining:
                broadcast = None if term is None else term.unsqueeze(1)
                projection = layer(x, broadcast, None if local is None else local[:, -remaining:])[1]
                x = x[:, layer.reach :] + projection

    def run(self, uniforms: Tensor, local: Tensor | None) -> Tensor:
        """Generates n samples of every stream.

        Args:
            uniforms: float64 `[B, n]` in [0, 1), one a sample.
            local: Local condition of those samples, `[B, n, C]` or None.

        Returns:
            Codes int64 `[B, n]`.
        """
        codes = []
        for step in range(uniforms.shape[1]):
            parameters = self.predict(None if local is None else local[:, step])
            code = self.backbone.distribution.sample(parameters, uniforms[:, step], self.temperature, self.top_p)
            self.recent = torch.cat([self.recent[:, 1:], code.unsqueeze(1)], dim=1)
            codes.append(code)
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
        self.recent = self.recent[rows]
        for cache in self.caches:
            cache.keep(rows)
