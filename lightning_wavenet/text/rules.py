"""A rule turns one kind of writing into words: a pattern, and what is said for what it matches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from re import Match, Pattern

Spoken = str | Callable[[Match[str]], str]
Rule = tuple[Pattern[str], Spoken]

STOP = r"\.(?!\s+[A-Z]|\W*$)"
"""Pattern of a stop that ends an abbreviation and no sentence."""


def compiled(*rules: tuple[str, Spoken]) -> tuple[Rule, ...]:
    """Rules in the order in which they are applied."""
    return tuple((re.compile(pattern), spoken) for pattern, spoken in rules)


def apply(rules: Iterable[Rule], text: str) -> str:
    """The text after every rule, one after the other."""
    for pattern, spoken in rules:
        text = pattern.sub(spoken, text)
    return text


def any_of(names: Iterable[str]) -> str:
    """Pattern of any of these, the longest first."""
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
