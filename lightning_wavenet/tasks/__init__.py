"""One LightningModule per experiment, all on one backbone."""

from lightning_wavenet.models.frames import ConvolutionalFrames, RecurrentFrames
from lightning_wavenet.tasks.base import BaseTask, Corpus
from lightning_wavenet.tasks.generation import GenerationTask
from lightning_wavenet.tasks.recognition import RecognitionWaveNet
from lightning_wavenet.tasks.speaker import SpeakerWaveNet
from lightning_wavenet.tasks.unconditional import UnconditionalWaveNet

__all__ = [
    "BaseTask",
    "ConvolutionalFrames",
    "Corpus",
    "GenerationTask",
    "RecognitionWaveNet",
    "RecurrentFrames",
    "SpeakerWaveNet",
    "UnconditionalWaveNet",
]
