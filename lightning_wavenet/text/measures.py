"""Ranges, measures, fractions, ordinals, serial numbers, plain numbers and mathematics."""

from __future__ import annotations

import re
from re import Match

from lightning_wavenet.text.library import reads, unit
from lightning_wavenet.text.numbers import (
    MIXED,
    NUMBER,
    cardinal,
    characters,
    counted,
    digits,
    house,
    letters,
    mixed,
    ordinal,
    plural,
    year_or_cardinal,
)
from lightning_wavenet.text.pronunciation import Lexicon
from lightning_wavenet.text.rules import STOP, any_of, compiled

_UNITS = {
    **{"km": "kilometer", "cm": "centimeter", "mm": "millimeter", "m": "meter", "nm": "nanometer", "um": "micrometer"},
    **{"mi": "mile", "mi.": "mile", "yd": "yard", "yds": "yard", "ft": "foot", "ft.": "foot", "in.": "inch"},
    **{"kg": "kilogram", "mg": "milligram", "g": "gram", "ug": "microgram", "lb": "pound", "lbs": "pound"},
    **{"oz": "ounce", "ml": "milliliter", "mL": "milliliter", "l": "liter", "L": "liter", "dl": "deciliter"},
    **{"gal": "gallon", "gal.": "gallon", "qt": "quart", "pt": "pint", "tbsp": "tablespoon", "tsp": "teaspoon"},
    **{"hr": "hour", "hrs": "hour", "h": "hour", "min": "minute", "mins": "minute", "sec": "second", "secs": "second"},
    **{"s": "second", "ms": "millisecond", "us": "microsecond", "ns": "nanosecond", "yrs": "year", "yr": "year"},
    **{"Hz": "hertz", "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz", "dB": "decibel", "K": "kelvin"},
    **{"W": "watt", "kW": "kilowatt", "MW": "megawatt", "GW": "gigawatt", "kWh": "kilowatt hour", "Wh": "watt hour"},
    **{"MWh": "megawatt hour", "V": "volt", "kV": "kilovolt", "mV": "millivolt", "A": "ampere", "mA": "milliampere"},
    **{"mAh": "milliamp hour", "ohm": "ohm", "kohm": "kilohm", "Mohm": "megohm", "N": "newton", "J": "joule"},
    **{"kJ": "kilojoule", "cal": "calorie", "kcal": "kilocalorie", "Pa": "pascal", "kPa": "kilopascal"},
    **{"bit": "bit", "kB": "kilobyte", "KB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte"},
    **{"PB": "petabyte", "kbps": "kilobit per second", "Mbps": "megabit per second", "Gbps": "gigabit per second"},
    **{"mph": "mile per hour", "mpg": "mile per gallon", "kph": "kilometer per hour", "kmh": "kilometer per hour"},
    **{"fps": "frame per second", "cc": "cubic centimeter", "acre": "acre", "ha": "hectare", "t": "ton", "px": "pixel"},
    **{"°C": "degree celsius", "°F": "degree fahrenheit", "°": "degree", "° C": "degree celsius"},
    "° F": "degree fahrenheit",
}
_LETTERED = {"rpm": "r p m", "ppm": "p p m", "psi": "p s i", "bpm": "b p m", "dpi": "d p i"}
# A letter, or what is a word too, is a unit only as in "5m", "5 m/s" and before a stop.
_ALONE = any_of(name for name in _UNITS if name not in ("A", "N", "K", "t", "J", "us", "s", "h"))
_ANY = any_of(_UNITS)
_RATE = rf"(?P<square>(?:sq|cu)\.? )?(?P<unit>{_ALONE}|(?:{_ANY})(?=[/^]))(?P<power>\^-?[23]|[23](?![\w.]))?"
_RATE += rf"(?:/(?P<per>{_ANY})(?P<perpower>\^[23]|[23](?![\w.]))?)?"
_FEET = r"(?<![\w.])(\d+)'\s?(\d{1,2}(?:\.5)?)(?:\"|''|(?=\s|$))"
_IDIOMS = r"24/7|50/50|9/11|20/20|80/20|60/40|70/30|90/10|7/11"
_POWERS = {"2": "squared", "3": "cubed"}
_ARTICLE = r"(?P<article>\b(?:[Aa]n?|[Tt]his|[Tt]hat|[Hh]is|[Hh]er|[Mm]y|[Oo]ne|[Ee]very|[Ee]ach) )?"
_NOUN = r"(?=[ -](?!(?:a|an|and|as|at|by|for|from|in|is|it|of|on|or|per|than|that|the|to|was|were|with|when|will|long|"
_NOUN += (
    r"would|but|if|wide|high|tall|deep|away|off|north|south|east|west|more|less|into|over|ago|per|each)\b)[a-z]{3,})"
)


