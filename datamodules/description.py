"""What a corpus amounts to, in numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.clips import Clips
from datamodules.fields import Phones
from datamodules.records import SPLITS, Problem, SplitName


@dataclass(frozen=True)
class Amount:
    """How much audio there is."""

    clips: int
    hours: float


@dataclass(frozen=True)
class Spread:
    """How a quantity is distributed over clips."""

    low: float
    """5th percentile."""
    median: float
    high: float
    """95th percentile."""


@dataclass(frozen=True)
class Description:
    """A corpus in numbers, after decoding.

    Attributes:
        corpus: Short name of the corpus.
        sample_rate: Rate of the waveforms (Hz).
        total: All usable clips.
        splits: Amount in each split.
        speakers: Amount from each speaker; empty where the corpus names none.
        labels: Amount of each label; empty where the corpus has none.
        tags: Amount of the training split that each tag holds of, the commonest first; empty where there are none.
        seconds: Duration of a clip (seconds).
        peak: Largest magnitude in a clip (dB relative to full scale).
        rms: Root mean square of a clip (dB relative to full scale).
        skipped: Ids of what was skipped, under the reason, the commonest first.
        wordless: Ids of clips whose text has no word that can be pronounced: recognition leaves them out.
    """

    corpus: str
    sample_rate: int
    total: Amount
    splits: Mapping[SplitName, Amount]
    speakers: Mapping[str, Amount]
    labels: Mapping[str, Amount]
    tags: Mapping[str, Amount]
    seconds: Spread
    peak: Spread
    rms: Spread
    skipped: Mapping[str, tuple[str, ...]]
    wordless: tuple[str, ...]


def describe(corpus: str, clips: Clips, problems: Iterable[Problem]) -> Description:
    """Count and measure a corpus.

    Args:
        corpus: Its short name.
        clips: Its usable clips, divided.
        problems: What was skipped.
    """
    seconds = clips.lengths / clips.sample_rate
    hours = seconds / 3600

    def amount(chosen: NDArray[np.bool_]) -> Amount:
        return Amount(int(chosen.sum()), float(hours[chosen].sum()))

    splits = np.array(clips.splits)
    speakers, labels = (np.array(clips.values(name)) for name in ("speaker", "label"))
    return Description(
        corpus=corpus,
        sample_rate=clips.sample_rate,
        total=amount(np.ones(len(clips), np.bool_)),
        splits={name: amount(splits == name) for name in SPLITS},
        speakers={str(name): amount(speakers == name) for name in np.unique(speakers) if name},
        labels={str(name): amount(labels == name) for name in np.unique(labels) if name},
        tags={name: amount(having) for name, having in _having(clips, splits == "train")},
        seconds=_spread(seconds),
        peak=_spread(20 * np.log10(clips.peaks)),
        rms=_spread(20 * np.log10(clips.rms)),
        skipped=by_reason(problems),
        wordless=_wordless(clips),
    )


def for_programs(corpus: str, clips: Clips, problems: Iterable[Problem]) -> dict[str, Any]:
    """A corpus clip by clip, in plain values.

    Args:
        corpus: Its short name.
        clips: Its usable clips, divided.
        problems: What was skipped.

    Returns:
        `corpus`; `sample_rate` (Hz); `clips`, each with id, seconds, split, speaker, text (null where the corpus does
        not say), tags and phones with their start and end (s); `skipped`, each with id, reason and, where it is known,
        place; `wordless`, ids of clips whose text has no word that can be pronounced.
    """
    rate = clips.sample_rate
    return {
        "corpus": corpus,
        "sample_rate": rate,
        "clips": [
            {
                "id": id,
                "seconds": int(clips.lengths[clip]) / rate,
                "split": clips.splits[clip],
                "speaker": clips.value("speaker", clip) or None,
                "text": clips.value("text", clip) or None,
                "tags": clips.value("tags", clip),
                "phones": [
                    {"phone": phone.label, "start": phone.start / rate, "end": phone.end / rate}
                    for phone in clips.value("phones", clip)
                ],
            }
            for clip, id in enumerate(clips.ids)
        ],
        "skipped": [
            {"id": one.id, "reason": one.reason} | ({"place": one.place} if one.place else {}) for one in problems
        ],
        "wordless": list(_wordless(clips)),
    }


def _having(clips: Clips, chosen: NDArray[np.bool_]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Of each tag, which of the chosen clips it holds of; the commonest first."""
    having = {name: np.zeros(len(clips), np.bool_) for name in clips.names("tags")}
    for clip, tags in enumerate(clips.values("tags")):
        for name in tags:
            having[name][clip] = chosen[clip]
    return sorted(having.items(), key=lambda item: -int(item[1].sum()))


def _wordless(clips: Clips) -> tuple[str, ...]:
    phones = clips.fields.get("phones")
    return tuple(phones.wordless(clips)) if isinstance(phones, Phones) else ()


def by_reason(problems: Iterable[Problem]) -> dict[str, tuple[str, ...]]:
    """Ids of what was skipped, with the place where it is known, under the reason, the commonest first."""
    ids = defaultdict(list)
    for problem in problems:
        ids[problem.reason].append(f"{problem.id} ({problem.place})" if problem.place else problem.id)
    return {reason: tuple(of) for reason, of in sorted(ids.items(), key=lambda item: -len(item[1]))}


def _spread(values: NDArray[np.floating]) -> Spread:
    return Spread(*(float(value) for value in np.percentile(values, (5, 50, 95))))
