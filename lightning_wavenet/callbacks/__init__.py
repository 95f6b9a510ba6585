"""What happens around training: checkpoints, samples, the run's configuration, progress."""

from lightning_wavenet.callbacks.checkpoints import LastAndBest
from lightning_wavenet.callbacks.config import SaveConfig
from lightning_wavenet.callbacks.progress import FirstValidation, ProgressLines, Throughput
from lightning_wavenet.callbacks.samples import PredictionWriter, SampleLogger

__all__ = [
    "FirstValidation",
    "LastAndBest",
    "PredictionWriter",
    "ProgressLines",
    "SampleLogger",
    "SaveConfig",
    "Throughput",
]
