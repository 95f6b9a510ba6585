"""Which clips train, which validate and which test: the same on every machine, and never two for one sentence."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from datamodules.records import SplitName
from lightning_wavenet.errors import CorpusError, RequestError


@dataclass(frozen=True)
class Split:
    """How clips are divided where the corpus itself does not say."""

    validation: float = 0.05
    """Fraction of the corpus, counted in sentences, clips or speakers, that is held out for validation, 0 to 1."""
    test: float = 0.05
    """Fraction of the corpus, counted in sentences, clips or speakers, that is held out for the test, 0 to 1."""
    seed: int = 0
    """Another seed makes another division."""
    by: Literal["sentence", "speaker"] = "sentence"
    """What is divided: clips (all of a sentence that several speakers read stay together), or speakers."""
    validation_speakers: list[str] | None = None
    """Speakers, such as [p225], that validate wherever the corpus itself puts them; with them go other readings of
    their sentences, unless speakers are divided."""
    test_speakers: list[str] | None = None
    """Speakers that test, likewise."""

    def __post_init__(self) -> None:
        if self.validation < 0 or self.test < 0 or self.validation + self.test >= 1:
            raise RequestError(
                f"split.validation ({self.validation}) and split.test ({self.test}) must not be negative, "
                "and must leave something to train on"
            )
        if both := sorted(set(self.validation_speakers or ()) & set(self.test_speakers or ())):
            raise RequestError(f"speaker {both[0]!r} cannot both validate and test")

    def named(self, speaker: str) -> SplitName | None:
        """Where a speaker goes who is named in the options."""
        if speaker in (self.validation_speakers or ()):
            return "validation"
        return "test" if speaker in (self.test_speakers or ()) else None


def divide(
    keys: Sequence[str], given: Sequence[SplitName | None], split: Split, speakers: Sequence[str] = ()
) -> list[SplitName]:
    """Put every clip into a split.

    Clips that the corpus has placed stay there, and draw those that share their key along. Of the others, those that
    share a key stay together: the distinct keys are ranked by a hash, the first go to validation, the next to the
    test, the rest train. A split that the corpus fills itself gets none of them.

    Args:
        keys: What must not be spread over splits, one a clip.
        given: The corpus's own choice, one a clip.
        split: The fractions, the seed, and whether speakers count instead of keys.
        speakers: Who speaks, one a clip; empty where the corpus does not say.

    Raises:
        CorpusError: There is too little to hold something out and still train.
        RequestError: A speaker is asked for whom the corpus does not have, or it names none.
    """
    speakers = speakers or [""] * len(keys)
    for name in (*(split.validation_speakers or ()), *(split.test_speakers or ())):
        if name not in speakers:
            raise RequestError(f"the corpus has no speaker {name!r} among its {len(set(speakers) - {''})}")
    if split.by == "speaker":
        if not all(speakers):
            raise RequestError("split.by is speaker, but the corpus does not say who speaks: set it to sentence")
        keys = speakers
    given = [split.named(speaker) or own for speaker, own in zip(speakers, given, strict=True)]
    chosen = {key: name for key, name in zip(keys, given, strict=True) if name is not None}
    undecided = set(keys) - set(chosen)
    ranked = sorted(undecided, key=lambda key: hashlib.sha256(f"{split.seed}:{key}".encode()).digest())
    held_out: list[SplitName] = []
    fractions: dict[SplitName, float] = {"validation": split.validation, "test": split.test}
    for name, fraction in fractions.items():
        if ranked and fraction > 0 and name not in given:
            held_out += [name] * max(1, round(fraction * len(ranked)))
    if len(held_out) >= len(ranked) and "train" not in given:
        raise CorpusError(
            f"{len(ranked):,} distinct sentences, clips or speakers are too few to hold out {len(held_out):,} and "
            "train on the rest; set split.validation or split.test to 0"
            if ranked
            else "the corpus itself holds out every clip, so that there is nothing to train on"
        )
    chosen |= zip(ranked, held_out, strict=False)
    return [name or chosen.get(key, "train") for key, name in zip(keys, given, strict=True)]
