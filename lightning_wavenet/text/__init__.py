"""English text to normalized words and ARPAbet phones."""

from lightning_wavenet.text.pronunciation import Lexicon
from lightning_wavenet.text.symbols import PHONES, VOWELS
from lightning_wavenet.text.words import phrases, words

__all__ = ["PHONES", "VOWELS", "Lexicon", "phrases", "words"]
