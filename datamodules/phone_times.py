"""Files that say which phone is spoken when, as TIMIT writes them: first sample, one past the last, label."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from datamodules.records import Phone


def read_phones(path: Path) -> tuple[Phone, ...]:
    """The phones of a `.phn` file.

    Raises:
        ValueError: A line is not of that form, or the phones are not in order; the message has the line's number.
    """
    phones = []
    for number, line in enumerate(path.read_text("ascii", "replace").splitlines(), 1):
        if line.strip():
            try:
                start, end, label = line.split()
                phones.append(Phone(label, int(start), int(end)))
            except ValueError:
                raise ValueError(f"line {number} is not 'START END PHONE'") from None
    before = 0
    for number, phone in enumerate(phones, 1):
        if not before <= phone.start < phone.end:
            line = f"{phone.start} {phone.end} {phone.label}"
            raise ValueError(f"phone {number} ({line}) does not follow the one before it")
        before = phone.end
    return tuple(phones)


def write_phones(path: Path, phones: Iterable[Phone]) -> None:
    """Writes a `.phn` file."""
    path.write_text("".join(f"{start} {end} {label}\n" for label, start, end in phones))
