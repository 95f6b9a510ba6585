"""Mixtures of Gaussians with diagonal covariances, one a class, and how they are estimated."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

_LEAST_VARIANCE = 0.02
"""Of features whose variance over all frames is 1."""
_LEAST_COUNT = 3.0
"""Frames that a Gaussian is estimated from at least; with fewer it stays as it is."""
_APART = 0.2
"""Standard deviations by which the halves of a Gaussian are moved away from where it was."""


class Mixtures(NamedTuple):
    """M Gaussians over D features for each of C classes."""

    weights: Tensor
    """`[C, M]`, those of a class adding up to 1."""
    means: Tensor
    """`[C, M, D]`."""
    variances: Tensor
    """`[C, M, D]`."""

    @classmethod
    def standard(cls, classes: int, features: int) -> Mixtures:
        """One Gaussian a class, all with mean 0 and variance 1."""
        return cls(torch.ones(classes, 1), torch.zeros(classes, 1, features), torch.ones(classes, 1, features))

    def joint(self, frames: Tensor) -> Tensor:
        """Log-densities of frames `[N, D]` times the weights of the Gaussians, `[N, C, M]`."""
        precisions = 1 / self.variances
        constant = self.weights.clamp(min=1e-10).log() - 0.5 * (
            self.variances.log() + self.means.square() * precisions + math.log(2 * math.pi)
        ).sum(-1)
        linear, square = (self.means * precisions).flatten(0, 1), -0.5 * precisions.flatten(0, 1)
        return (frames @ linear.T + frames.square() @ square.T).unflatten(1, self.weights.shape) + constant

    def log_densities(self, frames: Tensor) -> Tensor:
        """Of frames `[N, D]` in every class, `[N, C]`."""
        return self.joint(frames).logsumexp(-1)

    def doubled(self) -> Mixtures:
        """Twice as many Gaussians: each as two, a little apart."""
        apart = _APART * self.variances.sqrt()
        return Mixtures(
            torch.cat([self.weights, self.weights], 1) / 2,
            torch.cat([self.means - apart, self.means + apart], 1),
            torch.cat([self.variances, self.variances], 1),
        )


class Statistics:
    """What a better estimate of mixtures is made of: a step of expectation and maximization.

    Args:
        mixtures: The estimate so far.
    """

    def __init__(self, mixtures: Mixtures) -> None:
        self.mixtures = mixtures
        self.counts = torch.zeros_like(mixtures.weights)
        self.sums = torch.zeros_like(mixtures.means)
        self.squares = torch.zeros_like(mixtures.means)

    def add(self, frames: Tensor, occupancy: Tensor) -> None:
        """Adds frames `[N, D]` and how likely each class is at each of them, `[N, C]`."""
        shares = (self.mixtures.joint(frames).softmax(-1) * occupancy[..., None]).flatten(1).T
        self.counts += shares.sum(1).view_as(self.counts)
        self.sums += (shares @ frames).view_as(self.sums)
        self.squares += (shares @ frames.square()).view_as(self.squares)

    def estimate(self) -> Mixtures:
        """The mixtures under which the frames are likelier."""
        enough = (self.counts > _LEAST_COUNT)[..., None]
        counts = self.counts.clamp(min=_LEAST_COUNT)[..., None]
        means = self.sums / counts
        variances = (self.squares / counts - means.square()).clamp(min=_LEAST_VARIANCE)
        known = self.counts.sum(1, keepdim=True) > _LEAST_COUNT
        weights = torch.where(known, self.counts / self.counts.sum(1, keepdim=True).clamp(min=1e-10), 0.0)
        return Mixtures(
            torch.where(known, weights, self.mixtures.weights),
            torch.where(enough, means, self.mixtures.means),
            torch.where(enough, variances, self.mixtures.variances),
        )
