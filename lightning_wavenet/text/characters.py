"""A text's characters in ASCII: signs by one spelling each, invisible ones gone, other scripts refused.

Currencies and a few signs of mathematics stay as they are, for the rules that know them.
"""

from __future__ import annotations

import re
import unicodedata

from lightning_wavenet.errors import RequestError

KEPT = "£€¥₹₩₽₺₪₫₱₦₴°\u00d7÷≤≥≈±√∞¢"
"""What is not ASCII after `plain`."""

_FOLDED = str.maketrans(
    {"æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ß": "ss", "ł": "l", "Ł": "L", "đ": "d"}
    | {"Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "\u0131": "i", "ħ": "h", "Ħ": "H"}
    # Curly, modifier and reversed quotes, primes, hyphens, dashes and the slash of fractions.
    | dict.fromkeys("\u2018\u2019\u201b\u02bc\u02b9`\u00b4\u2032", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb\u2033", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013", "-")
    | dict.fromkeys("\u2014\u2015", " -- ")
    | dict.fromkeys("\u2022\u00b7\u2023\u25cf\u25aa", " , ")
    | {
        "\u2044": "/",
        "№": "No.",
        "≠": "!=",
        "©": " copyright ",
        "\ua789": ":",
        "⋅": " \u00d7 ",
        "\u2212": "-",
        "º": "°",
        "\u223c": "~",
        "\u212e": "",
    }
    | dict.fromkeys("™®℠", " ")
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")


def plain(text: str) -> str:
    """The text in ASCII, and `KEPT`.

    Accents are dropped, a raised number is written `^2`, a Greek letter that stands alone as its name, and a symbol
    that nobody says, such as an emoji, is left out.

    Raises:
        RequestError: There are letters or digits of another script, whose sound is not known.
    """
    text = "".join(mark for mark in text if unicodedata.category(mark) != "Cf")
    text = re.sub(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))", "", text)
    text = _raised(text)
    text = re.sub(r"(?<=\d)(?=[¼-¾⅐-⅞])", " ", text).translate(_FOLDED)
    # The sign of micro and of ohm, at a unit.
    text = re.sub(r"(?<=\d)(\s?)[\u00b5μ](?=[A-Za-z])", r"\1u", text)
    text = re.sub(r"(?<=\d)(\s?[kM]?)[ΩΩ]", r"\1ohm", text)
    text = unicodedata.normalize("NFKD", text).translate(_FOLDED)
    text = "".join(mark for mark in text if not unicodedata.combining(mark))
    text = re.sub(r"(?<![\u0370-\u03ff])[\u0391-\u03c9](?![\u0370-\u03ff])", _greek, text)
    return "".join(map(_in_ascii, text))


def _raised(text: str) -> str:
    """Raised numbers as `^2`; the mark of a footnote, after a word or a sentence, is left out."""
    text = re.sub(r"(?<=[A-Za-z]{3})[⁰¹²³⁴-⁹]+|(?<=[.,;:!?\"'”\u2019])[⁰¹²³⁴-⁹]+", "", text)
    return re.sub("[⁰¹²³⁴-⁹⁻⁺]+", lambda match: "^" + match[0].translate(_SUPERSCRIPTS), text)


def _greek(match: re.Match[str]) -> str:
    name = unicodedata.name(match[0], "").removeprefix("GREEK ").rpartition(" ")[2].lower()
    return f" {'lambda' if name == 'lamda' else 'sigma' if name == 'final' else name} "


def _in_ascii(mark: str) -> str:
    if mark.isascii():
        return mark if mark.isprintable() else " "
    if mark in KEPT:
        return mark
    if unicodedata.category(mark) == "Lm":
        return ""  # An okina and the like, within a word.
    if unicodedata.category(mark)[0] in "LN" or unicodedata.category(mark) == "Co":
        name = unicodedata.name(mark, f"character U+{ord(mark):04X}").lower()
        raise RequestError(
            f"{mark!r} ({name}) is no letter of English: write the word in Latin letters, or its phones in braces"
        )
    return " "
