"""The likeliest phone of every frame, and the segments that these make."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Segment(NamedTuple):
    """A stretch of frames with one phone."""

    phone: int
    start: int
    """First frame."""
    end: int
    """One past the last frame."""


def best_path(scores: NDArray[np.floating]) -> list[Segment]:
    """The likeliest phone of every frame of `[N, P]`, equal neighbors as one segment."""
    return collapse(scores.argmax(axis=1).tolist())


def collapse(phones: Sequence[int]) -> list[Segment]:
    """Segments of equal neighbors, for a phone a frame."""
    segments, at = [], 0
    for phone, run in groupby(phones):
        length = len(list(run))
        segments.append(Segment(phone, at, at + length))
        at += length
    return segments
