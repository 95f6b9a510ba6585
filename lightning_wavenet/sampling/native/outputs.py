"""Which outputs the engine draws from; outputs.h has the same kinds in the same order."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_wavenet.backbone.distributions import Distribution, Draw
from lightning_wavenet.backbone.distributions.mixtures import (
    NARROWEST,
    UNIT,
    WIDEST,
    GaussianMixture,
    LogisticMixture,
    Mixture,
    MixtureDraw,
)
from lightning_wavenet.backbone.distributions.softmax import SoftmaxDraw

SOFTMAX, LOGISTIC_MIXTURE, GAUSSIAN_MIXTURE = 0, 1, 2
MIXTURES: dict[type[Mixture], int] = {LogisticMixture: LOGISTIC_MIXTURE, GaussianMixture: GAUSSIAN_MIXTURE}


class NativeOutput(NamedTuple):
    """An output as outputs.h makes it."""

    kind: int
    options: tuple[float, ...]
    constants: Tensor
    """float32, which the output reads as long as the session lives."""


def native_output(distribution: Distribution, draw: Draw) -> NativeOutput | None:
    """The output of the engine that draws as `draw` does; None where it has none."""
    if isinstance(draw, SoftmaxDraw):
        amplitudes = distribution.decode(torch.arange(distribution.levels, device="cpu"))
        return NativeOutput(SOFTMAX, (distribution.levels, draw.temperature, draw.top_p), amplitudes)
    if isinstance(draw, MixtureDraw) and type(draw.mixture) in MIXTURES:
        options = (draw.mixture.components, UNIT, NARROWEST, WIDEST, draw.temperature)
        return NativeOutput(MIXTURES[type(draw.mixture)], options, torch.zeros(0, device="cpu"))
    return None
