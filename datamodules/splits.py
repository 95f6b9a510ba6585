"""Which clips train, which validate and which test: the same on every machine, and never two for one sentence."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from datamodules.records import SplitName
from lightning_wavenet.errors import CorpusError, RequestError


@dataclass(frozen=True)
class Split:
    """How clips are divided where the corpus itself does not say."""

    validation: float = 0.05
    """Fraction of the corpus, counted in sentences or clips, that is held out for validation, 0 to 1."""
    test: float = 0.05
    """Fraction of the corpus, counted in sentences or clips, that is held out for the test, 0 to 1."""
    seed: int = 0
    """Another seed makes another division."""

    def __post_init__(self) -> None:
        if self.validation < 0 or self.test < 0 or self.validation + self.test >= 1:
            raise RequestError(
                f"split.validation ({self.validation}) and split.test ({self.test}) must not be negative, "
                "and must leave something to train on"
            )


def divide(keys: Sequence[str], given: Sequence[SplitName | None], split: Split) -> list[SplitName]:
    """Put every clip into a split.

    Clips that the corpus has placed stay there, and draw those that share their key along. Of the others, those that
    share a key stay together: the distinct keys are ranked by a hash, the first go to validation, the next to the
    test, the rest train. A split that the corpus fills itself gets none of them.

    Args:
        keys: What must not be spread over splits, one a clip.
        given: The corpus's own choice, one a clip.
        split: The fractions and the seed.

    Raises:
        CorpusError: There is too little to hold something out and still train.
    """
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
            f"{len(ranked):,} distinct sentences or clips are too few to hold out {len(held_out):,} and train on the "
            "rest; set split.validation or split.test to 0"
            if ranked
            else "the corpus itself holds out every clip, so that there is nothing to train on"
        )
    chosen |= zip(ranked, held_out, strict=False)
    return [name or chosen.get(key, "train") for key, name in zip(keys, given, strict=True)]
