"""The columns of ratings that were made elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lightning_wavenet.errors import RequestError


@dataclass
class Columns:
    """A table of ratings that were made elsewhere, one rating a row."""

    listener: str = "listener"
    """Column of who rated."""
    score: str = "score"
    """Column of the rating."""
    system: str = "system"
    """Column of the system."""
    sentence: str = "sentence"
    """Column of the sentence, or of whatever the systems have in common."""
    stimulus: str | None = None
    """Column of names that `pattern` finds system and sentence in, in place of columns of their own."""
    pattern: str | None = None
    """Regular expression with groups "system" and "sentence". Several that begin with "system", such as system1 and
    system2, are joined by "_" in the order of their names."""
    low: float = 1.0
    """Lowest score of the scale."""
    high: float = 5.0
    """Highest."""

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise RequestError(f"columns.low is {self.low:g} and columns.high {self.high:g}: the scale must rise")
        if (self.stimulus is None) != (self.pattern is None):
            raise RequestError("columns.stimulus and columns.pattern go together: a column, and what is found in it")
        if self.pattern is not None:
            try:
                groups = re.compile(self.pattern).groupindex
            except re.error as error:
                raise RequestError(f"columns.pattern {self.pattern!r} is not a regular expression: {error}") from error
            if "sentence" not in groups or not any(name.startswith("system") for name in groups):
                raise RequestError('columns.pattern needs groups "system" and "sentence", such as (?P<system>[A-Z]+)')
