"""What a model must remember of its corpus to be of use without it: names, rate and frame settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lightning_wavenet.errors import RequestError


@dataclass(frozen=True)
class Vocabulary:
    """Names behind the indices of a `Batch`, and the rates of its axes. Travels in every checkpoint.

    Attributes:
        sample_rate: Samples a second of the waveform (Hz).
        speakers: Speaker names in the order of `Batch.speaker`; empty where the corpus names none.
        labels: Class names in the order of `Batch.label`; empty where the corpus has no classes.
        tags: Tag names in the order of `Batch.tags`.
        phones: Phone names in the order of `Batch.phones`.
        hop: Samples a conditioning frame, or None where the corpus gives no frames.
    """

    sample_rate: int
    speakers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    hop: int | None = None

    def speaker_index(self, name: str) -> int:
        """Index of a speaker.

        Raises:
            RequestError: The corpus has no such speaker; the message lists those that it has.
        """
        if name in self.speakers:
            return self.speakers.index(name)
        if not self.speakers:
            raise RequestError(f"speaker {name!r} was asked for, but this model knows no speakers")
        known = ", ".join(self.speakers[:20]) + (", ..." if len(self.speakers) > 20 else "")
        raise RequestError(f"unknown speaker {name!r}; this model knows {len(self.speakers)}: {known}")

    def to_plain(self) -> dict[str, Any]:
        """Lists, numbers and strings only, so that a checkpoint holds no pickled class of this project."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Vocabulary:
        """The inverse of `to_plain`."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()
        }
        return cls(**values)
