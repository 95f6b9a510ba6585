"""Full-context labels: all that is known of where each phone stands, as HTS has it for English.

A label has 53 fields at the levels of phone, syllable, word, phrase and utterance (Tokuda, Zen and Black, 2002, "An
HMM-based speech synthesis system applied to English"). Counts and positions begin with 1; stressed syllables, accented
ones and content words are looked for within the phrase. Of a silence all that is "current" is not known; what comes
before and after it is that of the phones there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lightning_wavenet.text.structure import CONTENT, Place, Structure, Syllable, Word

Value = int | str | None
"""Of a field; None where it does not apply or is not known, which a label writes as x."""

Context = Mapping[str, Value]
"""The fields of a label, by name."""


class ContextField(NamedTuple):
    """A field of a label."""

    name: str
    before: str
    """What stands before it in a label."""
    meaning: str
    scale: float
    """A usual large value of a count; 1 for what is 0 or 1, 0 for names."""


FIELDS = tuple(
    ContextField(*row)
    for row in (
        ("p1", "", "phone before the last", 0),
        ("p2", "^", "last phone", 0),
        ("p3", "-", "phone", 0),
        ("p4", "+", "next phone", 0),
        ("p5", "=", "phone after the next", 0),
        ("p6", "@", "phone in syllable", 5),
        ("p7", "_", "phone in syllable, from its end", 5),
        ("a1", "/A:", "last syllable stressed", 1),
        ("a2", "_", "last syllable accented", 1),
        ("a3", "_", "phones of last syllable", 5),
        ("b1", "/B:", "syllable stressed", 1),
        ("b2", "-", "syllable accented", 1),
        ("b3", "-", "phones of syllable", 5),
        ("b4", "@", "syllable in word", 5),
        ("b5", "-", "syllable in word, from its end", 5),
        ("b6", "&", "syllable in phrase", 20),
        ("b7", "-", "syllable in phrase, from its end", 20),
        ("b8", "#", "stressed syllables before in phrase", 10),
        ("b9", "-", "stressed syllables after in phrase", 10),
        ("b10", "$", "accented syllables before in phrase", 10),
        ("b11", "-", "accented syllables after in phrase", 10),
        ("b12", "!", "syllables since a stressed one", 5),
        ("b13", "-", "syllables to a stressed one", 5),
        ("b14", ";", "syllables since an accented one", 5),
        ("b15", "-", "syllables to an accented one", 5),
        ("b16", "|", "vowel of syllable", 0),
        ("c1", "/C:", "next syllable stressed", 1),
        ("c2", "+", "next syllable accented", 1),
        ("c3", "+", "phones of next syllable", 5),
        ("d1", "/D:", "part of speech of last word", 0),
        ("d2", "_", "syllables of last word", 5),
        ("e1", "/E:", "part of speech of word", 0),
        ("e2", "+", "syllables of word", 5),
        ("e3", "@", "word in phrase", 15),
        ("e4", "+", "word in phrase, from its end", 15),
        ("e5", "&", "content words before in phrase", 10),
        ("e6", "+", "content words after in phrase", 10),
        ("e7", "#", "words since a content word", 5),
        ("e8", "+", "words to a content word", 5),
        ("f1", "/F:", "part of speech of next word", 0),
        ("f2", "_", "syllables of next word", 5),
        ("g1", "/G:", "syllables of last phrase", 20),
        ("g2", "_", "words of last phrase", 15),
        ("h1", "/H:", "syllables of phrase", 20),
        ("h2", "=", "words of phrase", 15),
        ("h3", "@", "phrase in utterance", 5),
        ("h4", "=", "phrase in utterance, from its end", 5),
        ("h5", "|", "end tone of phrase", 0),
        ("i1", "/I:", "syllables of next phrase", 20),
        ("i2", "=", "words of next phrase", 15),
        ("j1", "/J:", "syllables of utterance", 50),
        ("j2", "+", "words of utterance", 30),
        ("j3", "-", "phrases of utterance", 5),
    )
)
"""In the order of a label."""

_UNKNOWN = "x"
_LABEL = re.compile("".join(f"{re.escape(field.before)}(?P<{field.name}>.+?)" for field in FIELDS) + r"(?:\[\d+\])?")
_SAFE = re.compile(r"[A-Za-z0-9']+")


def contexts(spoken: Structure) -> list[Context]:
    """The fields of every segment of an utterance, silences too. The tone at the end of a phrase is not known."""
    known = _Flat(spoken)
    before: list[Place | None] = [None]
    for segment in spoken.segments:
        before.append(segment.place or before[-1])
    after: list[Place | None] = [None]
    for segment in reversed(spoken.segments):
        after.append(segment.place or after[-1])
    after.reverse()
    labels = [segment.label for segment in spoken.segments]
    found: list[Context] = []
    for at, segment in enumerate(spoken.segments):
        fields: dict[str, Value] = dict.fromkeys((field.name for field in FIELDS), None)
        for name, step in (("p1", -2), ("p2", -1), ("p3", 0), ("p4", 1), ("p5", 2)):
            if 0 <= at + step < len(labels):
                fields[name] = labels[at + step]
        if segment.place is not None:
            known.current(fields, segment.place)
        else:
            known.silence(fields, before[at], after[at + 1])
        known.utterance(fields)
        found.append(fields)
    return found


class _Flat:
    """The syllables, words and phrases of an utterance in a row each, for looking to either side."""

    def __init__(self, spoken: Structure) -> None:
        self.phrases = spoken.phrases
        self.words: list[tuple[int, Word]] = []
        self.syllables: list[tuple[int, int, Syllable, bool]] = []  # Phrase, word of all, and whether accented.
        self.first_words: list[int] = []
        self.first_syllables: list[int] = []
        self.syllables_of_word: list[int] = []
        for number, phrase in enumerate(spoken.phrases):
            self.first_words.append(len(self.words))
            self.first_syllables.append(len(self.syllables))
            for word in phrase:
                self.syllables_of_word.append(len(self.syllables))
                # The rule that stands here for a model of accents: a content word has one, where its stress is.
                accents = [word.part == CONTENT and syllable.stress == 1 for syllable in word.syllables]
                for syllable, accented in zip(word.syllables, accents, strict=True):
                    self.syllables.append((number, len(self.words), syllable, accented))
                self.words.append((number, word))

    def _at(self, place: Place) -> tuple[int, int]:
        """The number of a phone's word, and of its syllable, in the utterance."""
        word = self.first_words[place.phrase] + place.word
        return word, self.syllables_of_word[word] + place.syllable

    def _size(self, phrase: int) -> tuple[int, int]:
        words = self.phrases[phrase]
        return sum(len(word.syllables) for word in words), len(words)

    def _neighbor(self, fields: dict[str, Value], side: str, syllable: int, word: int, phrase: int) -> None:
        """Fields of the syllable, word and phrase before ("a", "d", "g") or after ("c", "f", "i"), if there are."""
        of_syllable, of_word, of_phrase = tuple(side)
        if 0 <= syllable < len(self.syllables):
            _, _, one, accented = self.syllables[syllable]
            fields[f"{of_syllable}1"], fields[f"{of_syllable}2"] = int(one.stress > 0), int(accented)
            fields[f"{of_syllable}3"] = len(one.phones)
        if 0 <= word < len(self.words):
            fields[f"{of_word}1"] = self.words[word][1].part
            fields[f"{of_word}2"] = len(self.words[word][1].syllables)
        if 0 <= phrase < len(self.phrases):
            fields[f"{of_phrase}1"], fields[f"{of_phrase}2"] = self._size(phrase)

    def silence(self, fields: dict[str, Value], before: Place | None, after: Place | None) -> None:
        """Of a silence: what the phones to both sides belong to."""
        for place, side in ((before, "adg"), (after, "cfi")):
            if place is not None:
                word, syllable = self._at(place)
                self._neighbor(fields, side, syllable, word, place.phrase)

    def current(self, fields: dict[str, Value], place: Place) -> None:
        """Of a phone."""
        word, at = self._at(place)
        self._neighbor(fields, "adg", at - 1, word - 1, place.phrase - 1)
        self._neighbor(fields, "cfi", at + 1, word + 1, place.phrase + 1)
        spoken = self.words[word][1]
        _, _, syllable, accented = self.syllables[at]
        first = self.first_syllables[place.phrase]
        count, words = self._size(place.phrase)
        within = self.syllables[first : first + count]
        here = at - first
        fields["p6"], fields["p7"] = place.phone + 1, len(syllable.phones) - place.phone
        fields["b1"], fields["b2"] = int(syllable.stress > 0), int(accented)
        fields["b3"] = len(syllable.phones)
        fields["b4"], fields["b5"] = place.syllable + 1, len(spoken.syllables) - place.syllable
        fields["b6"], fields["b7"] = here + 1, count - here
        stressed, accents = [one.stress > 0 for _, _, one, _ in within], [one for *_, one in within]
        fields["b8"], fields["b9"], fields["b12"], fields["b13"] = _around(stressed, here)
        fields["b10"], fields["b11"], fields["b14"], fields["b15"] = _around(accents, here)
        fields["b16"] = syllable.vowel
        fields["e1"], fields["e2"] = spoken.part, len(spoken.syllables)
        fields["e3"], fields["e4"] = place.word + 1, words - place.word
        content = [one.part == CONTENT for one in self.phrases[place.phrase]]
        fields["e5"], fields["e6"], fields["e7"], fields["e8"] = _around(content, place.word)
        fields["h1"], fields["h2"] = count, words
        fields["h3"], fields["h4"] = place.phrase + 1, len(self.phrases) - place.phrase

    def utterance(self, fields: dict[str, Value]) -> None:
        """Of the whole."""
        if self.phrases:
            fields["j1"], fields["j2"], fields["j3"] = len(self.syllables), len(self.words), len(self.phrases)


