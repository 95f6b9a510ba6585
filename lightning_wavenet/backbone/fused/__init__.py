"""The forward and backward pass of a `ResidualStack` written by hand: faster on CPUs, and less memory.

It computes what the reference form in `residual.py` says, to rounding, and `ResidualStack.path` takes one or the other.
passes.py is forward and backward, gate.py the gate in one pass over memory, in C++ where that can be compiled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lightning_wavenet.backbone.fused.passes import LayerWeights, Plan, skip_sum

if TYPE_CHECKING:
    from lightning_wavenet.backbone.residual import ResidualStack

__all__ = ["fused_forward"]


# A compiler would trace into the passes, and has nothing to gain there.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def fused_forward(stack: ResidualStack, x: Tensor, global_condition: Tensor | None, local: Tensor | None) -> Tensor:
    """What `stack(x, global_condition, local)` returns; differentiable once.

    Args:
        stack: Whose weights are used, and whose `recompute` is heeded.
        x: `[T, B, C]`.
        global_condition: `[B, global_channels]`.
        local: Local condition `[T, B, local_channels]`; step t holds the condition of the sample predicted there.

    Returns:
        `[T - reach, B, S]`, in the type of autocast where that is on.
    """
    layers, kind = stack.residual_layers(), x.device.type
    autocast = torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if autocast else x.dtype

    def cast(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(dtype)

    def flat(tensor: Tensor) -> Tensor:
        return tensor.to(dtype).flatten(0, 1)

    last = None if stack.skip is not None else layers[-1]
    weights = [
        LayerWeights(
            layer.dilated.weight.to(dtype),
            cast(layer.dilated.bias),
            None if layer.local is None else layer.local.weight.to(dtype),
            # Where the last layer has a projection, it is the skip sum's.
            None if layer.projection is None or layer is last else layer.projection.weight.to(dtype),
            None if layer.projection is None or layer is last else cast(layer.projection.bias),
        )
        for layer in layers
    ]
    steps = len(x) - stack.reach
    plan = Plan(stack.dilations, stack.kernel_size, x.shape[1], steps, stack.recompute, torch.is_grad_enabled())
    terms = (
        None
        if stack.global_projection is None or global_condition is None
        else stack.global_projection(global_condition).to(dtype)
    )
    skip, skip_bias = _skip_weights(stack)
    with torch.autocast(kind, enabled=False):
        total = skip_sum(
            plan, flat(x), terms, None if local is None else flat(local), skip.to(dtype), cast(skip_bias), weights
        )
    return total.unflatten(0, (steps, x.shape[1]))


def _skip_weights(stack: ResidualStack) -> tuple[Tensor, Tensor | None]:
    """The skip product's matrix `[S, layers * G / 2]` and bias; shared projections side by side are one too."""
    if stack.skip is not None:
        return stack.skip.weight, stack.skip.bias
    shared = [layer.projection for layer in stack.residual_layers() if layer.projection is not None]
    biases: list[Tensor] = [projection.bias for projection in shared if projection.bias is not None]
    weight = torch.cat([projection.weight for projection in shared], dim=1)
    return weight, torch.stack(biases).sum(0) if biases else None
