"""Output distributions: what a WaveNet predicts of the next sample, and how samples become codes and back.

A distribution owns the codec as well as the likelihood, because the two cannot be chosen apart: likelihoods are
comparable only over the same codes. The backbone reads codes, predicts `out_channels` numbers a sample, and leaves the
meaning of both to the distribution.
"""

from lightning_wavenet.backbone.distributions.distribution import Distribution, Draw
from lightning_wavenet.backbone.distributions.mixtures import GaussianMixture, LogisticMixture
from lightning_wavenet.backbone.distributions.softmax import LinearSoftmax, MuLawSoftmax

__all__ = ["Distribution", "Draw", "GaussianMixture", "LinearSoftmax", "LogisticMixture", "MuLawSoftmax"]
