"""Forced alignment: when each phone of a known sequence is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_wavenet.decoding.best_path import Segment
from lightning_wavenet.decoding.durations import Floats, best_division


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
        tokens: The sequence; of neighbors only one may be optional.
        shortest: Frames that a phone lasts at least.

    Returns:
        The tokens that are said.

    Raises:
        ValueError: There are too few frames for the tokens.
    """
    frames, count = len(scores), len(tokens)
    needed = shortest * sum(not token.optional for token in tokens)
    if frames < max(needed, shortest) or not tokens:
        raise ValueError(f"{frames} frames are too few for {needed // shortest} phones of {shortest} frames at least")
    of_tokens = scores[:, [token.phone for token in tokens]]
    optional = np.array([token.optional for token in tokens])
    places = np.arange(count)
    start, end = (np.full(count, -np.inf) for _ in range(2))
    start[: 1 + bool(optional[0])] = 0
    end[count - 1 - bool(optional[-1]) :] = 0

    def enter(ended: Floats) -> tuple[Floats, NDArray[np.int64]]:
        begin, over = (np.full(count, -np.inf) for _ in range(2))
        begin[1:] = ended[:-1]
        over[2:] = np.where(optional[1:-1], ended[:-2], -np.inf)
        return np.maximum(begin, over), np.where(over > begin, places - 2, places - 1)

    return [
        Aligned(token, Segment(tokens[token].phone, first, stop), float(of_tokens[first:stop, token].mean()))
        for token, first, stop in best_division(of_tokens, start, enter, end, shortest)
    ]
