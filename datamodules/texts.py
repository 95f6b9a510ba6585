"""Text files in the encodings that people have them in: UTF-8, or what a mark at their beginning says."""

from __future__ import annotations

import codecs
from pathlib import Path

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    # Before UTF-16, whose mark theirs begins with.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(path: Path) -> str:
    """The text of a file, without the mark of its encoding.

    Raises:
        ValueError: It cannot be read, or is in another encoding; the message says so, in one line without a period.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"unreadable: {error.strerror}") from error
    mark, encoding = next((one for one in _MARKS if data.startswith(one[0])), (b"", "utf-8"))
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line} is not {encoding.upper()}; save the file as UTF-8") from None
    if "\0" in text:
        # UTF-16 without a mark is often UTF-8 as well, with zeros in it.
        raise ValueError("it has zeros in it, as UTF-16 without a mark has; save the file as UTF-8")
    return text


def read_words(path: Path) -> str:
    """The text of a file on one line, with single spaces.

    Raises:
        ValueError: As `read_text`.
    """
    return " ".join(read_text(path).split())


def read_lines(path: Path) -> list[str]:
    """The lines of a file: other separators, such as U+2028 and U+0085, are within a line.

    Raises:
        ValueError: As `read_text`.
    """
    return read_text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n")
