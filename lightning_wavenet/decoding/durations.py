"""The best path through states that each last for some frames at least: what decoding and alignment share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lightning_wavenet.decoding.best_path import Segment

Floats = NDArray[np.float64]
Enter = Callable[[Floats], tuple[Floats, NDArray[np.int64]]]


def best_division(
    scores: NDArray[np.floating], start: Floats, enter: Enter, end: Floats, shortest: int
) -> list[Segment]:
    """The division of all frames among states with the highest sum of scores.

    Args:
        scores: `[N, S]`: of every state at every frame, N >= shortest.
        start: `[S]`: added where a path begins in a state; -inf where it cannot.
        enter: From what the best paths come to that leave each state `[S]`: what the best way into each state comes to
            `[S]`, and from which state it is `[S]`.
        end: `[S]`: added where a path ends in a state.
        shortest: Frames that a state lasts at least.

    Returns:
        Segments whose phones are states.
    """
    frames, states = scores.shape
    # What the best path that ends at a frame comes to, by its state and by how many frames that has lasted, less one.
    best = np.full((states, shortest), -np.inf)
    before = np.zeros((frames, states), np.int64)
    """The state before one that begins at a frame."""
    continues = np.zeros((frames, states), np.bool_)
    """Whether a state that may end at a frame has been so long that it might have ended before."""
    for frame in range(frames):
        begin = start
        if frame > 0:
            begin, before[frame] = enter(best[:, -1])
        lasting = np.concatenate([begin[:, None], best[:, :-1]], axis=1)
        continues[frame] = best[:, -1] > lasting[:, -1]
        lasting[:, -1] = np.maximum(lasting[:, -1], best[:, -1])
        best = lasting + scores[frame][:, None]
    state = int((best[:, -1] + end).argmax())
    segments: list[Segment] = []
    stop = frames
    while stop > 0:
        last = stop - 1
        while continues[last, state]:
            last -= 1
        first = last - shortest + 1
        segments.append(Segment(state, first, stop))
        state, stop = int(before[first, state]), first
    return segments[::-1]
