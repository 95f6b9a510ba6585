"""Which phone follows which: a bigram language model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Bigram:
    """Log-probabilities of a phone after another, at the beginning, and of the end.

    Attributes:
        start: `[P]`: of the first phone.
        follow: `[P, P]`: of the phone of the column after that of the row.
        end: `[P]`: of nothing more after a phone.
    """

    start: NDArray[np.float64]
    follow: NDArray[np.float64]
    end: NDArray[np.float64]

    @classmethod
    def estimate(cls, utterances: Iterable[Sequence[int]], phones: int) -> Bigram:
        """Counted in utterances, interpolated with single phones after Witten and Bell (1991).

        With c(a) tokens of T(a) types after a, P(b | a) = (c(a b) + T(a) P(b)) / (c(a) + T(a)). Single phones have one
        added to their counts, so that everything is possible.

        Args:
            utterances: Indices of phones.
            phones: P.
        """
        # The last row stands for the beginning, the last column for the end.
        counts = np.zeros((phones + 1, phones + 1))
        for utterance in utterances:
            path = [phones, *utterance, phones]
            np.add.at(counts, (path[:-1], path[1:]), 1)
        single = (counts.sum(axis=0) + 1) / (counts.sum() + phones + 1)
        types = np.maximum((counts > 0).sum(axis=1, keepdims=True), 1)
        log = np.log((counts + types * single) / (counts.sum(axis=1, keepdims=True) + types))
        return cls(log[-1, :-1], log[:-1, :-1], log[:-1, -1])
