"""Output distributions: what a WaveNet predicts of the next sample, and how samples become codes and back.

A distribution owns the codec as well as the likelihood, because the two cannot be chosen apart: likelihoods are
comparable only over the same codes. The backbone reads codes, predicts `out_channels` numbers a sample, and leaves the
meaning of both to the distribution.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Draw(Protocol):
    """Draws samples from a distribution, under the options of its `sampling`."""

    @property
    def options(self) -> Mapping[str, float]:
        """The options by name."""

    def __call__(self, parameters: Tensor, uniforms: Tensor) -> Tensor:
        """Codes `[...]` of parameters `[..., out_channels]`, one uniform number in [0, 1) each, float64 `[...]`."""


@runtime_checkable
class Distribution(Protocol):
    """What the backbone, the tasks and the sampling engines ask of an output distribution."""

    @property
    def levels(self) -> int:
        """How many codes there are, at most 65,536; codes are 0 to levels - 1."""

    @property
    def out_channels(self) -> int:
        """P: how many numbers the network predicts a sample."""

    def last_layer(self, channels: int) -> nn.Linear:
        """The untrained layer from so many channels to the parameters, with the weights that they begin well with."""

    @property
    def silence(self) -> int:
        """The code of a sample of value 0."""

    @property
    def codec(self) -> str:
        """Name of the codec, to be quoted beside every likelihood."""

    def encode(self, waveform: Tensor) -> Tensor:
        """Float waveform `[...]` in [-1, 1] (what lies beyond is clipped) to int64 codes `[...]`."""

    def decode(self, codes: Tensor) -> Tensor:
        """Codes `[...]` to a float32 waveform `[...]` in [-1, 1]; `encode(decode(c)) == c`."""

    def nll(self, parameters: Tensor, codes: Tensor) -> Tensor:
        """Negative log-likelihood in nats `[...]` of codes `[...]` under parameters `[..., P]`."""

    @property
    def sampling(self) -> Callable[..., Draw]:
        """Makes what draws samples. Its arguments are the options of this distribution, each with a default.

        Raises:
            ValueError: An option is out of range.
        """


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


class MuLawSoftmax:
    """A categorical distribution over mu-law codes (section 2.2 of the paper).

    Companding is f(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu) with mu = levels - 1, after clipping x to [-1, 1], and
    codes are f rounded to the nearest of `levels` equal steps. The paper names no rounding rule; rounding has an
    error 6 dB lower than truncation, decodes without bias, and makes decode followed by encode the identity.

    Args:
        levels: Number of codes; 256 in the paper.
    """

    def __init__(self, levels: int = 256) -> None:
        if levels < 2 or levels % 2:
            raise ValueError(f"levels must be even and at least 2, got {levels}")
        self.levels = levels

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

    @property
    def silence(self) -> int:
        """Zero lies between two codes; rounding takes the upper."""
        return self.levels // 2

    @property
    def codec(self) -> str:
        """For example "mu-law 256"."""
        return f"mu-law {self.levels}"

    def encode(self, waveform: Tensor) -> Tensor:
        """Float waveform `[...]` to int64 codes `[...]`."""
        mu = self.levels - 1
        waveform = waveform.float().clamp(-1.0, 1.0)
        companded = waveform.sign() * torch.log1p(mu * waveform.abs()) / math.log1p(mu)
        return ((companded + 1.0) / 2.0 * mu + 0.5).floor().long()

    def decode(self, codes: Tensor) -> Tensor:
        """Int64 codes `[...]` to a float32 waveform `[...]`."""
        mu = self.levels - 1
        companded = 2.0 * codes.float() / mu - 1.0
        return companded.sign() * torch.expm1(companded.abs() * math.log1p(mu)) / mu

    def nll(self, parameters: Tensor, codes: Tensor) -> Tensor:
        """Cross-entropy in nats `[...]` of codes `[...]` under logits `[..., levels]`."""
        flat = F.cross_entropy(parameters.reshape(-1, self.levels), codes.reshape(-1), reduction="none")
        return flat.view(codes.shape)

    def sampling(self, temperature: float = 1.0, top_p: float = 1.0) -> SoftmaxDraw:
        """Makes what draws codes; arguments as in `SoftmaxDraw`."""
        return SoftmaxDraw(temperature, top_p)


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
