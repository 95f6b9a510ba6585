"""Forced alignment: when each phone of a known sequence is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_wavenet.decoding.best_path import Segment


class Token(NamedTuple):
    """A phone of the sequence."""

    phone: int
    optional: bool = False
    """Whether it may be left out, as silences between words."""


class Aligned(NamedTuple):
    """The frames of a token."""

    token: int
    """Its place in the sequence."""
    segment: Segment
    score: float
    """Mean of its frames' scores."""


def align(scores: NDArray[np.floating], tokens: Sequence[Token], shortest: int = 1) -> list[Aligned]:
    """The division of all frames among the tokens, in their order, with the highest sum of scores.

    Args:
        scores: `[N, P]`: log-probabilities of phones.
        tokens: The sequence; of neighbours only one may be optional.
        shortest: Frames that a phone lasts at least.

    Returns:
        The tokens that are said.

    Raises:
        ValueError: There are too few frames for the tokens.
    """
    frames, count = len(scores), len(tokens)
    needed = shortest * sum(not token.optional for token in tokens)
    if frames < max(needed, 1) or not tokens:
        raise ValueError(f"{frames} frames are too few for {needed // shortest} phones of {shortest} frames at least")
    of_tokens = scores[:, [token.phone for token in tokens]]
    optional = np.array([token.optional for token in tokens])
    # As in `viterbi`, with the tokens in the place of the phones.
    best = np.full((count, shortest), -np.inf)
    skipped = np.zeros((frames, count), np.bool_)
    goes_on = np.zeros((frames, count), np.bool_)
    for frame in range(frames):
        begin = np.full(count, -np.inf)
        if frame == 0:
            begin[0] = 0
            if optional[0] and count > 1:
                begin[1] = 0
        else:
            ended = best[:, -1]
            begin[1:] = ended[:-1]
            over = np.full(count, -np.inf)
            over[2:] = np.where(optional[1:-1], ended[:-2], -np.inf)
            skipped[frame] = over > begin
            begin = np.maximum(begin, over)
        lasting = np.concatenate([begin[:, None], best[:, :-1]], axis=1)
        goes_on[frame] = best[:, -1] > lasting[:, -1]
        lasting[:, -1] = np.maximum(lasting[:, -1], best[:, -1])
        best = lasting + of_tokens[frame][:, None]
    token = count - 1
    if optional[-1] and count > 1 and best[-2, -1] > best[-1, -1]:
        token = count - 2
    found: list[Aligned] = []
    end = frames
    while end > 0:
        last = end - 1
        while goes_on[last, token]:
            last -= 1
        start = last - shortest + 1
        segment = Segment(tokens[token].phone, start, end)
        found.append(Aligned(token, segment, float(of_tokens[start:end, token].mean())))
        token, end = token - (2 if skipped[start, token] else 1), start
    return found[::-1]
