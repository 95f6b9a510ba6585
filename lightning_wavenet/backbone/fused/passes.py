"""The residual stack's forward and backward pass over flat tensors.

Autograd would keep every tap, tanh and sigmoid, fill the gradient of every slice with zeros and add them up. Here a
layer keeps its input and its gate's, products add to what is there, and the gate is one pass over memory. All tensors
are time first and flat, `[T B, C]`, so that every slice in time is one block, whatever the batch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_wavenet.backbone.fused.gate import gate_backward, gate_forward


class Plan(NamedTuple):
    """What the passes need to know besides tensors."""

    dilations: tuple[int, ...]
    kernel_size: int
    batch: int
    """B: rows a time step."""
    steps: int
    """Time steps that the skip sum is wanted for: the last ones."""
    recompute: bool
    """Whether the backward pass computes the gates' inputs again instead of finding them kept."""
    training: bool
    """Whether there will be a backward pass."""


class LayerWeights(NamedTuple):
    """One layer's parameters; None for those that it does not have."""

    dilated: Tensor
    """`[G, k C]`, taps side by side, oldest first."""
    bias: Tensor | None
    """`[G]`."""
    local: Tensor | None
    """`[G, L]`."""
    projection: Tensor | None
    """`[C, G / 2]`; None where nothing reads the projection."""
    projection_bias: Tensor | None
    """`[C]`."""


def skip_sum(
    plan: Plan,
    x: Tensor,
    terms: Tensor | None,
    local: Tensor | None,
    skip: Tensor,
    skip_bias: Tensor | None,
    layers: list[LayerWeights],
) -> Tensor:
    """The skip sum of the stack.

    Args:
        plan: Sizes.
        x: `[T B, C]`.
        terms: Global condition's part in every layer's gate `[B, layers * G]`.
        local: Local condition `[T B, L]`.
        skip: `[S, layers * G / 2]`.
        skip_bias: `[S]`.
        layers: The layers' parameters.

    Returns:
        `[steps * B, S]`.
    """
    flat = [weight for layer in layers for weight in layer]
    return _SkipSum.apply(plan, x, terms, local, skip, skip_bias, *flat)


class _SkipSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        plan: Plan,
        x: Tensor,
        terms: Tensor | None,
        local: Tensor | None,
        skip: Tensor,
        skip_bias: Tensor | None,
        *flat: Tensor | None,
    ) -> Tensor:
        layers = _layers(flat)
        kept, half = plan.steps * plan.batch, layers[0].dilated.shape[0] // 2
        # All layers' gated signals side by side, as the skip product reads them.
        gated = x.new_empty(0 if plan.recompute else kept, len(layers) * half)
        out = x.new_zeros(kept, len(skip)) if plan.recompute else x.new_empty(0)
        inputs, both_of = [], []
        for index, layer in enumerate(layers):
            slot = slice(index * half, (index + 1) * half)
            both = _gate_input(plan, index, layer, x, terms, local)
            z = gate_forward(both, gated[:, slot])
            if plan.recompute:
                out.addmm_(z[-kept:], skip[:, slot].t())
            if plan.training:
                inputs.append(x)
                both_of += [] if plan.recompute else [both]
            if layer.projection is not None:
                x = _product(z, layer.projection, layer.projection_bias).add_(x[-len(z) :])
        if plan.training:
            ctx.plan = plan
            ctx.save_for_backward(terms, local, skip, gated, *inputs, *both_of, *flat)
        if not plan.recompute:
            out = torch.mm(gated, skip.t())
        return out if skip_bias is None else out.add_(skip_bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, out_gradient: Tensor) -> tuple[Any, ...]:
        plan: Plan = ctx.plan
        count = len(plan.dilations)
        terms, local, skip, gated, *rest = ctx.saved_tensors
        inputs, flat = rest[:count], rest[-count * len(LayerWeights._fields) :]
        both_of = rest[count : -len(flat)]
        layers, half = _layers(flat), flat[0].shape[0] // 2
        needs_local = local is not None and ctx.needs_input_grad[3]

        out_gradient = out_gradient.contiguous()
        kept = len(out_gradient)
        skip_gradient = torch.empty_like(skip) if plan.recompute else out_gradient.t() @ gated
        terms_gradient = None if terms is None else torch.empty_like(terms)
        local_gradient = torch.zeros_like(local) if needs_local else None
        gradients: list[Tensor | None] = []
        following: Tensor | None = None  # The gradient for the layer's output, where anything reads it.
        for index in reversed(range(count)):
            layer, x = layers[index], inputs[index]
            slot = slice(index * half, (index + 1) * half)
            both = both_of[index] if both_of else _gate_input(plan, index, layer, x, terms, local)
            z_gradient = None
            if layer.projection is not None and following is not None:
                z_gradient = following @ layer.projection
            # Layer by layer: of one product for all layers, a layer's rows would lie far apart and be slow to read.
            gradient, bias_gradient, z = gate_backward(both, z_gradient, out_gradient @ skip[:, slot])
            if plan.recompute:
                skip_gradient[:, slot] = out_gradient.t() @ z[-kept:]
            projection_gradients: list[Tensor | None] = [None, None]
            if layer.projection is not None and following is not None:
                projection_bias_gradient = None if layer.projection_bias is None else following.sum(0)
                projection_gradients = [(z.t() @ following).t(), projection_bias_gradient]
            if terms_gradient is not None:
                both_slot = slice(index * 2 * half, (index + 1) * 2 * half)
                terms_gradient[:, both_slot] = gradient.view(-1, plan.batch, 2 * half).sum(0)
            local_weight_gradient = None
            if layer.local is not None and local is not None:
                local_weight_gradient = gradient.t() @ local[-len(gradient) :]
                if local_gradient is not None:
                    local_gradient[-len(gradient) :].addmm_(gradient, layer.local)
            following, dilated_gradient = _convolution_backward(plan, index, layer.dilated, x, gradient, following)
            gradients = [
                dilated_gradient,
                None if layer.bias is None else bias_gradient,
                local_weight_gradient,
                *projection_gradients,
                *gradients,
            ]
        skip_bias_gradient = out_gradient.sum(0) if ctx.needs_input_grad[5] else None
        return None, following, terms_gradient, local_gradient, skip_gradient, skip_bias_gradient, *gradients


