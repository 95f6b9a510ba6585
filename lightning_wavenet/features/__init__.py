"""What a clip is conditioned on, frame by frame."""

from lightning_wavenet.features.extractor import Extractor, Kept, Unusable, Utterance, rebuild
from lightning_wavenet.features.f0 import LogF0
from lightning_wavenet.features.linguistic import Linguistic
from lightning_wavenet.features.mel import MelSpectrogram
from lightning_wavenet.features.mel_files import FRAME_SUFFIXES

__all__ = [
    "FRAME_SUFFIXES",
    "Extractor",
    "Kept",
    "Linguistic",
    "LogF0",
    "MelSpectrogram",
    "Unusable",
    "Utterance",
    "rebuild",
]