def _around(marked: Sequence[bool], here: int) -> tuple[int, int, int, int]:
    """How many are marked before one and after it, and how far the nearest of both are, 0 where there is none."""
    before, after = [at for at in range(here) if marked[at]], [at for at in range(here + 1, len(marked)) if marked[at]]
    return len(before), len(after), here - before[-1] if before else 0, after[0] - here if after else 0


def write_label(fields: Context) -> str:
    """A label.

    Raises:
        ValueError: A name has signs in it that separate fields.
    """
    label = ""
    for field in FIELDS:
        value = fields[field.name]
        if isinstance(value, str) and not _SAFE.fullmatch(value):
            raise ValueError(f"{value!r} cannot stand in a full-context label, which has its signs between fields")
        label += f"{field.before}{_UNKNOWN if value is None else value}"
    return label


def read_label(label: str) -> Context:
    """The fields of a label; the number of a state at its end, as in `[2]`, is left out.

    Raises:
        ValueError: It is no full-context label of English.
    """
    match = _LABEL.fullmatch(label)
    if match is None:
        raise ValueError(f"{label[:60]!r} is no full-context label of HTS's English form")
    return {field.name: _value(match[field.name], field) for field in FIELDS}


def is_full_context(label: str) -> bool:
    """Whether a label is one."""
    return _LABEL.fullmatch(label) is not None


def _value(text: str, field: ContextField) -> Value:
    if text.lower() in (_UNKNOWN, "xx"):
        return None
    if not field.scale:
        return text
    if not text.isdecimal():
        raise ValueError(f"{text!r} in field {field.name} of a full-context label is no count")
    return int(text)
