"""How numbers are said, the American way: 150 is one hundred fifty."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from lightning_wavenet.text.extra import inflect_engine

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
"""Pattern of a number: its thousands may have commas, and it may begin with the point."""

MIXED = rf"(?:\d+ \d{{1,3}}/\d{{1,3}}|\d{{1,3}}/\d{{1,3}}|{NUMBER})"
"""Pattern of a number, a fraction, or a whole number with a fraction."""

ROMAN = r"(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
"""Pattern of a Roman numeral below 4000."""


@cache
def engine() -> Any:
    """What knows the words.

    Raises:
        RequestError: The extra `text` is not installed.
    """
    return inflect_engine()


def digits(number: str) -> str:
    """Digit by digit; what is no digit is left out."""
    return " ".join(engine().number_to_words(digit) for digit in number if digit.isdigit())


def cardinal(number: str) -> str:
    """A number of `NUMBER`."""
    plain = number.replace(",", "")
    whole = plain.partition(".")[0]
    if len(whole) == 2 and whole[0] == "0":
        return f"oh {digits(plain[1:])}"
    if len(whole) > (36 if "," in number else 15) or (len(whole) > 1 and whole[0] == "0"):
        return digits(plain)
    if re.fullmatch(r"1,?[1-9]00", number):
        return f"{cardinal(plain[:2])} hundred"
    spoken: str = engine().number_to_words(plain, andword="", comma="")
    return spoken


def year(number: str) -> str:
    """Four digits in pairs, as years are read: nineteen oh five, but two thousand five."""
    century, rest = number[:2], number[2:]
    if number.startswith(("200", "100")):
        return cardinal(number)
    return f"{cardinal(century)} {'hundred' if rest == '00' else cardinal(rest)}"


def year_or_cardinal(number: str) -> str:
    """A number that is a year where it looks like one, from 1100 to 2099."""
    return year(number) if re.fullmatch(r"(?:1[1-9]|20)\d\d", number) else cardinal(number)


def house(number: str) -> str:
    """The number of a house or road: one twenty three, twenty three oh five."""
    if len(number) == 4 and number[0] != "0" and number[1:] != "000":
        return year(number)
    if len(number) == 3 and number[1:] != "00":
        return f"{digits(number[0])} {cardinal(number[1:])}"
    return digits(number) if len(number) > 4 else cardinal(number)


def ordinal(number: str) -> str:
    """The third, the one hundredth."""
    spoken: str = engine().ordinal(cardinal(number))
    return spoken


def counted(number: str, noun: str) -> str:
    """The noun in the number that goes with the count: one foot, two feet; only its first word changes."""
    if number == "1":
        return noun
    head, *rest = noun.split(" ")
    return " ".join([engine().plural(head), *rest])


def fraction(top: str, bottom: str) -> str:
    """Three quarters, one half, twenty two sevenths."""
    part = {"2": "half", "4": "quarter"}.get(bottom) or ordinal(bottom)
    return f"{cardinal(top)} {'halves' if part == 'half' and top != '1' else part + 's' * (top != '1')}"


def mixed(number: str) -> str:
    """A number of `MIXED`: two and three eighths, three and a half."""
    whole, top, bottom = re.findall(r"(?:(\d+) )?(\d+)/(\d+)|$", number)[0]
    if not top:
        return cardinal(number)
    if int(bottom) < 2:
        return " ".join(cardinal(part) for part in (whole, top, bottom) if part)
    if not whole:
        return fraction(top, bottom)
    share = fraction(top, bottom)
    return f"{cardinal(whole)} and {re.sub('^one ', 'a ', share)}"


def plural(number: str) -> str:
    """Several of a number: eighteen forties."""
    *head, last = year_or_cardinal(number).replace("-", " ").split()
    several = f"{last[:-1]}ies" if last[-1] == "y" else f"{last}es" if last[-1] == "x" else f"{last}s"
    return " ".join([*head, several])


def letters(text: str) -> str:
    """The names of letters; that of A is written ay, for the word a is another sound."""
    return " ".join("ay" if letter in "Aa" else letter.lower() for letter in text if letter.isalpha())


def characters(text: str) -> str:
    """The names of letters and digits, one after another; what is neither is left out."""
    return " ".join(digits(mark) if mark.isdigit() else letters(mark) for mark in text if mark.isalnum())


def roman(numeral: str) -> str:
    """The value of a Roman numeral, in digits."""
    values = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}[letter] for letter in numeral.upper()]
    following = [*values[1:], 0]
    return str(sum(-value if value < after else value for value, after in zip(values, following, strict=True)))
