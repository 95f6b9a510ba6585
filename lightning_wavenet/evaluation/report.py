"""A folder of clips, evaluated: every clip's figures, and their means beside those of the recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from lightning_wavenet.errors import RequestError
from lightning_wavenet.evaluation.clips import GivenClip, next_sentence
from lightning_wavenet.evaluation.figures import TITLES, Case, Measure, Sound, Values
from lightning_wavenet.metrics.statistics import Mean, sign_flip_p, weighted_mean

COLUMNS = ("clips", "mu-law", "natural")
"""What is judged: the clips, their recordings after 8 bits of mu-law, and the recordings themselves."""
_KEPT = 16
"""Recordings that are held at a time: each is a clip's own, and that of another sentence for the one before it."""


@dataclass
class Evaluated:
    """A clip and its figures.

    Attributes:
        clip: The clip.
        values: Under each of `COLUMNS` that there is.
        recognized: What a recognizer understood, likewise.
        left_out: Reasons of figures that could not be computed, after the name of the measure.
    """

    clip: GivenClip
    values: dict[str, Values] = field(default_factory=dict)
    recognized: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        recording = self.clip.recording
        figures = {
            column: {name: value.value for name, value in values.items()} for column, values in self.values.items()
        }
        return {
            "clip": self.clip.name,
            "recording": None if recording is None else str(recording),
            "text": self.clip.text,
            "figures": figures,
            "recognized": self.recognized,
            "left_out": self.left_out,
        }


def evaluate(clips: Sequence[GivenClip], measures: Mapping[str, Measure]) -> Iterator[Evaluated]:
    """The figures of clips, one after another.

    Args:
        clips: All that there are; each is compared with the next one's sentence too.
        measures: What to compute of each, by name, such as `figures.MEASURES`.

    Raises:
        RequestError: A file cannot be read.
    """
    # The recording of a sentence is met again as the other one of the clip before it, and with further clips of it.
    read = lru_cache(_KEPT)(Sound.read)
    for place, clip in enumerate(clips):
        sound = Sound.read(clip.path)
        reference = None if clip.recording is None else read(clip.recording, sound.rate)
        path, other_text = next_sentence(clips, place)
        other = None if path is None else read(path, sound.rate)
        cases = {"clips": Case(sound, reference, other, clip.text, other_text, clip.rtf)}
        if reference is not None:
            cases["mu-law"] = Case(reference.coded, reference, other, clip.text, other_text)
            cases["natural"] = Case(reference, None, other, clip.text, other_text)
        found = Evaluated(clip)
        for column, case in cases.items():
            found.values[column] = {}
            for name, measure in measures.items():
                try:
                    found.values[column] |= measure(case)
                except RequestError as error:
                    reason = f"{name}: {error}"
                    if reason not in found.left_out:
                        found.left_out.append(reason)
            if any(name.startswith("words_") for name in found.values[column]):
                found.recognized[column] = " ".join(case.sound.words)
        yield found


class Follows(NamedTuple):
    """Whether clips are nearer to the recordings of their own sentences than to those of others."""

    nearer: int
    """Clips that are."""
    clips: int
    by_db: float
    """How much nearer, in the mean."""
    p: float
    """As `sign_flip_p`."""


@dataclass(frozen=True)
class Report:
    """Clips that were evaluated.

    Attributes:
        clips: Each.
    """

    clips: Sequence[Evaluated]

    def means(self) -> dict[str, dict[str, Mean]]:
        """Of every figure under its name, by column."""
        found: dict[str, dict[str, Mean]] = {}
        for name in TITLES:
            for column in COLUMNS:
                values = [one.values[column][name] for one in self.clips if name in one.values.get(column, {})]
                if values:
                    found.setdefault(name, {})[column] = weighted_mean(*zip(*values, strict=True))
        return found

    def follows(self) -> Follows | None:
        """Of clips with recordings of both sentences; None where there are none."""
        both = [
            one.values["clips"] for one in self.clips if one.values["clips"].keys() >= {"mcd_db", "mcd_of_other_db"}
        ]
        if not both:
            return None
        nearer = [values["mcd_of_other_db"].value - values["mcd_db"].value for values in both]
        mean = sum(nearer) / len(nearer)
        return Follows(sum(one > 0 for one in nearer), len(nearer), mean, sign_flip_p(nearer))

    def left_out(self) -> Mapping[str, int]:
        """Reasons of figures that could not be computed, and of how many clips."""
        return Counter(reason for one in self.clips for reason in one.left_out)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        follows = self.follows()
        return {
            "interval": Mean.__doc__,
            "means": {
                name: {column: mean._asdict() for column, mean in means.items()} for name, means in self.means().items()
            },
            "follows_sentence": None if follows is None else follows._asdict(),
            "left_out": dict(self.left_out()),
            "clips": [one.plain() for one in self.clips],
        }
