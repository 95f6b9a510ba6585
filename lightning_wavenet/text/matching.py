"""The phones of an alignment and the words of a text: which phone belongs to which word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lightning_wavenet.errors import RequestError
from lightning_wavenet.text.phones import Phone
from lightning_wavenet.text.pronunciation import Lexicon, Pronunciation
from lightning_wavenet.text.structure import Segment, Structure, Word, places, stress_of, syllabified
from lightning_wavenet.text.symbols import CLOSURES, SILENCE, VOWELS, arpabet, is_nucleus, unstressed
from lightning_wavenet.text.words import phrases

_MOST_WRONG = 0.45
"""Of a text's phones, in the measure of `_cost`; an alignment of another text has about 0.7."""
_STOPS = {"CH": "T", "JH": "D"}
_OTHER_VOWEL, _OTHER_CONSONANT, _OTHER_KIND = 0.5, 1.0, 1.5


class Mismatch(ValueError):
    """An alignment is not of the text, or cannot be read as phones of English.

    Attributes:
        reason: What is wrong, and what to do; equal for equal causes.
        place: Where.
    """

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(f"{reason} ({place})" if place else reason)
        self.reason = reason
        self.place = place


class Aligned(NamedTuple):
    """An utterance with its times."""

    structure: Structure
    phones: list[Phone]
    """One for each of the structure's segments, in ARPAbet without stress."""


def whole(phones: Sequence[Phone], length: int) -> list[Phone]:
    """The phones of a clip without a gap from its first sample to its last: what no phone covers is silence.

    Silences that meet are one, and so are a closure of TIMIT and the stop that it belongs to.

    Args:
        phones: What is said when, in samples and in order.
        length: Of the clip (samples).
    """
    found: list[Phone] = []
    end = 0
    for phone in [*phones, Phone(SILENCE, length, length)]:
        label = SILENCE if arpabet(phone.label) == SILENCE else phone.label
        parts = [Phone(SILENCE, end, phone.start)] if phone.start > end else []
        for part in (*parts, phone._replace(label=label)):
            last = found[-1] if found else None
            if part.start >= part.end:
                continue
            joined = last is not None and (part.label == last.label == SILENCE or _closes(last.label, part.label))
            if joined and last is not None:
                found[-1] = Phone(part.label, last.start, part.end)
            else:
                found.append(part)
        end = max(end, phone.end)
    return found


def _closes(closure: str, phone: str) -> bool:
    stop = CLOSURES.get(closure.upper())
    return stop is not None and stop == _STOPS.get(phone.upper(), phone.upper())


def matched(text: str, phones: Sequence[Phone], length: int, rate: int, lexicon: Lexicon | None = None) -> Aligned:
    """A text and its alignment as one: every phone in its word and syllable, every other stretch a silence.

    Phones may differ from what the lexicon has, as those of a careful transcription do; then each word gets those with
    which the fewest differ. Stress is that of the alignment, or else that of the lexicon.

    Args:
        text: What is said.
        phones: Its alignment, in samples and in order, in ARPAbet as `arpabet` knows it.
        length: Of the clip (samples).
        rate: Samples a second (Hz), for messages.
        lexicon: How words are said; None: the CMU Pronouncing Dictionary.

    Raises:
        Mismatch: The text has no word, a phone is unknown, or the alignment is not that of the text.
    """
    lexicon = lexicon or Lexicon.cmudict()
    timed = whole(phones, length)
    spoken = [at for at, phone in enumerate(timed) if phone.label != SILENCE]
    heard = []
    for at in spoken:
        name = arpabet(timed[at].label)
        if name is None:
            raise Mismatch(
                "a phone of the alignment is no ARPAbet; for phones of another set say data.features.symbols other",
                f"{timed[at].label!r} at {timed[at].start / rate:.2f} s",
            )
        heard.append(name)
    try:
        read = phrases(text, lexicon)
    except RequestError as error:
        raise Mismatch("text that cannot be pronounced", str(error)) from error
    said = [[(word, ways) for word in phrase if (ways := lexicon.pronunciations(word))] for phrase in read]
    words = [entry for phrase in said for entry in phrase]
    if not words:
        raise Mismatch("text without a word that can be pronounced", repr(text[:40]))
    if not heard:
        raise Mismatch("the alignment has nothing but silence, and the text has words")
    ends = _divided(words, heard, [timed[at] for at in spoken], rate)
    found: list[Word] = []
    first = 0
    for (word, ways), end in zip(words, ends, strict=True):
        labels = [timed[at].label for at in spoken[first:end]]
        found.append(syllabified(word, _stressed(labels, heard[first:end], ways)))
        first = end
    grouped, left = [], iter(found)
    for phrase in said:
        if phrase:
            grouped.append(tuple(next(left) for _ in phrase))
    at_places = iter(places(grouped))
    segments = [Segment(SILENCE, None) if phone.label == SILENCE else None for phone in timed]
    for at, name in zip(spoken, heard, strict=True):
        segments[at] = Segment(name, next(at_places))
    known = tuple(segment for segment in segments if segment is not None)
    named = [phone._replace(label=segment.label) for phone, segment in zip(timed, known, strict=True)]
    return Aligned(Structure(tuple(grouped), known), named)


