"""The likeliest sequence of phones under a bigram model, each of which lasts for some frames at least."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lightning_wavenet.decoding.best_path import Segment
from lightning_wavenet.decoding.bigram import Bigram


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
    frames, phones = scores.shape
    if frames < shortest:
        return []
    follow = weight * bigram.follow + insertion
    # What the best path that ends at a frame comes to, by its phone and by how many frames that has lasted, less one.
    best = np.full((phones, shortest), -np.inf)
    before = np.zeros((frames, phones), np.int64)
    """The phone before one that begins at a frame."""
    goes_on = np.zeros((frames, phones), np.bool_)
    """Whether a phone that may end at a frame has been so long that it might have ended before."""
    for frame in range(frames):
        if frame == 0:
            begin = weight * bigram.start + insertion
        else:
            ways = best[:, -1, None] + follow
            before[frame] = ways.argmax(axis=0)
            begin = ways.max(axis=0)
        lasting = np.concatenate([begin[:, None], best[:, :-1]], axis=1)
        goes_on[frame] = best[:, -1] > lasting[:, -1]
        lasting[:, -1] = np.maximum(lasting[:, -1], best[:, -1])
        best = lasting + scores[frame][:, None]
    phone = int((best[:, -1] + weight * bigram.end).argmax())
    segments: list[Segment] = []
    end = frames
    while end > 0:
        last = end - 1
        while goes_on[last, phone]:
            last -= 1
        start = last - shortest + 1
        segments.append(Segment(phone, start, end))
        phone, end = int(before[start, phone]), start
    return segments[::-1]
