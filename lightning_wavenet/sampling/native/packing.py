"""A backbone's weights in the order and the padding in which the engine reads them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_wavenet.backbone.wavenet import OneHotInput, WaveNet
from lightning_wavenet.sampling.native.build import Library, Shape


class Packed(NamedTuple):
    """A copy of a backbone's weights for the engine."""

    shape: Shape
    weights: Tensor
    """Matrices, one after another in panels (see product.h), float32 or bfloat16."""
    constants: Tensor
    """Input tables, biases, amplitudes and projected global conditions, float32."""


class Padding:
    """Widths of a backbone, padded to whole vectors.

    Args:
        backbone: The net.
        library: The engine, which says how wide a vector is.
    """

    def __init__(self, backbone: WaveNet, library: Library) -> None:
        self.lanes = library.lanes
        self.panel = library.panel
        self.channels = self.whole(backbone.residual_channels)
        self.gated = self.whole(backbone.gate_channels // 2)
        self.skip = self.whole(backbone.skip_channels)
        self.hidden = self.whole(backbone.head_channels)
        self.parameters = self.whole(backbone.distribution.parameters)
        self.local = 0 if backbone.upsampling is None else self.whole(backbone.upsampling.channels)

    def whole(self, width: int) -> int:
        """The width rounded up to whole vectors."""
        return -(-width // self.lanes) * self.lanes

    def pad(self, x: Tensor, width: int) -> Tensor:
        """Zeros after the last dimension, up to a width."""
        return F.pad(x, (0, width - x.shape[-1]))

    def gates(self, x: Tensor) -> Tensor:
        """Filters and gates `[..., G]`, each padded: `[..., 2 * gated]`."""
        return torch.cat([self.pad(half, self.gated) for half in x.chunk(2, dim=-1)], dim=-1)

    def matrix(self, weight: Tensor, out: int, inputs: int, group: int) -> Tensor:
        """A weight `[out', in']` padded to `[out, inputs]`, in panels, flat; `group` inputs lie side by side."""
        padded = self.pad(self.pad(weight, inputs).T, out)
        panels = padded.reshape(inputs // group, group, out).transpose(1, 2).split(self.panel, dim=1)
        return torch.cat([panel.flatten() for panel in panels])


def pack(backbone: WaveNet, global_terms: list[Tensor | None], library: Library, precision: torch.dtype) -> Packed:
    """Copies the weights.

    Args:
        backbone: The net, on the CPU.
        global_terms: The global condition's part in every layer's gate, `[B, G]` each, or None.
        library: The engine.
        precision: Of the matrices: float32 or bfloat16.
    """
    padding = Padding(backbone, library)
    group = 2 if precision == torch.bfloat16 else 1
    channels, gated = padding.channels, padding.gated
    weights: list[Tensor] = []
    constants: list[Tensor] = []

    def matrix(weight: Tensor, out: int, inputs: int) -> None:
        weights.append(padding.matrix(weight.to(precision), out, inputs, group))

    def vector(bias: Tensor | None, width: int) -> None:
        constants.append(
            torch.zeros(width, dtype=torch.float32, device="cpu")
            if bias is None
            else padding.pad(bias, width).flatten()
        )

    one_hot = isinstance(backbone.input_layer, OneHotInput)
    if isinstance(backbone.input_layer, OneHotInput):
        vector(backbone.input_layer.tables, channels)
        vector(backbone.input_layer.bias, channels)
    else:
        vector(backbone.input_layer.taps.weight.T, channels)
        vector(backbone.input_layer.taps.bias, channels)
    stack = backbone.stack
    for layer in stack.residual_layers():
        taps = layer.dilated.weight.unflatten(1, (backbone.kernel_size, -1))
        matrix(padding.gates(padding.pad(taps, channels).flatten(1).T).T, 2 * gated, backbone.kernel_size * channels)
        if layer.projection is not None:
            matrix(layer.projection.weight, channels, gated)
            vector(layer.projection.bias, channels)
    if stack.skip is not None:
        layers = stack.skip.weight.unflatten(1, (len(backbone.dilations), -1))
        matrix(padding.pad(layers, gated).flatten(1), padding.skip, len(backbone.dilations) * gated)
    vector(None if stack.skip is None else stack.skip.bias, padding.skip)
    hidden, output = backbone.head_layers()
    matrix(hidden.weight, padding.hidden, padding.skip)
    vector(hidden.bias, padding.hidden)
    matrix(output.weight, padding.parameters, padding.hidden)
    vector(output.bias, padding.parameters)
    levels = backbone.distribution.levels
    if not one_hot:
        vector(backbone.distribution.decode(torch.arange(levels, device="cpu")), levels)

    # What every layer's gates are before any sample is seen, `[1 or B, layers * 2 * gated]`.
    terms, local = [], []
    for layer, term in zip(stack.residual_layers(), global_terms, strict=True):
        bias = (
            torch.zeros(1, backbone.gate_channels, dtype=torch.float32, device="cpu")
            if layer.dilated.bias is None
            else layer.dilated.bias[None]
        )
        terms.append(padding.gates(bias if term is None else bias + term))
        if layer.local is not None:
            local.append(padding.gates(layer.local.weight.T))
    gate_terms = torch.cat(terms, dim=-1)
    constants.append(gate_terms.flatten())
    if local:
        matrix(torch.cat(local, dim=-1).T, gate_terms.shape[1], padding.local)

    shape = Shape(
        layers=len(backbone.dilations),
        kernel_size=backbone.kernel_size,
        channels=channels,
        gated=gated,
        skip=padding.skip,
        hidden=padding.hidden,
        parameters=padding.parameters,
        levels=levels,
        input_taps=backbone.input_kernel_size,
        scalar_input=not one_hot,
        shared_projection=backbone.shared_projection,
        local=padding.local,
        gate_terms=len(gate_terms),
    )
    return Packed(shape, torch.cat(weights), torch.cat(constants))
