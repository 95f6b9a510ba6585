"""English text to the words that a reader says: lower case, letters and apostrophes only.

One table of patterns is applied from top to bottom, each turning one kind of writing (a sum of money, a time, a title)
into words; what no pattern knows is left out. Numbers are said the American way: 150 is one hundred fifty.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from itertools import chain
from re import Match
from typing import Any

from lightning_wavenet.text.extra import inflect_engine
from lightning_wavenet.text.pronunciation import Lexicon

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_FOLDED = str.maketrans(
    {"æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ß": "ss", "ł": "l", "Ł": "L", "đ": "d"}
    # Curly, modifier and reversed quotes, hyphens, dashes, the minus and the slash of fractions.
    | dict.fromkeys("\u2018\u2019\u201b\u02bc`\u00b4", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"')
    | dict.fromkeys("\u2010\u2011\u2013\u2212", "-")
    | dict.fromkeys("\u2014\u2015", " -- ")
    | {"\u2044": "/"}
)
_TITLES = {
    **{"Mr": "mister", "Mrs": "missus", "Ms": "ms", "Dr": "doctor", "Drs": "doctors", "Messrs": "messrs"},
    **{"Rev": "reverend", "Hon": "honorable", "Gen": "general", "Col": "colonel", "Maj": "major", "Capt": "captain"},
    **{"Lt": "lieutenant", "Sgt": "sergeant", "Cpl": "corporal", "Pvt": "private", "Adm": "admiral", "Mt": "mount"},
    **{"Gov": "governor", "Sen": "senator", "Rep": "representative", "Pres": "president", "Prof": "professor"},
}
_ABBREVIATIONS = {
    **{"Co": "company", "Cos": "companies", "Ltd": "limited", "Inc": "incorporated", "Corp": "corporation"},
    **{
        "Jr": "junior",
        "Sr": "senior",
        "Esq": "esquire",
        "Bros": "brothers",
        "Dept": "department",
        "Supt": "superintendent",
    },
    **{"Ave": "avenue", "Blvd": "boulevard", "Rd": "road", "Jan": "january", "Feb": "february", "Aug": "august"},
    **{"Sept": "september", "Oct": "october", "Nov": "november", "Dec": "december"},
    **{"etc": "et cetera", "viz": "namely", "vs": "versus", "cf": "compare", "approx": "approximately"},
}
_BEFORE_NUMBERS = {
    **{"No": "number", "Nos": "numbers", "Fig": "figure", "Vol": "volume", "Ch": "chapter", "Chap": "chapter"},
    **{"no": "number", "nos": "numbers", "vol": "volume", "ch": "chapter", "fig": "figure", "sec": "section"},
    **{"Sec": "section", "Art": "article", "p": "page", "pp": "pages", "ca": "circa"},
}
_UNITS = {
    **{"km": "kilometer", "cm": "centimeter", "mm": "millimeter", "m": "meter", "mi": "mile", "yd": "yard"},
    **{"yds": "yard", "ft": "foot", "in.": "inch", "kg": "kilogram", "mg": "milligram", "g": "gram", "lb": "pound"},
    **{"lbs": "pound", "oz": "ounce", "ml": "milliliter", "l": "liter", "hr": "hour", "hrs": "hour", "min": "minute"},
    **{"mins": "minute", "sec": "second", "secs": "second", "ms": "millisecond", "Hz": "hertz", "kHz": "kilohertz"},
    **{"MHz": "megahertz", "GHz": "gigahertz", "dB": "decibel", "W": "watt", "kW": "kilowatt", "V": "volt"},
    **{"mph": "mile per hour", "km/h": "kilometer per hour", "m/s": "meter per second"},
    **{"°C": "degree celsius", "°F": "degree fahrenheit", "°": "degree"},
}
_MONEY = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent")}
_SOVEREIGNS = (
    "Alexander|Benedict|Catherine|Charles|Christian|Clement|Edward|Elizabeth|Ferdinand|Francis|Frederick|George|"
    "Gregory|Gustav|Henry|Innocent|James|John|Leo|Leopold|Louis|Mary|Napoleon|Nicholas|Otto|Paul|Peter|Philip|Pius|"
    "Ramses|Richard|Robert|Urban|Victor|Wilhelm|William"
)
_ELISIONS = ("'tis", "'twas", "'twere", "'twill", "'twould", "'em", "'til", "'cause", "'round", "'bout", "'neath")
_INITIALISMS_THAT_SPELL_WORDS = {"US", "UN", "ID", "AM", "PM"}
_PAUSES = re.compile(r"[.,;:?!()\[\]{}]|--+|(?<!\S)-(?!\S)")


def phrases(text: str) -> list[list[str]]:
    """The spoken words of a text, in the phrases that a reader separates by a pause.

    A phrase ends at `. , ; : ? !`, at a bracket and at a dash between words, but not at the stop of an abbreviation or
    the mark within a number.

    Raises:
        RequestError: The extra `text` is not installed.
    """
    text = unicodedata.normalize("NFKD", re.sub(r"(?<=\d)(?=[¼-¾⅐-⅞])", " ", text).translate(_FOLDED))
    text = "".join(mark for mark in text.translate(_FOLDED) if not unicodedata.combining(mark))
    for pattern, spoken in _RULES:
        text = pattern.sub(spoken, text)
    parts = (list(_words_of(part)) for part in _PAUSES.split(text.lower()))
    return [part for part in parts if part]


def words(text: str) -> list[str]:
    """The spoken words of a text: `phrases`, joined.

    Raises:
        RequestError: The extra `text` is not installed.
    """
    return list(chain.from_iterable(phrases(text)))


def _words_of(phrase: str) -> list[str]:
    found = re.findall(r"'?[a-z]+(?:'[a-z]+)*'?", phrase)
    opened = [word if word in _ELISIONS else word.removeprefix("'") for word in found]
    return [word if word.endswith("s'") else word.removesuffix("'") for word in opened]


@cache
def _engine() -> Any:
    return inflect_engine()


def _digits(number: str) -> str:
    """Digit by digit."""
    return " ".join(_engine().number_to_words(digit) for digit in number if digit.isdigit())


def _cardinal(number: str) -> str:
    plain = number.replace(",", "")
    whole = plain.partition(".")[0]
    if len(whole) == 2 and whole[0] == "0":
        return f"oh {_digits(plain[1:])}"
    if len(whole) > 15 or (len(whole) > 1 and whole[0] == "0"):
        return _digits(plain)
    if re.fullmatch(r"1,?[1-9]00", number):
        return f"{_cardinal(plain[:2])} hundred"
    return _engine().number_to_words(plain, andword="", comma="")


def _year(year: str) -> str:
    """A number of four digits in pairs, as years from 1100 to 2099 are read: nineteen oh five."""
    century, rest = year[:2], year[2:]
    if year.startswith("200"):
        return _cardinal(year)
    return f"{_cardinal(century)} {'hundred' if rest == '00' else _cardinal(rest)}"


def _number(number: str) -> str:
    return _year(number) if re.fullmatch(r"(?:1[1-9]|20)\d\d", number) else _cardinal(number)


def _counted(number: str, noun: str) -> str:
    """The noun in the number that goes with the count: one foot, two feet."""
    if number == "1":
        return noun
    head, *rest = noun.split(" ")
    return " ".join(["pence" if head == "penny" else _engine().plural(head), *rest])


def _letters(letters: str) -> str:
    """The names of letters; that of A is written ay, for the word a is another sound."""
    return " ".join("ay" if letter in "Aa" else letter.lower() for letter in letters if letter.isalpha())


def _money(match: Match[str]) -> str:
    unit, part = _MONEY[match["sign"]]
    amount, scale = match["amount"], match["scale"]
    if scale:
        return f"{_cardinal(amount)} {scale} {_counted('', unit)}"
    whole, _, cents = amount.partition(".")
    if len(cents) != 2:
        return f"{_cardinal(amount)} {_counted(amount, unit)}"
    said = [(whole, unit), (cents.lstrip("0"), part)]
    return " ".join(f"{_cardinal(count)} {_counted(count, noun)}" for count, noun in said if count.strip("0"))


def _time(match: Match[str]) -> str:
    hour, minute = match["hour"], match["minute"]
    if minute == "00":
        return _cardinal(hour) if match["half"] is not None else f"{_cardinal(hour)} o'clock"
    return f"{_cardinal(hour)} {_cardinal(minute)}"


def _fraction(match: Match[str]) -> str:
    whole, top, bottom = match["whole"], match["top"], match["bottom"]
    if int(bottom) < 2 or int(top) >= int(bottom):
        return " ".join(_cardinal(number) for number in (whole, top, bottom) if number)
    part = {"2": "half", "4": "quarter"}.get(bottom) or _cardinal_to_ordinal(bottom)
    share = f"{_cardinal(top)} {'halves' if part == 'half' and top != '1' else part + 's' * (top != '1')}"
    return f"{_cardinal(whole)} and {share.replace('one', 'a', 1) if top == '1' else share}" if whole else share


def _cardinal_to_ordinal(number: str) -> str:
    return _engine().ordinal(_cardinal(number))


def _plural(match: Match[str]) -> str:
    *head, last = _number(match["number"]).replace("-", " ").split()
    return " ".join([*head, _engine().plural(last)])


def _roman(numeral: str) -> str:
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}[letter] for letter in numeral]
    following = [*values[1:], 0]
    return str(sum(-value if value < after else value for value, after in zip(values, following, strict=True)))


def _capitals(match: Match[str]) -> str:
    """A word in capitals, as a word where it is one and by its letters where it is not."""
    letters, ending = match["letters"], match["ending"] or ""
    if re.fullmatch("[IVX]{2,}", letters) and not ending:
        return _cardinal(_roman(letters))
    initialism = not match.string.isupper() and letters in _INITIALISMS_THAT_SPELL_WORDS
    if initialism or (len(letters) <= 5 and not Lexicon.cmudict().reads_as_word(letters)):
        return _letters(letters) + (ending and "'s")
    return match[0]


_Spoken = str | Callable[[Match[str]], str]


def _any_of(table: dict[str, str]) -> str:
    return "|".join(re.escape(name) for name in sorted(table, key=len, reverse=True))


# A stop that ends an abbreviation and no sentence.
_STOP = r"\.(?!\s+[A-Z]|\W*$)"

_RULES: tuple[tuple[re.Pattern[str], _Spoken], ...] = tuple(
    (re.compile(pattern), spoken)
    for pattern, spoken in (
        # Single quotes around words, which are no apostrophes.
        (rf"(?<![\w'])(?!(?:{'|'.join(_ELISIONS)})\b)'(?=[A-Za-z])((?:[^']|(?<=\w)'(?=\w))*)'(?!\w)", r" \1 "),
        ('"', " "),
        # Abbreviations.
        (r"\be\.\s?g\.", "for example"),
        (r"\bi\.\s?e\.", "that is"),
        (r"&c\.?", " et cetera"),
        (rf"\b({_any_of(_TITLES)})\.|\b(Mrs?|Dr)(?=\s+[A-Z])", lambda match: _TITLES[match[1] or match[2]]),
        (r"\bSt\.?(?=\s+[A-Z])", "saint"),
        (rf"(?<=[a-z] )St(?:{_STOP}|\b)", "street"),
        (r"(?<!\d)(?<!\d )\bFt\.?(?=\s+[A-Z])", "fort"),
        (
            rf"\b({_any_of(_ABBREVIATIONS)})(?:{_STOP}|(?=\.))",
            lambda match: _ABBREVIATIONS[match[1]],
        ),
        (rf"\b({_any_of(_BEFORE_NUMBERS)})\.\s?(?=[A-Z]?\d)", lambda match: _BEFORE_NUMBERS[match[1]] + " "),
        (r"#\s?(?=\d)", "number "),
        # Roman numerals after a sovereign's name, or what is numbered by them.
        (
            rf"\b((?:King|Queen|Emperor|Pope|Tsar)\s+[A-Z][a-z]+|{_SOVEREIGNS})\s+([IVXL]{{2,}}|V|X|I(?=\.\s+[a-z]))\b"
            r"(?:\.(?=,|\s+[a-z]))?",
            lambda match: f"{match[1]} the {_cardinal_to_ordinal(_roman(match[2]))}",
        ),
        (
            r"\b((?i:chapter|book|part|volume|act|scene|article|section|appendix|war|canto|class|phase|type))\s+"
            r"([IVXLC]{2,}|[VXLC]|I(?!'?\s*[a-z])|(?<=World War )I)\b",
            lambda match: f"{match[1]} {_cardinal(_roman(match[2]))}",
        ),
        # Money, times and measures.
        (
            rf"(?P<sign>[$£€])\s?(?P<amount>{_NUMBER})(?:[\s-](?P<scale>hundred|thousand|million|billion|trillion)\b)?",
            _money,
        ),
        (rf"({_NUMBER})\s?¢", lambda match: f"{_cardinal(match[1])} {_counted(match[1], 'cent')}"),
        (
            r"\b(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)\b(?P<half>(?=\s?[AaPp]\.?\s?[Mm]\b))?",
            _time,
        ),
        (rf"(?<=[\d-]) ?([AaPp])\.?\s?[Mm](?:{_STOP}|\b)", lambda match: f" {_letters(match[1])} m"),
        (r"\s?%", " percent"),
        (
            rf"({_NUMBER})[\s-]?({_any_of(_UNITS)})(?![\w/])(?:(?<=[a-z]){_STOP})?",
            lambda match: f"{_cardinal(match[1])} {_counted(match[1], _UNITS[match[2]])}",
        ),
        # Numbers.
        (r"(?<![\d-])(\d[\d,.]*)\s?-\s?(?=\d[\d,.]*(?![\d-]))", r"\1 to "),
        (
            r"(?<![\d/.])(?:(?P<whole>\d+)[\s-])?(?P<top>\d{1,3})/(?P<bottom>\d{1,3})(?![\d/])",
            _fraction,
        ),
        (r"\b(\d[\d,]*)(?:st|nd|rd|th)\b", lambda match: _cardinal_to_ordinal(match[1])),
        (r"'?\b(?P<number>\d+)'?s\b", _plural),
        (r"\.(\d\d)(?=[\s-]caliber)", lambda match: _cardinal(match[1])),
        (r"\b([A-Z]+)-?(\d{3,})\b", lambda match: f"{_letters(match[1])} {_digits(match[2])}"),
        (r"\b([A-Z]+)(?=\d)", lambda match: _letters(match[1]) + " "),
        (r"(?<=\d)-(?=\d)", " "),
        (r"(?<![\w-])-(?=\.?\d)", "minus "),
        (_NUMBER, lambda match: f" {_number(match[0])} "),
        # Signs.
        (r"&", " and "),
        (r"(?<=\w)@(?=\w)|\s@\s", " at "),
        (r"\+", " plus "),
        (r"=", " equals "),
        # Initials: U.S., Ph.D., then those of names, then capitals in a row.
        (r"\b(?:(?:[A-Za-z]|[A-Z][a-z])\.)+[A-Za-z]\b(?:\.(?!\W*$))?", lambda match: _letters(match[0])),
        (r"(?<!\w)(?<![a-z] (?=I))([A-Z])\.(?=\s*[A-Z])", lambda match: _letters(match[1])),
        (r"(?<=[a-z])\.(?=[a-z])", " dot "),
        (r"\b(?P<letters>[A-Z]{2,})(?P<ending>'?s)?\b", _capitals),
    )
)
