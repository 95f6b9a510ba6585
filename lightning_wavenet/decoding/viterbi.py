"""The likeliest sequence of phones under a bigram model, each of which lasts for some frames at least."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lightning_wavenet.decoding.best_path import Segment
from lightning_wavenet.decoding.bigram import Bigram
from lightning_wavenet.decoding.durations import Floats, best_division


def viterbi(
    scores: NDArray[np.floating],
    bigram: Bigram,
    weight: float = 1.0,
    insertion: float = 0.0,
    shortest: int = 3,
) -> list[Segment]:
    """The sequence of phones, and their frames, with the highest sum of scores.

    A phone's score is added for every frame of it, and once for each phone weight * log P(phone | phone before) +
    insertion; weight * log P(end) at the end.

    Args:
        scores: `[N, P]`: log-likelihoods of frames, or posteriors divided by priors.
        bigram: Of the P phones.
        weight: Of the bigram's log-probabilities.
        insertion: Added for each phone; below 0 there will be fewer.
        shortest: Frames that a phone lasts at least.

    Returns:
        Segments that cover all N frames; none where there are fewer than `shortest`.
    """
    if len(scores) < shortest:
        return []
    follow = weight * bigram.follow + insertion

    def enter(ended: Floats) -> tuple[Floats, NDArray[np.int64]]:
        ways = ended[:, None] + follow
        return ways.max(axis=0), ways.argmax(axis=0)

    return best_division(scores, weight * bigram.start + insertion, enter, weight * bigram.end, shortest)
