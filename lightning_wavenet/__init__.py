"""Reproduce the experiments of the WaveNet paper (arXiv 1609.03499) with PyTorch Lightning.

>>> import lightning_wavenet as lw
>>> clips = lw.load("runs/demo/checkpoints/best.ckpt").generate(seconds=2)
>>> clips[0].save("clip.wav")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_wavenet.backbone import WaveNet
    from lightning_wavenet.data.batch import Batch, Request
    from lightning_wavenet.models.checkpoint import load
    from lightning_wavenet.sampling import Sampler, Stream

__version__ = "0.1.0"
__all__ = ["Batch", "Request", "Sampler", "Stream", "WaveNet", "__version__", "load"]

_HOMES = {
    "Batch": "lightning_wavenet.data.batch",
    "Request": "lightning_wavenet.data.batch",
    "WaveNet": "lightning_wavenet.backbone",
    "Sampler": "lightning_wavenet.sampling",
    "Stream": "lightning_wavenet.sampling",
    "load": "lightning_wavenet.models.checkpoint",
}


def __getattr__(name: str) -> Any:
    # Importing torch and Lightning takes seconds, which `wavenet --help` need not wait for.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
