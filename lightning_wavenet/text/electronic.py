"""Addresses of the web, files and tags; telephone and other numbers that are read digit by digit."""

from __future__ import annotations

import re
from re import Match

from lightning_wavenet.text.numbers import cardinal, characters, digits, letters
from lightning_wavenet.text.pronunciation import Lexicon
from lightning_wavenet.text.rules import compiled

_SIGNS = {
    **{".": "dot", "@": "at", "/": "slash", "-": "dash", "_": "underscore", ":": "colon", "?": "question mark"},
    **{"=": "equals", "&": "and", "%": "percent", "#": "hash", "~": "tilde", "+": "plus", "*": "star", "$": "dollar"},
    **{"!": "exclamation mark", ",": "comma", ";": "semicolon", "\\": "backslash"},
}
_DOMAINS = "com|org|net|edu|gov|mil|int|info|biz|io|ai|tv|app|dev|uk|de|fr|nl|jp|ca|au|ch|eu|ru|cn|br|es|ie|nz|us"
_FILES = (
    "pdf|txt|exe|docx?|xlsx?|pptx?|csv|tsv|json|xml|html?|jpe?g|png|gif|svg|zip|gz|tar|mp3|mp4|wav|flac|avi|mov|py|js"
    "|cpp|java|md|sh|ya?ml|dll|iso|log"
)
_READ_AS_WORDS = {"com", "org", "net", "gov", "info", "biz", "mil", "gmail", "wiki", "yahoo"}
_UNLIKELY = {"exe", "doc", "pdf", "csv", "http", "https", "www", "edu", "jp", "uk", "de", "us", "id", "io", "eu", "ie"}


def _named(token: str) -> str:
    """Words as words, other letters and digits by their names, signs by theirs."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d|.", token)
    return " ".join(_SIGNS.get(part) or (digits(part) if part.isdigit() else _run(part)) for part in parts)


def _run(part: str) -> str:
    small = part.lower()
    known = small in _READ_AS_WORDS or (small not in _UNLIKELY and Lexicon.cmudict().reads_as_word(small))
    return small if known or (len(small) > 4 and set(small) & set("aeiouy")) else letters(small)


def _address(match: Match[str]) -> str:
    token = match[0]
    rest = re.search(r"[.,;:!?)'\"]*$", token)
    end = rest.start() if rest else len(token)
    return f" {_named(token[:end])} {token[end:]}"


def _tag(match: Match[str]) -> str:
    return f" hashtag {_named(match[1].replace('_', ''))} "


def _telephone(match: Match[str]) -> str:
    number = match[0]
    plus = "plus " if "+" in number else ""
    groups = re.findall(r"\d+|[A-Z]+", number)
    free = [cardinal(part) if re.fullmatch("[89]00", part) else _letters_or_digits(part) for part in groups]
    return f" {plus}{' '.join(free)} "


def _letters_or_digits(part: str) -> str:
    if part.isdigit():
        return digits(part)
    return part.lower() if Lexicon.cmudict().reads_as_word(part) and len(part) > 1 else letters(part)


def _dotted(match: Match[str]) -> str:
    return " dot ".join(map(digits, match[0].split(".")))


def _version(match: Match[str]) -> str:
    start = {"v": "version "}.get(match["v"] or "", "")
    return start + " point ".join(map(cardinal, match["numbers"].split(".")))


RULES = compiled(
    # Addresses, files, tags.
    (r"\b(?:https?|ftp|file|ssh|git|s3)://[^\s<>\"]+|\bwww\.[^\s<>\"]+", _address),
    (r"(?<![\w.])[\w.+%&-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?:/[^\s<>\"]*)?", _address),
    (rf"(?<![\w.@/])(?:[A-Za-z0-9-]+\.)+(?:{_DOMAINS})(?![\w-]|\.\w)(?:[/?][^\s<>\"]*)?", _address),
    (rf"(?<![\w.@/])[\w-]+(?:\.\w+)?\.(?:{_FILES})\b", _address),
    (rf"(?<!\S)\.({_DOMAINS}|{_FILES})\b", lambda match: f"dot {_run(match[1])}"),
    (r"(?<![\w@])@([A-Za-z_]\w*)", lambda match: f" at {_named(match[1])} "),
    (r"(?<![\w#&])#([A-Za-z]\w+)", _tag),
    # Telephones.
    (r"\b[Tt]el\.?:?(?=\s*[+(\d])", "telephone "),
    (
        r"(?<![\w.,-])(?:\+\d{1,3}[ .-]?(?=\(|\d))?(?:1[ .-])?(?:\(\d{3}\)\s?-?|\d{3}[-. ])\d{3}[-. ]\d{4}"
        r"(?:-\d{1,4})?(?![\w-]|,\d)",
        _telephone,
    ),
    (r"(?<![\w.,-])(?:\+?1-)?[89]\d\d(?:-[A-Z0-9]+)+(?<=[A-Z])(?![\w-])", _telephone),
    (r"(?<![\w.,+-])\+\d{1,3}(?:[ .-]?\(?\d{2,4}\)?){2,5}(?!\w)", _telephone),
    (r"(?<!pages )(?<!pp\. )(?<!from )(?<!lines )(?<![\w.,/:$-])\d{3}-\d{4}(?![\w-]|,\d|\.\d)", _telephone),
    (r"(?i)(?<=\bcall )\d11\b|(?<=\bdial )\d{3}\b", _telephone),
    (r"\b([Ee])xt\.?(?=\s?\d)", "extension "),
    # Numbers of persons, cards, books and machines.
    (r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])|(?<![\w-])\d{4}(?:[ -]\d{4}){3}(?![\w-])", _telephone),
    (r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)", _dotted),
    (r"\bISBN(?:-1[03])?:?\s*([\d -]{8,}[\dX])\b", lambda match: f"ISBN {characters(match[1])}"),
    (
        r"(?<![\w.])(?:(?P<v>v)\.?\s?(?=\d+\.\d)|v?)(?P<numbers>(?<=v)\d+\.\d+|(?!\d{1,2}\.\d{1,2}\.[12]\d{3}\b)\d+\.\d+\.\d+)(?![\w.]*\d)",
        _version,
    ),
)
