"""English text to the words that a reader says: lower case, letters and apostrophes only.

The kinds of writing (an address of the web, a date, a sum of money) have a table of rules each, applied one after the
other; what has digits and fits no rule is asked of the library wetext. Phones by hand pass through in their braces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import unescape
from itertools import chain

from lightning_wavenet.errors import RequestError
from lightning_wavenet.text import electronic, measures, money, names, times
from lightning_wavenet.text.characters import plain
from lightning_wavenet.text.numbers import digits
from lightning_wavenet.text.pronunciation import ARPABET, Lexicon
from lightning_wavenet.text.rules import apply, compiled

_ELISIONS = (
    *("'tis", "'twas", "'twere", "'twill", "'twould", "'em", "'til", "'cause", "'round", "'bout", "'neath", "'n'"),
)
_ENDINGS_CUT = ("o'", "th'", "an'", "ol'", "'n'", "mo'")
_PAUSES = re.compile(r"[.,;:?!()\[\]{}]|--+|(?<!\S)-(?!\S)")
_BY_HAND = re.compile(r"\{([^{}]*)\}")
_PLACES = range(0xE000, 0xF8FF)
"""Characters of no script, each of which keeps the place of phones by hand."""

_MARKUP = compiled(
    (r"</?(?:a|b|br|em|i|p|span|strong|sub|sup|u)\b[^<>]*>", " "),
    (r"&(?:amp|lt|gt|quot|apos|nbsp|#\d+);", lambda match: unescape(match[0])),
    (r"(?<![\w`])`([^`\n]+)`(?![\w'])", r" \1 "),
    (r"(?<!\w)(_{1,3}|\*{1,3}|~~)(?=\S)(.+?)(?<=\S)\1(?!\w)", r"\2"),
    (r"(?m)^\s*#{1,6}\s+|^\s*[*+]\s+|^\s*>\s+", " "),
)
_GROUPED = compiled(
    # Longer than any quantity; the patterns would take long over it.
    (r"\d{40,}", lambda match: digits(match[0])),
    (r"(?<![\w.,])\d{1,3}(?: \d{3})* 000(?![\w,.]*\d)", lambda match: match[0].replace(" ", "")),
)
_QUOTES = compiled(
    # Single quotes around words, which are no apostrophes.
    (rf"(?<![\w'])(?!(?i:{'|'.join(_ELISIONS)})(?!\w))'(?=[A-Za-z])((?:[^']|(?<=\w)'(?=\w))*)'(?!\w)", r" \1 "),
    (r"(?<![\d'])\"|(?<=\d)\"(?<!'\d\")(?<!'\d\d\")(?<!'\d \")", " "),
)
_LEFT = compiled((r"(?<=\w)_(?=\w)", " "))


def phrases(text: str, lexicon: Lexicon | None = None) -> list[list[str]]:
    """The spoken words of a text, in the phrases that a reader separates by a pause.

    A phrase ends at `. , ; : ? !`, at a bracket and at a dash between words, but not at the stop of an abbreviation or
    the mark within a number. Phones by hand, `{HH AH0 L OW1}`, are a word as they are written: beside English words
    they are those of CMUdict, in a text without any other word they may be of any language.

    Args:
        text: As a person types it.
        lexicon: Its own words are read as words in capitals too.

    Raises:
        RequestError: There is no word in it; it has letters of another script, or phones by hand that are none; the
            extra `text` is not installed.
    """
    by_hand: dict[str, str] = {}
    places = map(chr, _PLACES)

    def placed(phones: str) -> str:
        symbols = phones.split()
        if not symbols:
            return " "
        place = next(places)
        by_hand[place] = f"{{{' '.join(symbols)}}}"
        return f" {place} "

    # What stands in a place's character already is refused by `plain`, as the pieces between braces go there.
    pieces = _BY_HAND.split(text)
    if lexicon is not None and lexicon.own:
        pieces[::2] = [_lowered(piece, lexicon.own) for piece in pieces[::2]]
    said = _spoken("".join(placed(piece) if at % 2 else plain(piece) for at, piece in enumerate(pieces)))
    parts = ([by_hand.get(word, word) for word in _words_of(part)] for part in _PAUSES.split(said.lower()))
    found = [part for part in parts if part]
    spoken_by_hand = frozenset(by_hand.values())
    if not found:
        raise RequestError(f"no word to say in the text {_shortened(text)!r}: write English words, or phones in braces")
    if any(word not in spoken_by_hand for part in found for word in part):
        _check(spoken_by_hand)
    return found


def words(text: str, lexicon: Lexicon | None = None) -> list[str]:
    """The spoken words of a text: `phrases`, joined.

    Raises:
        RequestError: As `phrases`.
    """
    return list(chain.from_iterable(phrases(text, lexicon)))


def _check(by_hand: Iterable[str]) -> None:
    for word in by_hand:
        if unknown := [phone for phone in word.strip("{}").split() if phone not in ARPABET]:
            raise RequestError(
                f"{unknown[0]!r} in {word} is none of the phones of CMUdict, such as AH0, HH or OW1: braces hold phones"
            )


def _lowered(text: str, own: frozenset[str]) -> str:
    """The text with the words of a user's lexicon in small letters where they stand in capitals."""
    return re.sub(r"\b[A-Z][A-Z']+\b", lambda match: match[0].lower() if match[0].lower() in own else match[0], text)


def _spoken(text: str) -> str:
    """The text without digits and signs that are said."""
    text = apply(_MARKUP, text)
    text = apply(_GROUPED, text)
    text = names.unshouted(text)
    text = apply(_QUOTES, text)
    for rules in (electronic.RULES, times.RULES, names.ABBREVIATIONS, measures.RANGES, money.RULES):
        text = apply(rules, text)
    text = apply(names.INITIALS[:1], text)
    return apply(_LEFT, apply(names.INITIALS[1:], apply(measures.RULES, text)))


def _words_of(phrase: str) -> Iterator[str]:
    for word in re.findall(r"'?[a-z]+(?:'[a-z]+)*'?|[\ue000-\uf8ff]", phrase):
        word = word if word in _ELISIONS else word.removeprefix("'")
        yield word if not word.endswith("'") or _ends_cut(word) else word.removesuffix("'")


def _ends_cut(word: str) -> bool:
    """Whether an apostrophe at the end belongs to the word: the dogs', goin', rock 'n' roll."""
    if word.endswith("s'") or word in _ENDINGS_CUT:
        return True
    lexicon = Lexicon.cmudict()
    return word in lexicon or (word.endswith("in'") and word[:-1] not in lexicon and f"{word[:-1]}g" in lexicon)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
