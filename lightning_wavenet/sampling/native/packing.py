"""A backbone's weights in the order and the padding in which the engine reads them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_wavenet.backbone.wavenet import OneHotInput, WaveNet
from lightning_wavenet.sampling.native.build import Library, Shape, TrunkShape
from lightning_wavenet.sampling.native.outputs import NativeOutput


class Packed(NamedTuple):
    """A copy of a backbone's weights for the engine."""

    shape: Shape
    weights: Tensor
    """Matrices, one after another in panels (see product.h), float32 or bfloat16."""
    constants: Tensor
    """Input tables, biases and projected global conditions, float32."""
    output: NativeOutput


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
        self.parameters = self.whole(backbone.distribution.out_channels)
        self.local = self.whole(backbone.local_channels)

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


def pack(
    backbone: WaveNet, global_terms: list[Tensor | None], output: NativeOutput, library: Library, precision: torch.dtype
) -> Packed:
    """Copies the weights, part by part in the order in which the engine takes them.

    Args:
        backbone: The net, on the CPU.
        global_terms: The global condition's part in every layer's gate, `[B, G]` each, or None.
        output: What it draws from.
        library: The engine.
        precision: Of the matrices: float32 or bfloat16.
    """
    packer = _Packer(Padding(backbone, library), precision)
    packer.input(backbone)
    gate_terms = packer.trunk(backbone, global_terms)
    packer.head(backbone)
    padding, one_hot = packer.padding, isinstance(backbone.input_layer, OneHotInput)
    trunk = TrunkShape(
        layers=len(backbone.dilations),
        kernel_size=backbone.kernel_size,
        channels=padding.channels,
        gated=padding.gated,
        skip=padding.skip,
        shared_projection=backbone.shared_projection,
        local=padding.local,
        gate_terms=gate_terms,
    )
    shape = Shape(
        trunk=trunk,
        input_taps=backbone.input_kernel_size,
        input_levels=backbone.distribution.levels if one_hot else 0,
        hidden=padding.hidden,
        parameters=padding.parameters,
        out_channels=backbone.distribution.out_channels,
        output=output.kind,
    )
    return Packed(shape, torch.cat(packer.weights), torch.cat(packer.constants), output)


class _Packer:
    """Collects a net's weights and constants."""

    def __init__(self, padding: Padding, precision: torch.dtype) -> None:
        self.padding = padding
        self.precision = precision
        self.weights: list[Tensor] = []
        self.constants: list[Tensor] = []

    def matrix(self, weight: Tensor, out: int, inputs: int) -> None:
        group = 2 if self.precision == torch.bfloat16 else 1
        self.weights.append(self.padding.matrix(weight.to(self.precision), out, inputs, group))

    def vector(self, bias: Tensor | None, width: int) -> None:
        self.constants.append(
            torch.zeros(width, dtype=torch.float32, device="cpu")
            if bias is None
            else self.padding.pad(bias, width).flatten()
        )

    def input(self, backbone: WaveNet) -> None:
        """As input.h takes them."""
        layer, channels = backbone.input_layer, self.padding.channels
        if isinstance(layer, OneHotInput):
            self.vector(layer.tables, channels)
            self.vector(layer.bias, channels)
        else:
            self.vector(layer.taps.weight.T, channels)
            self.vector(layer.taps.bias, channels)

    def trunk(self, backbone: WaveNet, global_terms: list[Tensor | None]) -> int:
        """As trunk.h takes them; returns the number of rows of constant gate terms."""
        padding, stack = self.padding, backbone.stack
        channels, gated = padding.channels, padding.gated
        for layer in stack.residual_layers():
            taps = layer.dilated.weight.unflatten(1, (backbone.kernel_size, -1))
            weight = padding.gates(padding.pad(taps, channels).flatten(1).T).T
            self.matrix(weight, 2 * gated, backbone.kernel_size * channels)
            if layer.projection is not None:
                self.matrix(layer.projection.weight, channels, gated)
                self.vector(layer.projection.bias, channels)
        if stack.skip is not None:
            layers = stack.skip.weight.unflatten(1, (len(backbone.dilations), -1))
            self.matrix(padding.pad(layers, gated).flatten(1), padding.skip, len(backbone.dilations) * gated)
        self.vector(None if stack.skip is None else stack.skip.bias, padding.skip)

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
        self.constants.append(gate_terms.flatten())
        if local:
            self.matrix(torch.cat(local, dim=-1).T, gate_terms.shape[1], padding.local)
        return len(gate_terms)

    def head(self, backbone: WaveNet) -> None:
        """As head.h takes them."""
        padding = self.padding
        hidden, output = backbone.head_layers()
        self.matrix(hidden.weight, padding.hidden, padding.skip)
        self.vector(hidden.bias, padding.hidden)
        self.matrix(output.weight, padding.parameters, padding.hidden)
        self.vector(output.bias, padding.parameters)
