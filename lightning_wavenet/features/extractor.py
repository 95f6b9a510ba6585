"""The interface of features: computed once a clip, kept, and cut into frames where a crop needs them."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from lightning_wavenet.data import blueprint
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
    labels: Sequence[str] = ()
    """A full-context label for each of the phones; empty likewise."""
    lexicon: Path | None = None
    """The user's pronunciations of words of the text."""
    frames: Path | None = None
    """A file of frames that were made elsewhere, for an extractor that takes some in place of its own."""


class Kept(NamedTuple):
    """What `Extractor.extract` gave for a clip, and whose it is."""

    frames: NDArray[np.float32]
    """`[K, M]`."""
    speaker: str
    """Empty where the corpus does not say."""
    trained_on: bool
    """Whether the clip is in the training split."""


class Unusable(ValueError):
    """A clip of which no frames can be made; the corpus lists it and leaves it out.

    Attributes:
        reason: Why, and what to do; in one line without a period, equal for equal causes.
        place: Where in the clip.
    """

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(f"{reason} ({place})" if place else reason)
        self.reason = reason
        self.place = place


class Extractor(ABC):
    """Makes the conditioning frames of clips; frame i stands at samples i * hop to (i + 1) * hop - 1.

    `extract` runs once a clip, and what it gives is kept on disk under the extractor's name, options and version.
    Where frames are many and expand from little, such as those of phones from their durations, `extract` gives the
    little and `expand` the frames of a crop. What of a corpus as a whole the frames depend on, such as the pitch of a
    speaker, `fit` learns from what was extracted; it travels in the vocabulary of every model (`describe`), and a
    corpus that serves a model takes over the model's (`adopt`).

    Constructor arguments are the options. They are kept as attributes of the same names.

    Attributes:
        name: Short name, part of the names of files.
        version: To be raised whenever `extract` gives other values for the same clip and options.
        reads: What it reads beside the audio: "phones", "text", "labels".
        takes_frames: Whether it takes frames that were made elsewhere (`Utterance.frames`).
        fitted: Attributes that `fit` sets, in plain values; `extract` does not depend on them.
        hop: Samples a frame.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    reads: ClassVar[frozenset[str]] = frozenset()
    takes_frames: ClassVar[bool] = False
    fitted: ClassVar[tuple[str, ...]] = ()
    hop: int

    @property
    @abstractmethod
    def channels(self) -> int:
        """F: channels of a frame."""

    @property
    def channel_names(self) -> Sequence[str]:
        """What each channel is, F of them."""
        return [f"{self.name} {number}" for number in range(self.channels)]

    @abstractmethod
    def extract(self, utterance: Utterance) -> NDArray[np.float32]:
        """What is kept of a clip, `[K, M]`: its frames `[F, ceil(T / hop)]`, or what they expand from.

        Raises:
            Unusable: There is something wrong with the clip.
        """

    def fit(self, clips: Iterable[Kept]) -> Self:
        """The extractor with what of a corpus as a whole its frames depend on; here nothing."""
        return self

    def adopt(self, fitted: Mapping[str, Any]) -> Self:
        """The extractor with what a model was trained with in place of what it has fitted itself.

        Raises:
            RequestError: That lacks something which this corpus has.
        """
        return self.with_fitted(**fitted)

    def expand(self, kept: NDArray[np.float32], first: int, stop: int, speaker: str = "") -> NDArray[np.float32]:
        """Frames first to stop - 1 of a clip, `[F, at most stop - first]`, from what is kept of it.

        Args:
            kept: What `extract` gave.
            first: Not negative.
            stop: May be beyond the clip.
            speaker: Who speaks; empty where that is not known.
        """
        return kept[:, first:stop]

    def with_fitted(self, **fitted: Any) -> Self:
        """A copy with other values of what `fit` sets."""
        other = copy.copy(self)
        for name, value in fitted.items():
            setattr(other, name, value)
        return other

    def describe(self) -> dict[str, Any]:
        """All that there is to know to make the same frames, in plain values; `rebuild` is the inverse."""
        return blueprint.describe(self) | {
            "name": self.name,
            "version": self.version,
            "channels": self.channels,
            "fitted": {name: getattr(self, name) for name in self.fitted},
        }


def rebuild(described: Mapping[str, Any]) -> Extractor:
    """The extractor that a vocabulary describes, with what was fitted.

    Raises:
        RequestError: This version does not have it.
    """
    extractor: Extractor = blueprint.build({name: described[name] for name in ("class_path", "init_args")})
    return extractor.with_fitted(**described["fitted"])
