"""What ratings come to: mean opinion scores with three kinds of interval, differences, and preferences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from lightning_wavenet.listening.intervals import (
    Interval,
    clustered_interval,
    crowdmos_interval,
    difference,
    holm,
    t_interval,
)


class Opinion(NamedTuple):
    """The ratings of a system."""

    system: str
    ratings: int
    listeners: int
    sentences: int
    deviation: float
    """Of a rating."""
    t: Interval
    crowdmos: Interval
    clustered: Interval


class Difference(NamedTuple):
    """The MOS of two systems."""

    first: str
    second: str
    by: Interval
    """How much the first is above the second."""
    p: float
    p_holm: float
    """Adjusted for all pairs."""


class Preference(NamedTuple):
    """Two systems, heard in pairs."""

    first: str
    second: str
    wins: int
    """Of the first."""
    losses: int
    none: int
    """No preference."""
    p: float
    """Of the exact two-sided sign test, without those of no preference."""
    p_holm: float
    """Adjusted for all pairs."""

    @property
    def ratings(self) -> int:
        """All there are."""
        return self.wins + self.losses + self.none


def opinions(scores: pd.DataFrame, systems: Sequence[str] | None = None) -> list[Opinion]:
    """The MOS of every system, with its intervals.

    Args:
        scores: With the columns listener, system, sentence and score.
        systems: Their order; None: the best first.
    """
    found = []
    for system, own in scores.groupby("system", sort=True):
        values = own.score.to_numpy(np.float64)
        listeners, who = pd.factorize(own.listener)
        sentences, what = pd.factorize(own.sentence)
        found.append(
            Opinion(
                str(system),
                len(values),
                len(who),
                len(what),
                float(values.std(ddof=1)) if len(values) > 1 else np.nan,
                t_interval(values),
                crowdmos_interval(values, listeners, sentences),
                clustered_interval(values, listeners, sentences),
            )
        )
    if systems is None:
        return sorted(found, key=lambda one: -one.t.mean)
    return sorted(found, key=lambda one: systems.index(one.system))


def differences(scores: pd.DataFrame, systems: Sequence[str]) -> list[Difference]:
    """Every pair of systems, with p-values adjusted for all of them.

    Args:
        scores: As of `opinions`.
        systems: In their order.
    """
    coded = pd.DataFrame(
        {
            "score": scores.score.to_numpy(np.float64),
            "listener": pd.factorize(scores.listener)[0],
            "sentence": pd.factorize(scores.sentence)[0],
        }
    )
    of_system = {str(system): own.to_numpy() for system, own in coded.groupby(scores.system.to_numpy())}
    found = []
    for first, second in combinations(systems, 2):
        one, other = of_system[first], of_system[second]
        values, listeners, sentences = np.concatenate([one, other]).T
        is_second = np.arange(len(values)) >= len(one)
        by, p = difference(values, is_second, listeners.astype(np.int64), sentences.astype(np.int64))
        found.append((first, second, by, p))
    adjusted = holm([p for *_, p in found])
    return [Difference(*one, p_holm) for one, p_holm in zip(found, adjusted, strict=True)]


def preferred(preferences: pd.DataFrame, systems: Sequence[str]) -> list[Preference]:
    """Wins, losses and p-values of every pair that was heard.

    Args:
        preferences: With the columns first, second and preferred, of which the last is "first", "second" or "none".
        systems: In their order.
    """
    found = []
    for first, second in combinations(systems, 2):
        own = preferences[(preferences["first"] == first) & (preferences["second"] == second)]
        counts = own.preferred.value_counts()
        wins, losses, none = (int(counts.get(name, 0)) for name in ("first", "second", "none"))
        if len(own):
            found.append((first, second, wins, losses, none, sign_test(wins, losses)))
    adjusted = holm([p for *_, p in found])
    return [Preference(*one, p_holm) for one, p_holm in zip(found, adjusted, strict=True)]


def sign_test(wins: int, losses: int) -> float:
    """The exact two-sided p-value of as many wins, were either outcome as likely; 1 of none.

    Args:
        wins: Of one.
        losses: Of the same.
    """
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
