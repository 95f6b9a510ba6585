"""What a clip is conditioned on, frame by frame."""

from lightning_wavenet.features.extractor import Extractor, Utterance
from lightning_wavenet.features.mel import MelSpectrogram

__all__ = ["Extractor", "MelSpectrogram", "Utterance"]