def _layers(flat: Any) -> list[LayerWeights]:
    width = len(LayerWeights._fields)
    return [LayerWeights(*flat[first : first + width]) for first in range(0, len(flat), width)]


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.mm(x, weight.t()) if bias is None else torch.addmm(bias, x, weight.t())


def _taps(plan: Plan, index: int, rows: int) -> list[slice]:
    """The rows of a layer's input that each tap reads, oldest first."""
    step = plan.dilations[index] * plan.batch
    length = rows - (plan.kernel_size - 1) * step
    return [slice(tap * step, tap * step + length) for tap in range(plan.kernel_size)]


def _gate_input(
    plan: Plan, index: int, layer: LayerWeights, x: Tensor, terms: Tensor | None, local: Tensor | None
) -> Tensor:
    """What goes into a layer's tanh and sigmoid, `[T' B, G]`."""
    first, *others = zip(_taps(plan, index, len(x)), layer.dilated.chunk(plan.kernel_size, dim=1), strict=True)
    both = _product(x[first[0]], first[1], layer.bias)
    for rows, weight in others:
        both.addmm_(x[rows], weight.t())
    if layer.local is not None and local is not None:
        both.addmm_(local[-len(both) :], layer.local.t())
    if terms is not None:
        width = both.shape[1]
        both.view(-1, plan.batch, width).add_(terms[:, index * width : (index + 1) * width])
    return both


def _convolution_backward(
    plan: Plan, index: int, weight: Tensor, x: Tensor, gradient: Tensor, following: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Gradients for a layer's input, what comes by the residual connection included, and for its dilated weights."""
    taps, weights = _taps(plan, index, len(x)), weight.chunk(plan.kernel_size, dim=1)
    x_gradient = torch.empty_like(x)
    by_tap = torch.cat([x[rows] for rows in taps], dim=1).t() @ gradient
    # The newest tap reaches the rows that the residual connection does, and begins what the others add to.
    newest = x_gradient[taps[-1]]
    if following is None:
        torch.mm(gradient, weights[-1], out=newest)
    else:
        torch.addmm(following, gradient, weights[-1], out=newest)
    x_gradient[: len(x) - len(gradient)] = 0
    for rows, tap_weight in zip(taps[:-1], weights[:-1], strict=True):
        x_gradient[rows].addmm_(gradient, tap_weight)
    return x_gradient, by_tap.t()
