"""WaveNet as plain torch modules: no Lightning, no files, no command line."""

from lightning_wavenet.backbone.conditioning import Conditions, RepeatUpsampling, TransposedUpsampling, Upsampling
from lightning_wavenet.backbone.context import ContextStack
from lightning_wavenet.backbone.distributions import (
    Distribution,
    GaussianMixture,
    LinearSoftmax,
    LogisticMixture,
    MuLawSoftmax,
)
from lightning_wavenet.backbone.wavenet import WaveNet

__all__ = [
    "Conditions",
    "ContextStack",
    "Distribution",
    "GaussianMixture",
    "LinearSoftmax",
    "LogisticMixture",
    "MuLawSoftmax",
    "RepeatUpsampling",
    "TransposedUpsampling",
    "Upsampling",
    "WaveNet",
]
