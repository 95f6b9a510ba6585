"""The gated residual layer (section 2.3, Figure 4) and the stack of them, as matrix products.

A dilated convolution of k taps is k products of time-shifted views with `[C, G]` matrices, which run faster on CPUs and
GPUs than `Conv1d` with dilation. Time comes first, `[T, B, C]`, so that a stretch of time is one block of memory. No
layer pads: each returns only the steps whose taps all lie in its input, so that nothing is computed in vain.

What a layer and the stack compute stands here as equations, left to autograd. `fused` computes the same faster.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lightning_wavenet.backbone.fused import fused_forward

AMPLITUDE_GAIN = 10.0
"""Deviation of the weights by which amplitudes enter: those of speech are about 0.1, and layers begin well with 1."""


class ResidualLayer(nn.Module):
    """One dilated causal convolution, its gate, and its 1x1 projection back to the residual channels.

    Args:
        dilation: Samples between taps.
        kernel_size: k, the number of taps.
        residual_channels: C, channels of input and output.
        gate_channels: G, channels of filter and gate together; the gated signal z has G / 2.
        local_channels: Channels of the local condition, 0 for none.
        projected: Whether the 1x1 projection exists; the last layer's output may be needed by nothing.
        bias: Whether convolution and projection have biases.
    """

    def __init__(
        self,
        dilation: int,
        kernel_size: int,
        residual_channels: int,
        gate_channels: int,
        local_channels: int,
        projected: bool,
        bias: bool,
    ) -> None:
        super().__init__()
        self.dilation = dilation
        self.kernel_size = kernel_size
        self.dilated = nn.Linear(kernel_size * residual_channels, gate_channels, bias)
        self.local = nn.Linear(local_channels, gate_channels, bias=False) if local_channels else None
        self.projection = nn.Linear(gate_channels // 2, residual_channels, bias) if projected else None

    @property
    def reach(self) -> int:
        """How many steps the layer looks back: (k - 1) * dilation."""
        return (self.kernel_size - 1) * self.dilation

    def gate(self, taps: Tensor, global_term: Tensor | None, local: Tensor | None) -> Tensor:
        """Equation (2) with its conditional forms: z = tanh(W_f * x + V_f h) x sigmoid(W_g * x + V_g h).

        W_f and W_g are the halves of one matrix, and so are V_f and V_g.

        Args:
            taps: The k taps, oldest first, `[..., k C]`.
            global_term: The projected global condition V h, broadcastable to `[..., G]`.
            local: The local condition `[..., L]` of the samples to be predicted.

        Returns:
            z `[..., G / 2]`.
        """
        both = self.dilated(taps)
        if global_term is not None:
            both = both + global_term
        if self.local is not None:
            both = both + self.local(local)
        filtered, gated = both.chunk(2, dim=-1)
        return torch.tanh(filtered) * torch.sigmoid(gated)

    def forward(self, x: Tensor, global_term: Tensor | None, local: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Gated signal and projection over the steps that have all their taps.

        Args:
            x: `[T, B, C]`.
            global_term: `[B, G]` or None.
            local: `[T', B, L]` with T' = T - reach, or None.

        Returns:
            z `[T', B, G / 2]` and its projection `[T', B, C]` (None in a layer without one).
        """
        steps = len(x) - self.reach
        views = [x[tap * self.dilation : tap * self.dilation + steps] for tap in range(self.kernel_size)]
        z = self.gate(torch.cat(views, dim=-1), global_term, local)
        return z, None if self.projection is None else self.projection(z)


