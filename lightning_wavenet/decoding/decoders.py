"""From the scores of a clip's frames to its phones: the ways to decode that a task can be given."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lightning_wavenet.decoding.alignment import Token, align
from lightning_wavenet.decoding.best_path import Segment, best_path
from lightning_wavenet.decoding.bigram import Bigram
from lightning_wavenet.decoding.ctc import prefix_beam
from lightning_wavenet.decoding.viterbi import viterbi


class Decoder(Protocol):
    """Finds what was said."""

    def decode(self, scores: NDArray[np.floating], bigram: Bigram, blank: int | None) -> list[Segment]:
        """The phones of a clip and their frames.

        Args:
            scores: `[N, C]`: log-probabilities of the phones, and of the blank where there is one.
            bigram: Of the phones.
            blank: Index of the blank, the last; None where there is none.
        """


class BestPath:
    """The likeliest class of every frame by itself; of a net with a blank, what remains without blanks."""

    def decode(self, scores: NDArray[np.floating], bigram: Bigram, blank: int | None) -> list[Segment]:
        """As `Decoder`."""
        return [segment for segment in best_path(scores) if segment.phone != blank]


class Viterbi:
    """The likeliest sequence of phones under a bigram model (`viterbi`), for nets without a blank.

    Args:
        weight: Of the bigram's log-probabilities.
        insertion: Added for each phone (nats); below 0 there will be fewer.
        shortest: Frames that a phone lasts at least.
    """

    def __init__(self, weight: float = 1.0, insertion: float = 0.0, shortest: int = 3) -> None:
        if weight < 0 or shortest < 1:
            raise ValueError(f"weight must not be negative and shortest at least 1, got {weight} and {shortest}")
        self.weight = weight
        self.insertion = insertion
        self.shortest = shortest

    def decode(self, scores: NDArray[np.floating], bigram: Bigram, blank: int | None) -> list[Segment]:
        """As `Decoder`.

        Raises:
            ValueError: There is a blank.
        """
        if blank is not None:
            raise ValueError("Viterbi decodes nets without a blank: take BestPath or PrefixBeam, or set blank to false")
        return viterbi(scores, bigram, self.weight, self.insertion, self.shortest)


class PrefixBeam:
    """The likeliest sequence over all paths of CTC (`prefix_beam`), for nets with a blank.

    The frames of its phones are those of the likeliest path of that sequence.

    Args:
        width: Sequences that are kept from frame to frame.
        weight: Of the bigram's log-probabilities; 0 for none.
        insertion: Added for each phone (nats).
    """

    def __init__(self, width: int = 16, weight: float = 0.5, insertion: float = 0.0) -> None:
        if width < 1 or weight < 0:
            raise ValueError(f"width must be at least 1 and weight not negative, got {width} and {weight}")
        self.width = width
        self.weight = weight
        self.insertion = insertion

    def decode(self, scores: NDArray[np.floating], bigram: Bigram, blank: int | None) -> list[Segment]:
        """As `Decoder`.

        Raises:
            ValueError: There is no blank.
        """
        if blank is None:
            raise ValueError("PrefixBeam decodes nets with a blank: take Viterbi or BestPath, or set blank to true")
        phones = prefix_beam(scores, blank, self.width, bigram if self.weight else None, self.weight, self.insertion)
        if not phones:
            return []
        aligned = align(scores, between_blanks(phones, blank))
        return [item.segment for item in aligned if item.segment.phone != blank]


def between_blanks(phones: list[int], blank: int) -> list[Token]:
    """The tokens of CTC: blanks around phones, which may be left out unless they part equal ones."""
    tokens = [Token(blank, optional=True)]
    for phone, following in zip(phones, [*phones[1:], None], strict=False):
        tokens += [Token(phone), Token(blank, optional=phone != following)]
    return tokens
