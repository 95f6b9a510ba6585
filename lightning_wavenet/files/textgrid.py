"""Praat's TextGrid: tiers of intervals over a recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from praatio.textgrid import IntervalTier, Textgrid, openTextgrid

from lightning_wavenet.files.atomic import write_atomically

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
    write_atomically(path, lambda part: grid.save(str(part), "long_textgrid", includeBlankSpaces=True))


def read_tier(path: Path, name: str) -> list[Interval]:
    """The intervals of a tier in order, empty ones too; of the only tier, whatever its name.

    Raises:
        ValueError: The file is no TextGrid, or has no such tier.
    """
    try:
        grid = openTextgrid(str(path), includeEmptyIntervals=True)
    except Exception as error:  # praatio promises no kind of error for a file that it cannot read.
        raise ValueError(f"it is no TextGrid ({' '.join(str(error).split())})") from error
    names = [tier for tier in grid.tierNames if isinstance(grid.getTier(tier), IntervalTier)]
    found = name if name in names else names[0] if len(names) == 1 else None
    if found is None:
        raise ValueError(f"it has no tier {name!r}, but {', '.join(grid.tierNames) or 'none'}")
    return [(interval.start, interval.end, interval.label) for interval in grid.getTier(found).entries]
