"""One LightningModule per experiment, all on one backbone."""

from lightning_wavenet.tasks.base import BaseTask
from lightning_wavenet.tasks.speaker import SpeakerWaveNet
from lightning_wavenet.tasks.unconditional import UnconditionalWaveNet

__all__ = ["BaseTask", "SpeakerWaveNet", "UnconditionalWaveNet"]
