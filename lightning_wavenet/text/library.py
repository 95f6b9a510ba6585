"""What the library wetext reads, for tokens that no rule of ours knows."""

from __future__ import annotations

import re
from functools import cache

from lightning_wavenet.text.extra import normalizer


@cache
def reads(token: str) -> str | None:
    """The words of a short piece of ASCII text; None where the library has none, or leaves some of it unread.

    Raises:
        RequestError: The extra `text` is not installed.
    """
    try:
        said: str = normalizer().normalize(token)
    except (AssertionError, RuntimeError, ValueError, IndexError):
        return None  # It has no answer for some signs, and says so by an assertion.
    said = re.sub(r"\b(hundred|thousand|million|billion|trillion) and\b", r"\1", said)
    return said if re.fullmatch(r"[A-Za-z][A-Za-z' -]*", said) else None


def unit(symbol: str, one: bool) -> str | None:
    """The name of a unit after a count; None for what is none.

    Raises:
        RequestError: The extra `text` is not installed.
    """
    said = reads(f"{1 if one else 2} {symbol}")
    name = said and re.sub("^(?:one|two) ", "", said)
    return None if name is None or name.lower() == symbol.lower() else name


def state(code: str) -> str | None:
    """The name of a state of the United States by its two letters; None for other letters.

    Raises:
        RequestError: The extra `text` is not installed.
    """
    try:
        said = str(normalizer().normalize(f"Paris, {code}"))
    except AssertionError:
        return None
    name = said.removeprefix("Paris, ")
    return name if name != code and name.replace(" ", "").isalpha() else None
