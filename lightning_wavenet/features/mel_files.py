"""Mel frames from elsewhere, such as those of a text-to-speech front end: files, and whether they are of one's kind."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_wavenet.features.extractor import Unusable

FRAME_SUFFIXES = (".npy", ".pt")
"""The first of these that a clip has is taken."""

_SLACK = 3.0
"""Nepers (26 dB) by which frames may be louder than what was seen, or lower than the floor."""
_LOWEST_DECIBELS = -30.0
_WIDEST_NEPERS = 40.0
_ROUNDING = 1e-5
"""Below 0 of what was scaled from 0 on."""
_NEAR = 0.1


def read_mel(path: Path, bands: int) -> NDArray[np.float32]:
    """The frames of a file, `[bands, N]`.

    Args:
        path: A NumPy array or a tensor, `[bands, N]`, `[N, bands]` or either in a batch of one; `[bands, bands]` is
            taken for the former.
        bands: How many there are to be.

    Raises:
        Unusable: The file cannot be read, holds something else, or values that are infinite or NaN.
    """
    try:
        values = _read(path)
    except pickle.UnpicklingError as error:  # Whose message is a page of advice.
        raise Unusable("the file cannot be read", "it holds more than a tensor, or is damaged") from error
    except (OSError, EOFError, ValueError, TypeError, RuntimeError, MemoryError) as error:
        raise Unusable("the file cannot be read", " ".join(str(error).split())[:200] or type(error).__name__) from error
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    if values.ndim == 2 and values.shape[0] != bands and values.shape[1] == bands:
        values = values.T
    if values.ndim != 2 or values.shape[0] != bands or not values.shape[1]:
        raise Unusable(f"the file must hold [{bands}, N] numbers, {bands} bands as the features have", _shape(values))
    if not np.isfinite(values).all():
        raise Unusable("values are infinite or NaN")
    return values


def _read(path: Path) -> NDArray[np.float32]:
    if path.suffix.lower() == ".npy":
        values = np.load(path, allow_pickle=False)
    else:
        tensor = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(tensor, Tensor):
            raise ValueError(f"it holds a {type(tensor).__name__}, not a tensor")
        values = tensor.detach().numpy() if tensor.dtype != torch.bfloat16 else tensor.detach().float().numpy()
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
        raise ValueError(f"it holds {getattr(values, 'dtype', 'several arrays')}, not one array of floats")
    return np.ascontiguousarray(values, np.float32)


def _shape(values: NDArray[np.float32]) -> str:
    return f"it has {list(values.shape)}"


def must_be_logarithms(frames: NDArray[np.float32], lowest: float, highest: float, floor: float) -> None:
    """Refuses frames that cannot be natural logarithms of magnitudes, by their range.

    Args:
        frames: `[bands, N]`.
        lowest: Of such logarithms, where they are as they should be.
        highest: Of the same.
        floor: The smallest magnitude.

    Raises:
        Unusable: They are something else; the message says what they look like.
    """
    low, high = float(frames.min()), float(frames.max())
    if low >= -_ROUNDING:
        # Few magnitudes are loud.
        normalized = high <= 1 and float(np.median(frames)) > 0.1 * high
        found: str | None = "values normalized to 0 to 1" if normalized else "magnitudes without a logarithm"
    else:
        found = _another_kind(low, high, lowest, highest, math.log(floor))
    if found is not None:
        raise Unusable(
            f"values look like {found}; they must be natural logarithms of magnitudes",
            f"from {low:.4g} to {high:.4g}, where there should be {lowest:.1f} to {highest:.1f}",
        )


def _another_kind(low: float, high: float, lowest: float, highest: float, floor: float) -> str | None:
    """What a range that begins below 0 is that of; None for natural logarithms from `lowest` to `highest` or so."""
    if low < _LOWEST_DECIBELS or high - low > _WIDEST_NEPERS:
        return "dB"
    if low < floor - _SLACK:
        return "logarithms of power, or with a lower floor"
    if high > highest + _SLACK:
        return "logarithms of louder sound, or of other units"
    # Logarithms to base 10 are less by 2.3, and speech is not without its quiet bands.
    if low < lowest / math.log(10) - _NEAR:
        return None
    if low >= -1 - _NEAR and high <= 1 + _NEAR:
        return "values normalized to -1 to 1"
    if high > highest / math.log(10) + 0.5:
        return "values normalized to -4 to 4"
    return "log10"
