"""95 % intervals of mean opinion scores, and of differences between them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
DRAWS = 2_000
_SEED = 0

Codes = NDArray[np.int64]
Scores = NDArray[np.float64]


class Interval(NamedTuple):
    """A mean and half of its 95 % interval."""

    mean: float
    half: float
    """NaN where there are too few ratings to tell."""


def t_interval(scores: Scores) -> Interval:
    """Student's, of ratings that are independent of each other.

    Args:
        scores: `[R]`, at least one.
    """
    count = len(scores)
    return Interval(float(scores.mean()), _half(scores.var(ddof=1) / count, count - 1) if count > 1 else np.nan)


def crowdmos_interval(scores: Scores, listeners: Codes, sentences: Codes) -> Interval:
    """That of a model with random effects of listeners and of sentences (CrowdMOS, Ribeiro et al. 2011).

    A rating is mu + x of its sentence + y of its listener + noise, each with a variance of its own. These come from the
    variances among the ratings of one sentence, among those of one listener, and among all. t has the degrees of
    freedom of the fewer of listeners and sentences.

    Args:
        scores: `[R]`, of one system.
        listeners: Who gave each, int64 `[R]`.
        sentences: Of what, int64 `[R]`.
    """
    count, mean = len(scores), float(scores.mean())
    by_listener, by_sentence = np.bincount(listeners), np.bincount(sentences)
    fewer = int(min(np.count_nonzero(by_listener), np.count_nonzero(by_sentence)))
    if fewer < 2:
        return Interval(mean, np.nan)
    all_of_them = scores.var(ddof=1)
    same_sentence = _variance_within(scores, sentences, all_of_them)
    same_listener = _variance_within(scores, listeners, all_of_them)
    # How much of its variance an effect adds to that among all ratings.
    of_sentences = (count - (by_sentence**2).sum() / count) / (count - 1)
    of_listeners = (count - (by_listener**2).sum() / count) / (count - 1)
    noise = (of_sentences * same_listener + of_listeners * same_sentence - all_of_them) / (
        of_sentences + of_listeners - 1
    )
    noise = float(np.clip(noise, 0, min(same_sentence, same_listener)))
    variance = (
        (same_listener - noise) * (by_sentence**2).sum() / count**2
        + (same_sentence - noise) * (by_listener**2).sum() / count**2
        + noise / count
    )
    return Interval(mean, _half(variance, fewer - 1))


def clustered_interval(scores: Scores, listeners: Codes, sentences: Codes) -> Interval:
    """By bootstrap clustered on listeners and on sentences, which assumes nothing of how ratings come about.

    The variance of the mean is that over 2,000 seeded draws of whole listeners, and that over draws of whole sentences,
    less that of single ratings, which both contain (Cameron, Gelbach and Miller 2011).

    Args:
        scores: `[R]`, of one system.
        listeners: Who gave each, int64 `[R]`.
        sentences: Of what, int64 `[R]`.
    """
    mean = float(scores.mean())
    about_mean, draws = scores - mean, np.random.default_rng(_SEED)
    variances, sizes = [], []
    for codes in (listeners, sentences):
        groups, places = np.unique(codes, return_inverse=True)
        size = len(groups)
        if size < 2:
            return Interval(mean, np.nan)
        sums, counts = np.bincount(places, about_mean), np.bincount(places)
        drawn = draws.integers(size, size=(DRAWS, size))
        variances.append((sums[drawn].sum(1) / counts[drawn].sum(1)).var() * size / (size - 1))
        sizes.append(size)
    single = scores.var() / len(scores)
    return Interval(mean, _half(max(sum(variances) - single, *variances), min(sizes) - 1))


def difference(scores: Scores, second: NDArray[np.bool_], listeners: Codes, sentences: Codes) -> tuple[Interval, float]:
    """By how much the first system's mean is above the second's, and the two-sided p-value of no difference.

    Listeners and sentences that both systems share are paired: what they add to both cancels. The variance is that of
    `clustered_interval`, in closed form; t has the degrees of freedom of the fewer of listeners and sentences.

    Args:
        scores: `[R]`, of both.
        second: Which are the second's, bool `[R]`.
        listeners: Who gave each, int64 `[R]`.
        sentences: Of what, int64 `[R]`.
    """
    means = scores[~second].mean(), scores[second].mean()
    by = float(means[0] - means[1])
    # What each rating adds to the difference, about its mean.
    pull = np.where(second, -(scores - means[1]) / second.sum(), (scores - means[0]) / (~second).sum())
    # A listener with a sentence is in both clusters.
    clusters = (listeners, sentences, listeners * (sentences.max() + 1) + sentences)
    places = [np.unique(codes, return_inverse=True)[1] for codes in clusters]
    sizes = [int(place.max()) + 1 for place in places]
    fewer = min(sizes)
    if fewer < 2:
        return Interval(by, np.nan), np.nan
    of_listeners, of_sentences, of_both = (
        size / (size - 1) * (np.bincount(place, pull) ** 2).sum() for size, place in zip(sizes, places, strict=True)
    )
    variance = max(of_listeners + of_sentences - of_both, of_listeners, of_sentences)
    if variance == 0:
        return Interval(by, 0.0), 1.0 if by == 0 else 0.0
    p = 2 * stats.t.sf(abs(by) / variance**0.5, fewer - 1)
    return Interval(by, _half(variance, fewer - 1)), float(p)


def holm(p_values: list[float]) -> list[float]:
    """p-values of tests that are made together, adjusted by Holm's method; NaN stay, and count for none."""
    order = sorted((p, place) for place, p in enumerate(p_values) if not np.isnan(p))
    adjusted, highest = list(p_values), 0.0
    for rank, (p, place) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        adjusted[place] = highest
    return adjusted


def ratings_needed(deviation: float, by: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """How many independent ratings a system finds a difference of two means, 2 (z + z')^2 s^2 / d^2, rounded up.

    Args:
        deviation: s, standard deviation of a rating.
        by: d, the difference.
        power: With which probability it is found.
        alpha: With which a difference is found where there is none (two-sided).
    """
    z = stats.norm.isf(alpha / 2) + stats.norm.isf(1 - power)
    return int(np.ceil(2 * (z * deviation / by) ** 2))


def detectable(deviation: float, ratings: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """The difference of two means that so many ratings of each find, the inverse of `ratings_needed`."""
    z = stats.norm.isf(alpha / 2) + stats.norm.isf(1 - power)
    return float(z * deviation * (2 / ratings) ** 0.5)


def t_interval_of(deviation: float, ratings: int) -> float:
    """Half of the interval of `t_interval` that so many ratings will have."""
    return _half(deviation**2 / ratings, ratings - 1) if ratings > 1 else np.nan


def _half(variance: float, freedom: int) -> float:
    return float(stats.t.isf((1 - CONFIDENCE) / 2, freedom) * variance**0.5)


def _variance_within(scores: Scores, groups: Codes, otherwise: float) -> float:
    """Pooled variance about the means of groups; `otherwise` where none has two ratings."""
    sizes = np.bincount(groups)
    freedom = len(scores) - np.count_nonzero(sizes)
    if freedom == 0:
        return otherwise
    means = np.bincount(groups, scores) / np.maximum(sizes, 1)
    return float(((scores - means[groups]) ** 2).sum() / freedom)
