"""Which outputs the engine draws from; outputs.h has the same kinds in the same order."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_wavenet.backbone.distributions import Distribution, Draw, MuLawSoftmax, SoftmaxDraw

SOFTMAX = 0


class NativeOutput(NamedTuple):
    """An output as outputs.h makes it."""

    kind: int
    options: tuple[float, ...]
    constants: Tensor
    """float32, which the output reads as long as the session lives."""


def native_output(distribution: Distribution, draw: Draw) -> NativeOutput | None:
    """The output of the engine that draws as `draw` does; None where it has none."""
    if isinstance(distribution, MuLawSoftmax) and isinstance(draw, SoftmaxDraw):
        amplitudes = distribution.decode(torch.arange(distribution.levels, device="cpu"))
        return NativeOutput(SOFTMAX, (distribution.levels, draw.temperature, draw.top_p), amplitudes)
    return None