def _powered(noun: str, power: str | None) -> str:
    return f"{ {'2': 'square', '3': 'cubic'}[power[-1]] } {noun}" if power else noun


def _several(noun: str) -> str:
    """The plural of a unit: square miles, kilowatt hours, miles per hour, hertz."""
    if noun.endswith("hertz") or noun in _LETTERED.values():
        return noun
    head, per, rest = noun.partition(" per ")
    *before, last = head.split()
    if before and before[0] == "degree":
        return " ".join([counted("2", "degree"), *before[1:], last])
    return " ".join([*before, counted("2", last)]) + per + rest


def _measure(match: Match[str]) -> str:
    number, noun = match["number"], _UNITS[match["unit"]]
    square = match["square"] or ""
    power = match["power"] or ("2" if square.startswith("sq") else "3" if square else None)
    noun = _powered(noun, power)
    if per := match["per"]:
        noun += f" per {_UNITS[per]}"
        noun += f" {_POWERS[match['perpower'][-1]]}" if match["perpower"] else ""
    one = number in ("1", "1/2", "1/4", "3/4", "1/3", "2/3") or (
        match["before"] is not None and (match["article"] or match["unit"] == "°")
    )
    minus = "minus " if match["minus"] else ""
    return f"{match['article'] or ''}{minus}{mixed(number)} {noun if one else _several(noun)}"


def _library_measure(match: Match[str]) -> str:
    """A unit that only the library knows: what is in no dictionary, and so no common word."""
    number, symbol = match["number"], match["symbol"]
    if Lexicon.cmudict().reads_as_word(symbol):
        return match[0]
    name = unit(symbol, number == "1")
    return f"{cardinal(number)} {name} " if name else match[0]


def _feet(match: Match[str]) -> str:
    feet, inches = match[1], match[2]
    return f"{cardinal(feet)} {counted(feet, 'foot')} {cardinal(inches)} {counted(inches, 'inch')}"


def _inches(match: Match[str]) -> str:
    return f"{cardinal(match['number'])} {counted(match['number'], 'inch')}"


def _serial(match: Match[str]) -> str:
    """Letters and digits mixed more than once are read one by one."""
    return f" {characters(match[0])} "


def _hyphened(match: Match[str]) -> str:
    name = match[1]
    word = len(name) > 2 and Lexicon.cmudict().reads_as_word(name)
    return f"{name if word or len(name) > 4 else letters(name)} {cardinal(match[2])} "


def _range(match: Match[str]) -> str:
    """From the one to the other, where that is more, or is short for more: 1840-50."""
    first, last = match[1], match[4]
    start, end = (
        (float(number.replace(",", "").rstrip(".")) for number in (first, last)) if _counts(first, last) else (0, 1)
    )
    shortened = len(first) > len(last) and len(last) > 1
    between = " to " if end > start or shortened else " "
    return f"{first}{' percent' if match[2] == '%' else ''}{between}"


def _counts(*numbers: str) -> bool:
    return all(re.fullmatch(rf"{NUMBER}[.,]?", number) for number in numbers)


