"""Praat's TextGrid: tiers of intervals over a recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from praatio.textgrid import IntervalTier, Textgrid

from lightning_wavenet.files import write_whole

Interval = tuple[float, float, str]
"""Start (s), end (s), label."""


def write_textgrid(path: Path, seconds: float, tiers: Mapping[str, Sequence[Interval]]) -> None:
    """Writes a TextGrid in Praat's long form; what no interval covers becomes an empty one.

    Args:
        path: The file.
        seconds: Duration of the recording (s).
        tiers: Intervals in order and without overlap, under the name of their tier.
    """
    grid = Textgrid(0, seconds)
    for name, intervals in tiers.items():
        within = [(max(start, 0.0), min(end, seconds), label) for start, end, label in intervals]
        grid.addTier(IntervalTier(name, [part for part in within if part[0] < part[1]], 0, seconds))
    write_whole(path, lambda part: grid.save(str(part), "long_textgrid", includeBlankSpaces=True))
