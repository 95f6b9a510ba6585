"""Who is given what, and in which order: a Latin square for MOS, balanced sides for pairs, trials that check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil
from typing import Literal, NamedTuple

import numpy as np

from lightning_wavenet.errors import RequestError

Kind = Literal["mos", "preference"]
Role = Literal["calibration", "rated", "gold", "repeat"]

NATURAL = "natural"
BAD, POOR = "mnru-0", "mnru-15"
"""Speech in noise that follows it, at 0 and 15 dB (ITU-T P.810): about what a 1, and a 2 or 3, sound like."""


@dataclass
class Design:
    """How often each stimulus is rated, and what a listener is given."""

    ratings: int = 8
    """Ratings of each stimulus, or of each pair; the paper has 8."""
    trials: int = 20
    """Trials a listener that are rated and count, at most. No listener is given a sentence twice in them."""
    gold: int = 2
    """Trials a listener whose answer is known; who misses one is left out."""
    repeats: int = 1
    """Trials a listener that come a second time; they tell how steady an answer is."""
    calibration: int = 3
    """Examples that come first and do not count."""

    def __post_init__(self) -> None:
        if min(self.ratings, self.trials) < 1 or min(self.gold, self.repeats, self.calibration) < 0:
            raise RequestError("design.ratings and design.trials must be positive, the others not negative")
        if self.repeats > self.trials // 2:
            raise RequestError(f"design.repeats is {self.repeats}: at most half of the {self.trials} trials can repeat")


class Stimulus(NamedTuple):
    """A sentence by a system."""

    system: str
    sentence: str


class Trial(NamedTuple):
    """What a listener answers once.

    Attributes:
        role: What it is there for; only what is rated counts.
        heard: One stimulus, or the left and the right one.
        expected: Answers that pass a gold trial.
        original: Place in the form of the trial that a repeated one repeats.
    """

    role: Role
    heard: tuple[Stimulus, ...]
    expected: tuple[str, ...] = ()
    original: int | None = None


Form = list[Trial]
"""All trials of a listener, in order."""


def assign(
    kind: Kind, systems: Sequence[str], sentences: Sequence[str], design: Design, seed: int, clean: str
) -> list[Form]:
    """The forms of a study, each for one listener: together they rate every stimulus equally often.

    In one round every stimulus is rated once. The sentences are divided in blocks, each for as many listeners as there
    are systems (or pairs), and listener g of a block is given its sentence i by system i + g, counted in a circle.

    Args:
        kind: Single stimuli, or all pairs of systems.
        systems: At least two names for pairs.
        sentences: Ids.
        design: How often.
        seed: Decides every order.
        clean: The system whose speech gold trials and examples are made of.

    Raises:
        RequestError: There are no pairs.
    """
    if kind == "preference" and len(systems) < 2:
        raise RequestError("preferences are between systems: name two or more")
    draws = np.random.default_rng(seed)
    given = list(combinations(systems, 2)) if kind == "preference" else [(system,) for system in systems]
    blocks = ceil(len(sentences) / design.trials)
    first_left = draws.integers(0, 2, (len(given), len(sentences)))
    forms: list[Form] = []
    for round in range(design.ratings):
        order = draws.permutation(len(sentences))
        in_turn = draws.permutation(len(given))
        for block in np.array_split(order, blocks):
            for listener in range(len(given)):
                trials = []
                for place, sentence in enumerate(block):
                    which = int(in_turn[(place + listener) % len(given)])
                    turned = (first_left[which, sentence] + round) % 2
                    names = given[which][::-1] if turned else given[which]
                    trials.append(Trial("rated", tuple(Stimulus(name, sentences[sentence]) for name in names)))
                forms.append(_complete(kind, trials, sentences, design, draws, clean, len(forms)))
    return forms


def _complete(
    kind: Kind,
    rated: list[Trial],
    sentences: Sequence[str],
    design: Design,
    draws: np.random.Generator,
    clean: str,
    number: int,
) -> Form:
    """A listener's trials in random order, with those that check, and the examples before them."""
    form: Form = [rated[place] for place in draws.permutation(len(rated))]
    # Sentences of others first, so that checks are new to the listener where that is possible.
    own = {stimulus.sentence for trial in rated for stimulus in trial.heard}
    spare = sorted(sentences, key=lambda sentence: (sentence in own, draws.random()))
    texts = (spare[place % len(spare)] for place in range(design.gold + design.calibration))
    golds = [_gold(kind, next(texts), clean, place + number, bool(draws.integers(2))) for place in range(design.gold)]
    # A repetition comes half of the trials after its original or later.
    repeated = {int(place) for place in draws.permutation(max(1, len(form) // 2))[: design.repeats]}
    half = len(form) - len(form) // 2
    mixed: Form = list(form)
    for place in sorted(repeated):
        mixed.insert(
            min(len(mixed), place + half + int(draws.integers(1, half + 1))), form[place]._replace(role="repeat")
        )
    for gold in golds:
        mixed.insert(int(draws.integers(1, len(mixed) + 1)), gold)
    examples = list(_examples(kind, clean, texts, design.calibration))
    whole = [*examples, *mixed]
    place_of = {trial.heard: place for place, trial in enumerate(whole) if trial.role == "rated"}
    return [trial._replace(original=place_of[trial.heard]) if trial.role == "repeat" else trial for trial in whole]


def _gold(kind: Kind, sentence: str, clean: str, number: int, turned: bool) -> Trial:
    bad, good = Stimulus(BAD, sentence), Stimulus(clean, sentence)
    if kind == "preference":
        return Trial("gold", (good, bad) if turned else (bad, good), ("left",) if turned else ("right",))
    if number % 2 and clean == NATURAL:
        return Trial("gold", (good,), ("3", "4", "5"))
    return Trial("gold", (bad,), ("1", "2"))


def _examples(kind: Kind, clean: str, texts: Iterator[str], count: int) -> Iterator[Trial]:
    """From one end of the scale to the other."""
    levels = (clean, BAD, POOR)
    for place in range(count):
        sentence = next(texts)
        heard = [Stimulus(levels[place % 3], sentence)]
        if kind == "preference":
            heard.append(Stimulus(levels[(place + 1) % 3], sentence))
        yield Trial("calibration", tuple(heard))
