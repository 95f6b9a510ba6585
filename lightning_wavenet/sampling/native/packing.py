"""The weights of nets and stacks in the order and the padding in which the engine reads them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_wavenet.backbone.residual import ResidualStack
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


class PackedStack(NamedTuple):
    """A copy of a residual stack's weights for the engine, as those of `Packed`."""

    shape: TrunkShape
    weights: Tensor
    constants: Tensor


class Padding:
    """Widths padded to whole vectors.

    Args:
        library: The engine, which says how wide a vector is.
    """

    def __init__(self, library: Library) -> None:
        self.lanes = library.lanes
        self.panel = library.panel

    def whole(self, width: int) -> int:
        """The width rounded up to whole vectors."""
        return -(-width // self.lanes) * self.lanes

    def pad(self, x: Tensor) -> Tensor:
        """Zeros after the last dimension, up to whole vectors."""
        return F.pad(x, (0, self.whole(x.shape[-1]) - x.shape[-1]))

    def gates(self, x: Tensor) -> Tensor:
        """Filters and gates `[..., G]`, each padded."""
        return torch.cat([self.pad(half) for half in x.chunk(2, dim=-1)], dim=-1)

    def matrix(self, weight: Tensor, group: int) -> Tensor:
        """A weight `[out, in]` padded to whole vectors, in panels, flat; `group` inputs lie side by side."""
        padded = self.pad(self.pad(weight).T)
        panels = padded.unflatten(0, (-1, group)).transpose(1, 2).split(self.panel, dim=1)
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
    packer = _Packer(Padding(library), precision)
    packer.input(backbone)
    trunk = packer.trunk(backbone.stack, global_terms)
    packer.head(backbone)
    whole, one_hot = packer.padding.whole, isinstance(backbone.input_layer, OneHotInput)
    shape = Shape(
        trunk=trunk,
        input_taps=backbone.input_kernel_size,
        input_levels=backbone.distribution.levels if one_hot else 0,
        hidden=whole(backbone.head_channels),
        parameters=whole(backbone.distribution.out_channels),
        out_channels=backbone.distribution.out_channels,
        output=output.kind,
    )
    return Packed(shape, *packer.packed(), output)


def pack_stack(stack: ResidualStack, library: Library) -> PackedStack:
    """Copies the weights of a stack without conditions, in float32."""
    packer = _Packer(Padding(library), torch.float32)
    shape = packer.trunk(stack, stack.global_terms(None))
    return PackedStack(shape, *packer.packed())


class _Packer:
    """Collects a net's weights and constants."""

    def __init__(self, padding: Padding, precision: torch.dtype) -> None:
        self.padding = padding
        self.precision = precision
        self.weights: list[Tensor] = []
        self.constants: list[Tensor] = []

    def packed(self) -> tuple[Tensor, Tensor]:
        """All of them."""
        return torch.cat(self.weights), torch.cat(self.constants)

    def matrix(self, weight: Tensor) -> None:
        group = 2 if self.precision == torch.bfloat16 else 1
        self.weights.append(self.padding.matrix(weight.to(self.precision), group))

    def vector(self, bias: Tensor | None, width: int) -> None:
        if bias is None:
            bias = torch.zeros(width, dtype=torch.float32, device="cpu")
        self.constants.append(self.padding.pad(bias).flatten())

    def input(self, backbone: WaveNet) -> None:
        """As input.h takes them."""
        layer = backbone.input_layer
        if isinstance(layer, OneHotInput):
            self.vector(layer.tables, backbone.residual_channels)
            self.vector(layer.bias, backbone.residual_channels)
        else:
            self.vector(layer.taps.weight.T, backbone.residual_channels)
            self.vector(layer.taps.bias, backbone.residual_channels)

    def trunk(self, stack: ResidualStack, global_terms: list[Tensor | None]) -> TrunkShape:
        """As trunk.h takes them."""
        padding = self.padding
        for layer in stack.residual_layers():
            taps = padding.pad(layer.dilated.weight.unflatten(1, (stack.kernel_size, -1)))
            self.matrix(padding.gates(taps.flatten(1).T).T)
            if layer.projection is not None:
                self.matrix(layer.projection.weight)
                self.vector(layer.projection.bias, stack.residual_channels)
        if stack.skip is not None:
            self.matrix(padding.pad(stack.skip.weight.unflatten(1, (len(stack.dilations), -1))).flatten(1))
        self.vector(None if stack.skip is None else stack.skip.bias, stack.skip_channels)

        # What every layer's gates are before any sample is seen, `[1 or B, layers * 2 * gated]`.
        terms, local = [], []
        for layer, term in zip(stack.residual_layers(), global_terms, strict=True):
            bias = (
                torch.zeros(1, stack.gate_channels, dtype=torch.float32, device="cpu")
                if layer.dilated.bias is None
                else layer.dilated.bias[None]
            )
            terms.append(padding.gates(bias if term is None else bias + term))
            if layer.local is not None:
                local.append(padding.gates(layer.local.weight.T))
        gate_terms = torch.cat(terms, dim=-1)
        self.constants.append(gate_terms.flatten())
        if local:
            self.matrix(torch.cat(local, dim=-1).T)
        return TrunkShape(
            layers=len(stack.dilations),
            kernel_size=stack.kernel_size,
            channels=padding.whole(stack.residual_channels),
            gated=padding.whole(stack.gate_channels // 2),
            skip=padding.whole(stack.skip_channels),
            shared_projection=stack.skip is None,
            local=padding.whole(stack.local_channels),
            gate_terms=len(gate_terms),
        )

    def head(self, backbone: WaveNet) -> None:
        """As head.h takes them."""
        for layer in backbone.head_layers():
            self.matrix(layer.weight)
            self.vector(layer.bias, layer.out_features)
