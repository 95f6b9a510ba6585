"""One LightningModule per experiment, all on one backbone, with the callbacks that belong to one of them."""

from lightning_wavenet.models.encoders import ConvolutionalEncoder, RecurrentEncoder
from lightning_wavenet.tasks.base import BaseTask, Corpus
from lightning_wavenet.tasks.confusions import ConfusionTable
from lightning_wavenet.tasks.generation import GenerationTask
from lightning_wavenet.tasks.music import MusicWaveNet
from lightning_wavenet.tasks.phone_criterion import PhoneCriterion
from lightning_wavenet.tasks.predictions import PredictionWriter
from lightning_wavenet.tasks.prosody import DurationModel, LogF0Model
from lightning_wavenet.tasks.recognition import RecognitionWaveNet
from lightning_wavenet.tasks.speaker import SpeakerWaveNet
from lightning_wavenet.tasks.tts import TTSWaveNet
from lightning_wavenet.tasks.unconditional import UnconditionalWaveNet

__all__ = [
    "BaseTask",
    "ConfusionTable",
    "ConvolutionalEncoder",
    "Corpus",
    "DurationModel",
    "GenerationTask",
    "LogF0Model",
    "MusicWaveNet",
    "PhoneCriterion",
    "PredictionWriter",
    "RecognitionWaveNet",
    "RecurrentEncoder",
    "SpeakerWaveNet",
    "TTSWaveNet",
    "UnconditionalWaveNet",
]
