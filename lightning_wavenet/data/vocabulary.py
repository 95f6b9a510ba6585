"""What a model must remember of its corpus to be of use without it: names, rate and frame settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from lightning_wavenet.errors import RequestError

_OF_FIELD: dict[str, tuple[str, ...]] = {
    "speaker": ("speakers",),
    "label": ("labels",),
    "tags": ("tags",),
    "phones": ("phones",),
    "transcript": ("phones",),
    "frames": ("hop", "frame_channels", "features"),
    "text": (),
}
"""The parts of a vocabulary that fields of a `Batch` are indices into, or are described by."""


def _unfitted(feature: Mapping[str, Any]) -> dict[str, Any]:
    return {part: value for part, value in feature.items() if part != "fitted"}


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
        frame_channels: F: channels of `Batch.frames`.
        features: What frames consist of: of each extractor class, options, name, channels, and what was fitted to the
            corpus.
        others: Names behind fields that a corpus defines itself, by the field's name.
    """

    sample_rate: int
    speakers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    hop: int | None = None
    frame_channels: int = 0
    features: tuple[dict[str, Any], ...] = ()
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def names_of(self, field: str) -> tuple[str, ...]:
        """The names behind a field of a batch; empty for one without names."""
        if field not in _OF_FIELD:
            return self.others.get(field, ())
        parts = [getattr(self, part) for part in _OF_FIELD[field][:1]]
        return parts[0] if parts and isinstance(parts[0], tuple) else ()

    def difference(self, other: Vocabulary, fields: Iterable[str]) -> str | None:
        """The first part in which two vocabularies differ, of those that some fields of a batch depend on."""
        parts = {part for name in fields for part in _OF_FIELD.get(name, (name,))}
        ours, theirs = self._comparable(self), self._comparable(other)
        for part in ("sample_rate", *sorted(parts)):
            mine, their = (plain[part] if part in plain else plain["others"].get(part) for plain in (ours, theirs))
            if mine != their:
                return part
        return None

    def _comparable(self, other: Vocabulary) -> dict[str, Any]:
        """A vocabulary in plain values, of whose features those count that this one has, without what was fitted.

        What was fitted need not be equal, for a corpus takes over the model's (`Request.features`).
        """
        plain = other.to_plain()
        names = [feature.get("name") for feature in self.features]
        features = {feature.get("name"): _unfitted(feature) for feature in other.features}
        plain["features"] = [features.get(name) for name in names]
        if names:
            plain["frame_channels"] = sum(feature["channels"] for feature in plain["features"] if feature)
        return plain

    def with_features(self, names: Sequence[str]) -> Vocabulary:
        """The vocabulary of a model whose frames consist of some of the features alone, in the order that is given.

        Raises:
            RequestError: The corpus does not have one of them.
        """
        known = {feature["name"]: feature for feature in self.features}
        if missing := [name for name in names if name not in known]:
            have = f"has {', '.join(known)}" if known else "has none"
            raise RequestError(f"the model asks for the feature {missing[0]}: add it to data.features, which {have}")
        chosen = tuple(known[name] for name in names)
        return replace(self, features=chosen, frame_channels=sum(feature["channels"] for feature in chosen))

    def with_fitted(self, other: Vocabulary) -> Vocabulary:
        """With what another vocabulary's features of the same names have fitted."""
        fitted = {feature.get("name"): feature for feature in other.features}
        return replace(self, features=tuple(fitted.get(feature.get("name"), feature) for feature in self.features))

    def must_match(self, other: Vocabulary, fields: Iterable[str], origin: str) -> None:
        """Refuses a vocabulary that differs from this one, a model's, in what some fields of a batch depend on.

        Args:
            other: The vocabulary.
            fields: Which the model uses.
            origin: Whose it is, for the message: "the corpus".

        Raises:
            RequestError: It does differ; the message says in what.
        """
        part = self.difference(other, fields)
        if part is None:
            return
        mine, theirs = (known.others.get(part, getattr(known, part, ())) for known in (self, other))
        if part == "features":
            raise RequestError(self._different_features(other, origin))
        if not isinstance(mine, tuple):
            raise RequestError(f"the model has {part} {mine}, but {origin} has {theirs}")
        only_mine, only_theirs = (
            ", ".join([name for name in one if name not in another][:10]) or "none"
            for one, another in ((mine, theirs), (theirs, mine))
        )
        raise RequestError(
            f"the model and {origin} have different {part} ({len(mine)} and {len(theirs)}): only the model has "
            f"{only_mine}, only {origin} {only_theirs}"
        )

    def _different_features(self, other: Vocabulary, origin: str) -> str:
        theirs = {feature.get("name"): _unfitted(feature) for feature in other.features}
        for feature in map(_unfitted, self.features):
            name = feature.get("name")
            if name not in theirs:
                have = ", ".join(map(str, theirs)) or "none"
                return (
                    f"the model is conditioned on the feature {name}, and {origin} has {have}: add it to data.features"
                )
            if feature != theirs[name]:
                mine, their = ({**one.pop("init_args", {}), **one} for one in (dict(feature), dict(theirs[name])))
                part = next(part for part in mine if mine[part] != their.get(part))
                return f"the model has the feature {name} with {part} {mine[part]}, but {origin} with {their.get(part)}"
        return f"the model has no features, but {origin} has {', '.join(map(str, theirs))}"

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

    def tag_index(self, name: str) -> int:
        """Index of a tag.

        Raises:
            RequestError: The corpus has no such tag; the message lists the nearest that it has.
        """
        if name in self.tags:
            return self.tags.index(name)
        near = get_close_matches(name, self.tags, n=5, cutoff=0.5) or self.tags[:20]
        more = ", ..." if len(near) < len(self.tags) else ""
        raise RequestError(f"unknown tag {name!r}; of {len(self.tags)} that this model knows: {', '.join(near)}{more}")

    def to_plain(self) -> dict[str, Any]:
        """Lists, dictionaries, numbers and strings only, so that a checkpoint holds no pickled class."""
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return plain | {"others": {name: list(names) for name, names in self.others.items()}}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Vocabulary:
        """The inverse of `to_plain`."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()
        }
        others = {name: tuple(names) for name, names in plain.get("others", {}).items()}
        return cls(**values | {"others": others})
