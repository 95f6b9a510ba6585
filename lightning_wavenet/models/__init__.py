"""What training makes and everything else uses: a net, the vocabulary of its corpus, and what can be done with both.

Needs no Lightning.
"""

from lightning_wavenet.models.clip import Clip, ClipDescription
from lightning_wavenet.models.generation import GenerativeModel
from lightning_wavenet.models.model import Model
from lightning_wavenet.models.music import MusicModel
from lightning_wavenet.models.prosody import DurationPredictor, LogF0Predictor
from lightning_wavenet.models.recognition import PhoneRecognizer, TimedPhone
from lightning_wavenet.models.speaker import SpeakerModel
from lightning_wavenet.models.tts import TTSModel
from lightning_wavenet.models.unconditional import UnconditionalModel

__all__ = [
    "Clip",
    "ClipDescription",
    "DurationPredictor",
    "GenerativeModel",
    "LogF0Predictor",
    "Model",
    "MusicModel",
    "PhoneRecognizer",
    "SpeakerModel",
    "TTSModel",
    "TimedPhone",
    "UnconditionalModel",
]
