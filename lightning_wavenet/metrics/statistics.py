"""Means over clips with their intervals, and a test of differences in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

DRAWS = 5_000
_SEED = 0
_MOST_EXACT = 12
"""Pairs of which all 4,096 patterns of signs are counted."""


class Mean(NamedTuple):
    """A mean and its 95 % interval: percentiles of the means of 5,000 bootstrap draws over clips, seeded."""

    mean: float
    low: float | None
    """None of a single value."""
    high: float | None
    clips: int
    """How many there are."""


def weighted_mean(values: Sequence[float], weights: Sequence[float]) -> Mean:
    """The mean of values with weights, such as percentages with what they are of: that of all clips together.

    A clip is drawn with its value and its weight, so that clips are what varies and not, say, words.

    Args:
        values: One a clip, at least one.
        weights: Of each, more than 0.
    """
    weight, product = np.asarray(weights, np.float64), np.multiply(values, weights)
    count, mean = len(weight), float(product.sum() / weight.sum())
    if count < 2:
        return Mean(mean, None, None, count)
    drawn = np.random.default_rng(_SEED).multinomial(count, np.full(count, 1 / count), DRAWS)
    low, high = np.percentile((drawn @ product) / (drawn @ weight), [2.5, 97.5])
    return Mean(mean, float(low), float(high), count)


def sign_flip_p(differences: Sequence[float]) -> float:
    """How probable a mean so large or larger is where every difference may as well have the other sign (one-sided).

    Exact for up to 12 differences; by 5,000 seeded draws of signs for more, the observed one counted among them.

    Args:
        differences: Of pairs, at least one.
    """
    values = np.asarray(differences, np.float64)
    count, exact = len(values), len(values) <= _MOST_EXACT
    if exact:
        signs = 1 - 2 * (np.arange(2**count)[:, None] >> np.arange(count) & 1)
    else:
        signs = 1 - 2 * np.random.default_rng(_SEED).integers(0, 2, (DRAWS, count), np.int8)
    # Sums of the same numbers in another order are the same but for rounding.
    as_large = int((signs @ values >= values.sum() - 1e-9 * np.abs(values).sum()).sum())
    return as_large / len(signs) if exact else (1 + as_large) / (1 + DRAWS)