def _divided(
    words: Sequence[tuple[str, tuple[Pronunciation, ...]]], heard: Sequence[str], times: Sequence[Phone], rate: int
) -> list[int]:
    """One past the last phone of each word, so that as few phones as can be differ from the words'."""
    ways = [[tuple(map(unstressed, way)) for way in dict.fromkeys(all_ways)] for _, all_ways in words]
    if (ends := _exactly(ways, heard)) is not None:
        return ends
    count = len(heard)
    costs = [0.0] + [float("inf")] * count
    origins: list[list[int]] = []
    for alternatives in ways:
        best, origin = [float("inf")] * (count + 1), [0] * (count + 1)
        for way in alternatives:
            row, begun = _inserted(costs, list(range(count + 1)))
            for phone in way:
                row, begun = _row(phone, heard, row, begun)
            for at in range(count + 1):
                if row[at] < best[at]:
                    best[at], origin[at] = row[at], begun[at]
        costs = best
        origins.append(origin)
    ends, at = [], count
    for origin in reversed(origins):
        ends.append(at)
        at = origin[at]
    ends.reverse()
    total = sum(max(map(len, alternatives)) for alternatives in ways)
    starts = [0, *ends[:-1]]
    # The first word that has none of its sounds.
    wrong = next((at for at, (start, end) in enumerate(zip(starts, ends, strict=True)) if start == end), None)
    if costs[count] > _MOST_WRONG * max(total, count):
        raise Mismatch(
            "the alignment is not of the text: see whether both are of this utterance, and align it again",
            f"{total} phones of the text, {count} of the alignment, {costs[count] / max(total, count):.0%} differ",
        )
    if wrong is not None:
        when = times[min(starts[wrong], count - 1)].start / rate
        raise Mismatch(
            "a word of the text has no phone in the alignment: correct the text, or align it again",
            f"{words[wrong][0]!r} at {when:.2f} s",
        )
    return ends


def _exactly(ways: Sequence[Sequence[Sequence[str]]], heard: Sequence[str]) -> list[int] | None:
    """The division in which every word is said in one of its ways; None where there is none."""
    heard = tuple(heard)
    reached: list[dict[int, int]] = [{0: 0}]
    for alternatives in ways:
        following: dict[int, int] = {}
        for start in reached[-1]:
            for way in alternatives:
                if heard[start : start + len(way)] == tuple(way):
                    following.setdefault(start + len(way), start)
        reached.append(following)
    if len(heard) not in reached[-1]:
        return None
    ends, at = [], len(heard)
    for origin in reversed(reached[1:]):
        ends.append(at)
        at = origin[at]
    return ends[::-1]


def _inserted(row: list[float], begun: list[int]) -> tuple[list[float], list[int]]:
    """A row of the table of edit distances, with phones that are heard and not said."""
    for at in range(1, len(row)):
        if row[at - 1] + 1 < row[at]:
            row[at], begun[at] = row[at - 1] + 1, begun[at - 1]
    return row, begun


def _row(phone: str, heard: Sequence[str], row: list[float], begun: list[int]) -> tuple[list[float], list[int]]:
    """The next row: with one more phone of the text."""
    following, origin = [cost + 1 for cost in row], list(begun)  # It is left out.
    for at, other in enumerate(heard):
        cost = row[at] + _cost(phone, other)
        if cost < following[at + 1]:
            following[at + 1], origin[at + 1] = cost, begun[at]
    return _inserted(following, origin)


def _cost(phone: str, other: str) -> float:
    if phone == other:
        return 0.0
    vowels = (phone in VOWELS) + (other in VOWELS)
    return (_OTHER_CONSONANT, _OTHER_KIND, _OTHER_VOWEL)[vowels]


def _stressed(labels: Sequence[str], heard: Sequence[str], ways: Sequence[Pronunciation]) -> list[str]:
    """The phones of a word as the alignment has them, vowels with their stress."""
    nuclei = [at for at, label in enumerate(labels) if is_nucleus(label)]
    if any(labels[at][-1] in "012" for at in nuclei):
        return list(labels)
    exact = next((way for way in ways if [unstressed(phone) for phone in way] == list(heard)), None)
    stresses = [stress_of(phone) for phone in exact or ways[0] if is_nucleus(phone)]
    marked = list(labels)
    for number, at in enumerate(nuclei):
        # Where a vowel more or less is heard than said, stress falls as far along the word.
        told = stresses[number * len(stresses) // len(nuclei)] if stresses else 0
        marked[at] = f"{labels[at]}{told}"
    return marked
