"""From scores of phones, frame by frame, to the phones that were said: decoding and forced alignment."""

from lightning_wavenet.decoding.alignment import Aligned, Token, align
from lightning_wavenet.decoding.best_path import Segment, best_path, collapse
from lightning_wavenet.decoding.bigram import Bigram
from lightning_wavenet.decoding.ctc import prefix_beam
from lightning_wavenet.decoding.decoders import BestPath, Decoder, PrefixBeam, Viterbi, between_blanks
from lightning_wavenet.decoding.full_sum import IMPOSSIBLE, full_sum, with_blanks
from lightning_wavenet.decoding.viterbi import viterbi

__all__ = [
    "IMPOSSIBLE",
    "Aligned",
    "BestPath",
    "Bigram",
    "Decoder",
    "PrefixBeam",
    "Segment",
    "Token",
    "Viterbi",
    "align",
    "best_path",
    "between_blanks",
    "collapse",
    "full_sum",
    "prefix_beam",
    "viterbi",
    "with_blanks",
]
