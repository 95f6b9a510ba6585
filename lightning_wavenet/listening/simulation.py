"""Listeners made of random numbers, to rehearse a study and to test what its analysis claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightning_wavenet.listening.assignment import BAD, POOR
from lightning_wavenet.listening.ratings import Key


@dataclass(frozen=True)
class Population:
    """How ratings come about: a system's mean, and what listeners, sentences and chance add to it.

    Attributes:
        best: Mean of the first system.
        apart: How much lower each further one is.
        of_listeners: Deviation of what a listener adds to every rating.
        of_sentences: Deviation of what a sentence adds.
        noise: Deviation of the rest.
        without_headphones: Part of the listeners; the paper had 40 % of the ratings.
        careless: Part of them that answers at random.
    """

    best: float = 4.2
    apart: float = 0.5
    of_listeners: float = 0.4
    of_sentences: float = 0.3
    noise: float = 0.8
    without_headphones: float = 0.2
    careless: float = 0.05


def simulate(key: Key, seed: int, population: Population | None = None) -> list[dict[str, Any]]:
    """One listener a form, as the page writes their answers.

    Args:
        key: Of the study; its systems are the better the earlier they are named.
        seed: Of all draws.
        population: How they rate.
    """
    model = population or Population()
    draws = np.random.default_rng(seed)
    quality = {system: model.best - model.apart * place for place, system in enumerate(key.systems)}
    quality |= {BAD: 1.0, POOR: 2.5}
    sentences = sorted({sentence for _, sentence in key.stimuli.values()})
    of_sentence = dict(zip(sentences, model.of_sentences * draws.standard_normal(len(sentences)), strict=True))
    forms: dict[int, list[int]] = {}
    for form, trial in sorted(key.trials):
        forms.setdefault(form, []).append(trial)
    rows = []
    for form, trials in forms.items():
        shift = model.of_listeners * draws.standard_normal()
        careless, headphones = draws.random() < model.careless, draws.random() >= model.without_headphones
        for trial in trials:
            told = key.trials[form, trial]
            perceived = []
            for id in filter(None, (told["first"], told["second"])):
                system, sentence = key.stimuli[id]
                perceived.append(
                    quality[system] + shift + of_sentence[sentence] + model.noise * draws.standard_normal()
                )
            row = {"study": key.study, "listener": f"simulated-{form:04d}", "form": form, "trial": trial}
            row |= {"first": told["first"], "second": told["second"], "answer": _answer(perceived, careless, draws)}
            row |= {"seconds": 8.0, "headphones": "yes" if headphones else "no", "native": "yes"}
            rows.append(row | {"time": "2026-01-31T12:00:00.000Z"})
    return rows


def _answer(perceived: Sequence[float], careless: bool, draws: np.random.Generator) -> str:
    if len(perceived) == 1:
        return str(int(draws.integers(1, 6)) if careless else int(np.clip(round(perceived[0]), 1, 5)))
    if careless:
        return ("left", "right", "none")[draws.integers(3)]
    by = perceived[0] - perceived[1]
    return "none" if abs(by) < 0.4 else "left" if by > 0 else "right"
