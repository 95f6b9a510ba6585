"""Likelihood in the unit that models of one codec and rate are compared in."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_wavenet.backbone import Distribution


def nats_of_16_bits(nats: Tensor, codes: Tensor, distribution: Distribution) -> Tensor:
    """Likelihoods of codes as likelihoods of 16-bit samples, by which outputs of different codecs compare.

    A code's probability is spread evenly over the 16-bit samples that it stands for.

    Args:
        nats: Negative log-likelihoods of the codes, `[...]`.
        codes: Of 16-bit recordings, int64 `[...]`.
        distribution: Whose codes they are.
    """
    samples = torch.arange(-32_768, 32_768, device=codes.device) / 32_768
    covered = torch.bincount(distribution.encode(samples), minlength=distribution.levels)
    return nats + covered.double().log()[codes].to(nats.dtype)


class BitsPerSample(Metric):
    """Mean negative log-likelihood in bits a sample, over samples: long batches weigh more than short ones.

    Comparable only between models of the same codec and sample rate. A uniform guess over 256 codes has 8 bits.
    """

    full_state_update = False
    nats: Tensor
    samples: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("nats", default=torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("samples", default=torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, nats: Tensor, mask: Tensor) -> None:
        """Adds the samples of nats `[...]` where mask `[...]` is True."""
        self.nats += nats.masked_fill(~mask, 0.0).sum(dtype=torch.float64)
        self.samples += mask.sum()

    def compute(self) -> Tensor:
        """Bits a sample."""
        return (self.nats / self.samples / math.log(2)).float()