class ResidualStack(nn.Module):
    """Residual layers in a row, and the sum of their skip connections.

    With separate projections the skip sum of all layers is one product: the layers' gated signals side by side,
    `[T, B, layers * G / 2]`, times one matrix. With `shared_projection` (Figure 4 taken literally) a layer's one 1x1
    projection goes to both the residual and the skip sum.

    Attributes:
        path: "reference" computes the layers as they stand here, by autograd; "fused" by hand-written passes, the
            same but for rounding. Compiled for a GPU, both are the reference.
        recompute: Whether training keeps only the input of every layer for the backward pass and computes the rest
            again (activation checkpointing): less memory for more time, and the same gradients.

    Args:
        dilations: Dilation of each layer in samples.
        kernel_size: k, taps of each layer.
        residual_channels: C.
        gate_channels: G, channels of filter and gate together.
        skip_channels: S; equal to C where the projection is shared.
        global_channels: Channels of the global condition, 0 for none.
        local_channels: Channels of the local condition, 0 for none.
        shared_projection: One 1x1 projection a layer for residual and skip.
        bias: Whether convolutions and projections have biases.
    """

    def __init__(
        self,
        dilations: Sequence[int],
        kernel_size: int,
        residual_channels: int,
        gate_channels: int,
        skip_channels: int,
        global_channels: int,
        local_channels: int,
        shared_projection: bool,
        bias: bool,
    ) -> None:
        super().__init__()
        self.path: Literal["reference", "fused"] = "fused"
        self.recompute = False
        self.residual_channels = residual_channels
        self.gate_channels = gate_channels
        self.skip_channels = skip_channels
        self.local_channels = local_channels
        self.dilations = tuple(dilations)
        self.kernel_size = kernel_size
        self.layers = nn.ModuleList(
            ResidualLayer(
                dilation,
                kernel_size,
                residual_channels,
                gate_channels,
                local_channels,
                # Only a shared projection of the last layer reaches the output.
                projected=shared_projection or index < len(dilations) - 1,
                bias=bias,
            )
            for index, dilation in enumerate(dilations)
        )
        self.global_projection = (
            nn.Linear(global_channels, len(dilations) * gate_channels, bias=False) if global_channels else None
        )
        self.skip = None if shared_projection else nn.Linear(len(dilations) * gate_channels // 2, skip_channels, bias)

    def forward(self, x: Tensor, global_condition: Tensor | None = None, local: Tensor | None = None) -> Tensor:
        """Skip sum over the steps that have their whole receptive field.

        Layer l turns x_l into z_l and x_(l + 1) = x_l + P_l z_l + p_l; the sum is S_1 z_1 + ... + S_L z_L + s, or with
        a shared projection that of all P_l z_l + p_l.

        Args:
            x: `[T, B, C]`.
            global_condition: `[B, global_channels]`.
            local: Local condition `[T, B, local_channels]`; step t holds the condition of the sample predicted there.

        Returns:
            `[T - reach, B, S]`.
        """
        # What compilers make of the layers is fastest on GPUs; on CPUs it is no faster than the fused ones.
        if self.path == "fused" and (x.device.type == "cpu" or not torch.compiler.is_compiling()):
            return fused_forward(self, x, global_condition, local)
        kind = x.device.type
        if torch.is_autocast_enabled(kind):
            # Or the residual sums would stay in float32, and take the time and memory of it.
            x = x.to(torch.get_autocast_dtype(kind))
        steps = len(x) - self.reach
        gated, projected = [], []
        for layer, term in zip(self.residual_layers(), self.global_terms(global_condition), strict=True):
            condition = None if local is None else local[-(len(x) - layer.reach) :]
            if self.recompute and torch.is_grad_enabled():
                z, projection = checkpoint(layer, x, term, condition, use_reentrant=False)
            else:
                z, projection = layer(x, term, condition)
            gated.append(z[-steps:])
            if projection is not None:
                x = x[layer.reach :] + projection
                projected.append(projection[-steps:])
        return self.sum_skips(gated, projected)

    def past_inputs(self, x: Tensor, global_terms: Sequence[Tensor | None], local: Tensor | None) -> list[Tensor]:
        """What every layer's taps will still need after some steps: its last inputs, oldest first.

        Args:
            x: The stack's inputs so far, `[T, B, C]` with T >= reach.
            global_terms: What `global_terms` returns.
            local: Local condition of the same steps, `[T, B, local_channels]` or longer at its beginning.

        Returns:
            For each layer `[B, reach, C]`.
        """
        inputs = []
        for layer, term in zip(self.residual_layers(), global_terms, strict=True):
            remaining = len(x) - layer.reach
            inputs.append(x[remaining:].transpose(0, 1))
            if remaining:
                projection = layer(x, term, None if local is None else local[-remaining:])[1]
                if projection is not None:
                    x = x[layer.reach :] + projection
        return inputs

    @property
    def reach(self) -> int:
        """How many steps the stack looks back."""
        return sum(layer.reach for layer in self.residual_layers())

    def residual_layers(self) -> list[ResidualLayer]:
        """The layers, as what they are."""
        return [layer for layer in self.layers if isinstance(layer, ResidualLayer)]

    def global_terms(self, global_condition: Tensor | None) -> list[Tensor | None]:
        """The global condition's part in every layer's gate, `[B, G]` each; None where there is no condition."""
        if self.global_projection is None:
            return [None] * len(self.layers)
        return list(self.global_projection(global_condition).split(self.gate_channels, dim=-1))

    def sum_skips(self, gated: list[Tensor], projected: list[Tensor]) -> Tensor:
        """The skip sum `[..., S]` of all layers' z `[..., G / 2]`, or of their shared projections `[..., C]`."""
        if self.skip is None:
            return torch.stack(projected).sum(0)
        return self.skip(torch.cat(gated, dim=-1))


def parse_dilations(dilations: Sequence[int] | str) -> tuple[int, ...]:
    """Dilations from a list, or from their short form, such as "1..512 x3, 1..256".

    Raises:
        ValueError: The short form cannot be read, or a dilation is not positive.
    """
    if not isinstance(dilations, str):
        expanded = [int(dilation) for dilation in dilations]
    else:
        expanded = []
        for part in dilations.split(","):
            match = re.fullmatch(r"\s*(\d+)(?:\s*\.\.\s*(\d+))?(?:\s*x\s*(\d+))?\s*", part)
            if match is None:
                raise ValueError(f"cannot read dilations {part.strip()!r}; write them as '1..512 x3' or as a list")
            first, last, times = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
            cycle = [first]
            while 0 < cycle[-1] < last:
                cycle.append(2 * cycle[-1])
            if cycle[-1] != last:
                raise ValueError(f"dilations {part.strip()!r} double from {first} but do not meet {last}")
            expanded += cycle * times
    if not expanded or min(expanded) < 1:
        raise ValueError(f"dilations must be one or more positive integers, got {dilations!r}")
    return tuple(expanded)
