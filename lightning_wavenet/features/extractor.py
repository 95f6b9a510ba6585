"""The interface of features: computed once a clip, kept, and cut into frames where a crop needs them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_wavenet.text.phones import Phone


class Utterance(NamedTuple):
    """A clip, as an extractor sees it."""

    waveform: NDArray[np.float32]
    """`[T]` in [-1, 1]."""
    sample_rate: int
    """In Hz."""
    phones: Sequence[Phone]
    """What is said when, in samples; empty where the corpus does not say, or the extractor does not read it."""
    text: str
    """What is said; empty likewise."""


class Extractor(ABC):
    """Makes the conditioning frames of clips; frame i stands at samples i * hop to (i + 1) * hop - 1.

    `extract` runs once a clip, and what it gives is kept on disk under the extractor's name, options and version.
    Where frames are many and expand from little, such as those of phones from their durations, `extract` gives the
    little and `expand` the frames of a crop.

    Constructor arguments are the options. They are kept as attributes of the same names.

    Attributes:
        name: Short name, part of the names of files.
        version: To be raised whenever `extract` gives other values for the same clip and options.
        reads: What it reads beside the audio: "phones", "text".
        hop: Samples a frame.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    reads: ClassVar[frozenset[str]] = frozenset()
    hop: int

    @property
    @abstractmethod
    def channels(self) -> int:
        """F: channels of a frame."""

    @abstractmethod
    def extract(self, utterance: Utterance) -> NDArray[np.float32]:
        """What is kept of a clip, `[K, M]`: its frames `[F, ceil(T / hop)]`, or what they expand from."""

    def expand(self, kept: NDArray[np.float32], first: int, stop: int) -> NDArray[np.float32]:
        """Frames first to stop - 1 of a clip, `[F, at most stop - first]`, from what is kept of it."""
        return kept[:, first:stop]
