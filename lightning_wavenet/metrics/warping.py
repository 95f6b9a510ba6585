"""Dynamic time warping: which frames of one utterance are said at which of another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BOTH, _FIRST, _SECOND = 0, 1, 2
"""Steps into a pair of frames: in both utterances, or in one alone while the other stays."""


def warp(distances: NDArray[np.floating[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The cheapest way through two utterances from their first frames to their last, `[P]` frames of each.

    Each step is one frame further in one of them or in both, and costs the distance of the pair that it leads to; of
    steps that come equally cheap, the one in both.

    Args:
        distances: Of every frame of the first to every frame of the second, `[N, M]`, neither empty.
    """
    rows, columns = distances.shape
    steps = np.zeros((rows, columns), np.uint8)
    flat, flat_steps = np.ascontiguousarray(distances).reshape(-1), steps.reshape(-1)
    # Pairs whose places add up to the same depend only on the two diagonals before theirs, so a diagonal is one step
    # of NumPy. Totals stand at row + 1, with infinity where there is no pair.
    before, last = np.full(rows + 1, np.inf), np.full(rows + 1, np.inf)
    last[1] = flat[0]
    for diagonal in range(1, rows + columns - 1):
        low, high = max(0, diagonal - columns + 1), min(diagonal, rows - 1) + 1
        # From a pair to the next of its diagonal: one row down, one column back.
        along = slice(diagonal + low * (columns - 1), diagonal + (high - 1) * (columns - 1) + 1, max(1, columns - 1))
        ways = np.stack([before[low:high], last[low:high], last[low + 1 : high + 1]])
        chosen = ways.argmin(0)
        flat_steps[along] = chosen
        total = np.full(rows + 1, np.inf)
        total[low + 1 : high + 1] = np.take_along_axis(ways, chosen[None], 0)[0] + flat[along]
        before, last = last, total
    path = [(rows - 1, columns - 1)]
    while path[-1] != (0, 0):
        row, column = path[-1]
        step = steps[row, column]
        path.append((row - (step != _SECOND), column - (step != _FIRST)))
    first, second = np.array(path[::-1], np.int64).T
    return first, second