def _fraction(match: Match[str]) -> str:
    return f" {mixed(re.sub('[a-zA-Z]', '', match[0]))} " if int(match["bottom"]) > 1 else match[0]


def _ordinal(match: Match[str]) -> str:
    """A number with its own ending; with another it is no ordinal."""
    number, ending, several = match[1].replace(",", ""), match[2].lower(), match[3]
    nth = ordinal(number)
    fits = nth.endswith({"st": "first", "nd": "second", "rd": "third", "th": "th"}[ending])
    return nth + several if fits else f"{cardinal(number)} {letters(ending + several)}"


def _to_the_power(match: Match[str]) -> str:
    power = match[1]
    if power in _POWERS:
        return f" {_POWERS[power]} "
    minus = "minus " if power.startswith("-") else ""
    exponent = power.lstrip("+-")
    return f" to the {minus}{ordinal(exponent) if exponent.isdigit() else letters(exponent)} "


def _rest(match: Match[str]) -> str:
    """What has a digit beside letters or signs goes to the library, if it has an answer."""
    said = reads(match[0])
    return f" {said} " if said else match[0]


RANGES = compiled(
    (r"(?<=[\w)])\s*\u2212\s*(?=[\w(])", " minus "),
    (rf"(?<![\w.,-])({NUMBER}) ?- ?(?={NUMBER} ?=)", r"\1 minus "),
    (r"\b([a-z]) - (?=[a-z]\b|\d)", r"\1 minus "),
    (
        r"(?<![\d/.:$£€¥₹₩-])(?<![A-Za-z]-)(?<![$£€¥₹₩] )(\d[\d,.]*(?<=\d))"
        r"(%| ?°[CF]?)?\s?-\s?(?P<last>(?=(\d[\d,.]*)(?:[^\d:/-]|$)))",
        _range,
    ),
    (r"(?<=\d)('?s)\s?-\s?(?=\d{2,4}s)", r"\1 to "),
    (r"(?<=[a-z]) ?- ?(?=\d{1,2}:\d\d)", " to "),
    (r"(?<=[a-z.'\"]) x (?=\d)", " by "),
    (r"(?<![\w.])(\d+) ?x ?(?=\d+\b)", lambda match: f"{year_or_cardinal(match[1])} by "),
)

