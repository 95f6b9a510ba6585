"""From scores of phones, frame by frame, to the phones that were said: decoding and forced alignment."""

from lightning_wavenet.decoding.alignment import Aligned, Token, align
from lightning_wavenet.decoding.best_path import Segment, best_path, collapse
from lightning_wavenet.decoding.bigram import Bigram
from lightning_wavenet.decoding.ctc import prefix_beam
from lightning_wavenet.decoding.viterbi import viterbi

__all__ = ["Aligned", "Bigram", "Segment", "Token", "align", "best_path", "collapse", "prefix_beam", "viterbi"]
