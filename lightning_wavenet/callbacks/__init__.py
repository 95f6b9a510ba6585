"""What happens around training: checkpoints, averaged weights, samples, the run's configuration, progress."""

from lightning_wavenet.callbacks.averaging import WeightAverage
from lightning_wavenet.callbacks.checkpoints import LAST, PREVIOUS, LastAndBest
from lightning_wavenet.callbacks.config import SaveConfig
from lightning_wavenet.callbacks.endings import ending
from lightning_wavenet.callbacks.execution import Execution
from lightning_wavenet.callbacks.guard import Guard
from lightning_wavenet.callbacks.progress import FirstValidation, ModelSize, ProgressBar, ProgressLines, Throughput
from lightning_wavenet.callbacks.samples import SampleLogger
from lightning_wavenet.callbacks.signals import Stopped

__all__ = [
    "LAST",
    "PREVIOUS",
    "Execution",
    "FirstValidation",
    "Guard",
    "LastAndBest",
    "ModelSize",
    "ProgressBar",
    "ProgressLines",
    "SampleLogger",
    "SaveConfig",
    "Stopped",
    "Throughput",
    "WeightAverage",
    "ending",
]