RULES = compiled(
    (_FEET, _feet),
    (
        rf"(?<![\w.,/:-])({NUMBER})[ -](hundred|thousand|million|billion|trillion) ({_ALONE})(?![\w/^'.])",
        lambda match: f"{cardinal(match[1])} {match[2]} {_several(_UNITS[match[3]])}",
    ),
    (
        rf"{_ARTICLE}(?<![\w.,/:-])(?P<minus>-)?(?P<number>{MIXED})[\s-]?{_RATE}(?![\w/^'])(?P<before>{_NOUN})?"
        rf"(?:(?<=[a-z]){STOP}|(?<=[a-z])\.(?=\W*$))?",
        _measure,
    ),
    (rf"(?<![\w.,/:-])(?P<number>{NUMBER})\s?in(?=\W*$|[.,;)])", _inches),
    (
        rf"(?<![\w.,/:-])({NUMBER})\s?({any_of(_LETTERED)})\b",
        lambda match: f"{cardinal(match[1])} {_LETTERED[match[2]]}",
    ),
    (r"\s?%", " percent "),
    (
        rf"(?<![\w.,/:-])(?P<number>{NUMBER})\s?(?P<symbol>[A-Za-z]{{2,5}}(?:/[a-z]{{1,3}})?)(?![\w'-])",
        _library_measure,
    ),
    # Fractions, ratios, ordinals.
    (rf"(?<![\w/.])(?:{_IDIOMS})(?![\w/])", lambda match: " ".join(map(cardinal, match[0].split("/")))),
    (r"(?<![\w/.])(?:\d+[ -](?=\d+/))?\d{1,3}/(?P<bottom>\d{1,3})(?:(?:st|nd|rd|th|TH)\b)?(?![\w/])", _fraction),
    (r"(?<![\w/.])\d+(?:/\d+){2,}(?![\w/])", lambda match: match[0].replace("/", " ")),
    (r"(?<![\w:.])(\d+):(\d+)(?![\w:])", lambda match: f"{cardinal(match[1])} to {cardinal(match[2])}"),
    (r"\b(\d[\d,]*)((?i:st|nd|rd|th))(s?)\b", _ordinal),
    (r"\b([1-9]\d{2,3}0) s\b", lambda match: plural(match[1])),
    (r"\b(\d{3})\(([a-z])\)", lambda match: f"{house(match[1])} {letters(match[2])}"),
    (
        r"(?i)\b(ending in|ends in|last four digits|pin|code|otp|number is) (\d{4,})(?![\w,.-]*\d)",
        lambda match: f"{match[1]} {digits(match[2])}",
    ),
    (r"\b([a-z]{1,4})(\d{3,})\b", lambda match: f"{letters(match[1])} {digits(match[2])}"),
    (r"(?<![\w.,])(\d+\.\d+) ?s\b", lambda match: f"{cardinal(match[1])} seconds"),
    (r"'?\b(?<!\.)(\d+)'?s\b", lambda match: plural(match[1])),
    (r"(?<=\d)x(?= [a-z])", " times"),
    (r"\.(\d\d)(?=[\s-]caliber)", lambda match: cardinal(match[1])),
    # Serial numbers.
    (r"\b(?=[A-Z]*\d+[A-Z]+\d|[A-Z]+\d+[A-Z])[A-Z\d]+\b", _serial),
    (r"\b([A-Z]{1,5})-(\d{1,2})\b", _hyphened),
    (r"\b([A-Z]+)-?(\d{3,})\b", lambda match: f"{letters(match[1])} {digits(match[2])}"),
    (r"\b([A-Z]+)(?=\d)", lambda match: letters(match[1]) + " "),
    (r"(?<=\d)([A-Z])\b", lambda match: f" {letters(match[1])}"),
    # Mathematics.
    (r"\b([b-df-hj-np-tv-z]{2,3})(?=\^)", lambda match: letters(match[1])),
    (r"\^\{?([+-]?(?:\d+|[a-z]))\}?", _to_the_power),
    (r"=\s*-\s*(?=[a-z(])", "equals minus "),
    (r"(?<=[\w)])\s[*\u00d7]\s(?=[\w(])|\u00d7|(?<=\d)\*(?=\d)", " times "),
    (r"\s*÷\s*", " divided by "),
    (r"±\s*|\+/-\s*", " plus or minus "),
    (r"<=|≤", " is less than or equal to "),
    (r">=|≥", " is greater than or equal to "),
    (r"!=", " is not equal to "),
    (r"(?<=\w) < (?=[\w-])", " is less than "),
    (r"(?<=\w) > (?=[\w-])", " is greater than "),
    (r"<\s?(?=\d)", " less than "),
    (r">\s?(?=\d)", " more than "),
    (r"[≈~]\s?(?=\d)", " approximately "),
    (r"≈", " is approximately "),
    (r"√\s?", " square root of "),
    (r"∞", " infinity "),
    (r"°", " degrees "),
    # What is left of numbers.
    (r"(?<=[a-z]{2})-(?=\d)", " "),
    (r"(?<=\d)([a-z])\b", r" \1"),
    (r"(?<!\S)(?=[^\s\d]*\d)(?!-?[\d,.]+[\s.,;:!?)\"']|-?[\d,.]+$)[A-Za-z\d:/.#x-]*[\dA-Za-z](?=[\s,;!?]|\.?$)", _rest),
    (r"(?<=\d)-(?=\d)", " "),
    (r"(?<![\w-])-(?=\.?\d)", "minus "),
    (NUMBER, lambda match: f" {year_or_cardinal(match[0])} "),
    (r"&", " and "),
    (r"@", " at "),
    (r"\+", " plus "),
    (r"=", " equals "),
)
