"""What a clip is conditioned on, frame by frame."""

from lightning_wavenet.features.extractor import Extractor, Kept, Unusable, Utterance, rebuild
from lightning_wavenet.features.f0 import LogF0
from lightning_wavenet.features.linguistic import Linguistic
from lightning_wavenet.features.mel import MelSpectrogram

__all__ = ["Extractor", "Kept", "Linguistic", "LogF0", "MelSpectrogram", "Unusable", "Utterance", "rebuild"]
