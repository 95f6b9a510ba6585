"""Categorical distributions over codes (section 2.2 of the paper)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_wavenet.backbone.distributions.codecs import Linear, MuLaw


def smooth(levels: int, channels: int, cosines: int = 16) -> Tensor:
    """Random weights for each code in which neighboring codes are alike, `[levels, channels]`.

    Amplitudes are ordered, and one-hot vectors hide that: drawn independently, the weights of every code have to learn
    by themselves what those of its neighbors learn too. Here a channel is a random sum of cosines over the codes, whose
    amplitudes fall with their frequency; the mean square is 1.

    Args:
        levels: Number of codes.
        channels: Weights a code.
        cosines: How many cosines; the fastest has half as many periods.
    """
    frequency = torch.arange(1, min(cosines, levels - 1) + 1)
    basis = torch.cos(math.pi * frequency * (torch.arange(levels)[:, None] + 0.5) / levels)
    amplitude = (2 / (frequency.float() ** -2).sum()).sqrt() / frequency
    return (basis * amplitude) @ torch.randn(len(frequency), channels)


class Softmax:
    """One logit a code; a codec is mixed in.

    Attributes:
        levels: Number of codes.
    """

    levels: int
    patience = 1.0

    @property
    def out_channels(self) -> int:
        """One logit a code."""
        return self.levels

    def last_layer(self, channels: int) -> nn.Linear:
        """Neighboring codes begin with nearly the same logits, about 0.3 in size: nearly 8 bits a sample for 256."""
        layer = nn.Linear(channels, self.levels)
        with torch.no_grad():
            layer.weight.copy_(smooth(self.levels, channels)).mul_(0.3 * channels**-0.5)
            layer.bias.zero_()
        return layer

    def nll(self, parameters: Tensor, codes: Tensor) -> Tensor:
        """Cross-entropy in nats `[...]` of codes `[...]` under logits `[..., levels]`."""
        flat = F.cross_entropy(parameters.reshape(-1, self.levels), codes.reshape(-1), reduction="none")
        return flat.view(codes.shape)

    def sampling(self, temperature: float = 1.0, top_p: float = 1.0) -> SoftmaxDraw:
        """Makes what draws codes; arguments as in `SoftmaxDraw`."""
        return SoftmaxDraw(temperature, top_p)


class MuLawSoftmax(Softmax, MuLaw):
    """A categorical distribution over mu-law codes, the paper's output.

    Args:
        levels: Number of codes: 256 in the paper; 1,024 are 10 bits.
    """

    def __init__(self, levels: int = 256) -> None:
        super().__init__(levels)


class LinearSoftmax(Softmax, Linear):
    """A categorical distribution over amplitudes in equal steps, as SampleRNN has it.

    Args:
        levels: Number of codes, at most 1,024.
    """

    def __init__(self, levels: int = 256) -> None:
        if levels > 1_024:
            raise ValueError(f"a softmax has at most 1,024 levels, got {levels:,}; mixtures have 65,536")
        super().__init__(levels)


@dataclass(frozen=True)
class SoftmaxDraw:
    """Draws from a categorical distribution by inverse CDF.

    That is the first code whose cumulative probability exceeds a uniform number.

    Args:
        temperature: Divides the logits; 1 samples from the model, less is more conservative.
        top_p: Keep only the most probable codes that together reach this probability; 1 keeps all.

    Raises:
        ValueError: One of them is out of range.
    """

    temperature: float = 1.0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, got {self.top_p}")

    @property
    def options(self) -> Mapping[str, float]:
        """Temperature and top_p."""
        return asdict(self)

    def __call__(self, parameters: Tensor, uniforms: Tensor) -> Tensor:
        """Codes `[...]` of logits `[..., levels]` and uniforms, float64 `[...]` in [0, 1).

        In float64, so that engines whose logits differ by rounding draw the same code from the same uniform.
        """
        probabilities = torch.softmax(parameters.double() / self.temperature, dim=-1)
        if self.top_p < 1.0:
            ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
            ordered = ordered.masked_fill(ordered.cumsum(-1) - ordered >= self.top_p, 0.0)
            probabilities = torch.zeros_like(probabilities).scatter(-1, order, ordered)
        cumulative = probabilities.cumsum(-1)
        threshold = uniforms.unsqueeze(-1) * cumulative[..., -1:]
        return (cumulative <= threshold).sum(-1).clamp_(max=parameters.shape[-1] - 1)
