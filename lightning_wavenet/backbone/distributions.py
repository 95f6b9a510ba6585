"""Output distributions: what a WaveNet predicts of the next sample, and how samples become codes and back.

A distribution owns the codec as well as the likelihood, because the two cannot be chosen apart: likelihoods are
comparable only over the same codes. The backbone reads codes, predicts `parameters` numbers a sample, and leaves the
meaning of both to the distribution.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F


@runtime_checkable
class Distribution(Protocol):
    """What the backbone, the tasks and the sampling engines ask of an output distribution."""

    @property
    def levels(self) -> int:
        """How many codes there are; codes are 0 to levels - 1."""

    @property
    def parameters(self) -> int:
        """P: how many numbers the network predicts a sample."""

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

    def sample(self, parameters: Tensor, uniforms: Tensor, temperature: float = 1.0, top_p: float = 1.0) -> Tensor:
        """Codes `[...]` drawn by inverse CDF from parameters `[..., P]` and uniforms `[...]` in [0, 1)."""


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
    def parameters(self) -> int:
        """One logit a code."""
        return self.levels

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

    def sample(self, parameters: Tensor, uniforms: Tensor, temperature: float = 1.0, top_p: float = 1.0) -> Tensor:
        """The first code whose cumulative probability exceeds the uniform.

        In float64, so that engines whose logits differ by rounding draw the same code from the same uniform.

        Args:
            parameters: Logits `[..., levels]`.
            uniforms: float64 `[...]` in [0, 1).
            temperature: Divides the logits; 1 samples from the model, less is more conservative.
            top_p: Keep only the most probable codes that together reach this probability; 1 keeps all.
        """
        probabilities = torch.softmax(parameters.double() / temperature, dim=-1)
        if top_p < 1.0:
            ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
            ordered = ordered.masked_fill(ordered.cumsum(-1) - ordered >= top_p, 0.0)
            probabilities = torch.zeros_like(probabilities).scatter(-1, order, ordered)
        cumulative = probabilities.cumsum(-1)
        threshold = uniforms.unsqueeze(-1) * cumulative[..., -1:]
        return (cumulative <= threshold).sum(-1).clamp_(max=self.levels - 1)
