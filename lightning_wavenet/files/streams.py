"""Files as bytes: the parts of MP3 and Ogg that were joined in one, whether each is whole, and what a WAV has in it.

What decodes MP3 and Ogg trusts the header of the first part, and ends quietly where a download was cut off.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

_KBPS = {
    (1, 1): range(32, 449, 32),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates by version (2 also for 2.5) and layer."""

_RATES = (44_100, 48_000, 32_000)
_MOST_JUNK = 8_192
"""Bytes after the last frame that are no tag; more of them are a file that was not filled."""
_HEADER_BYTES = 4
_FEWEST_FRAMES = 2
"""In a row that are taken for MP3: one alone can be anything."""
_EXTRA_FRAME = 1
"""Some encoders count the frame with the count."""

_OGG_PAGE = struct.Struct("<4sBBqIIIB")
_FIRST_PAGE, _LAST_PAGE = 2, 4


class DamagedStream(Exception):
    """A stream is not whole, or not what can be decoded; the message is a reason."""


class _Frame(NamedTuple):
    kind: tuple[int, int, int, bool]
    """Half of the rates, layer, rate (Hz), mono: what does not change within a stream."""
    size: int
    """Bytes."""
    count_at: int | None
    """In a frame that describes the stream: where the number of its frames is, from the frame's beginning."""
    describes: bool


def mp3_parts(data: bytes) -> list[bytes]:
    """The streams that follow one another in an MP3 file, each with the number of its frames put right.

    Args:
        data: The file.

    Raises:
        DamagedStream: The end of it is missing, or bytes are in it that are no audio.
    """
    data = data[: _tagged_from(data)]
    at = _first_frame(data, 0)
    if at is None:
        return [data]  # Of a form that has no sizes, which the decoder may know.
    parts: list[bytes] = []
    began, first, frames = at, _frame(data, at), 0
    # Less than a frame is the rest of one, where a broadcast was joined. Zeros may follow a tag, but begin no file.
    tags_end = 0 if data[0] == 0 else _skip_tag(data, 0)
    if first is not None and at - tags_end >= first.size:
        raise DamagedStream("bytes at its beginning that are no audio")
    while at < len(data):
        frame = _frame(data, at)
        if frame is None:
            skipped = _skip_tag(data, at)
            if skipped > at:
                after = _frame(data, skipped)
                # Zeros may lie between streams that were joined.
                missing = data[at] == 0 and first is not None and skipped - at >= first.size
                if missing and after is not None and not after.describes:
                    raise DamagedStream("bytes in its middle that are no audio")
                at = skipped
                continue
            if len(data) - at < _HEADER_BYTES and data[at] == 0xFF:
                raise DamagedStream("the end is missing")
            if _first_frame(data, at) is not None:
                raise DamagedStream("bytes in its middle that are no audio")
            if len(data) - at > _MOST_JUNK:
                raise DamagedStream("no audio from some point to its end")
            break
        if at + frame.size > len(data):
            raise DamagedStream("the end is missing")
        if first is not None and at > began and (frame.describes or frame.kind != first.kind):
            parts.append(_counted(data[began:at], first, frames))
            began, first, frames = at, frame, 0
        at += frame.size
        frames += not frame.describes
    assert first is not None
    parts.append(_counted(data[began:at], first, frames))
    return parts


def _counted(part: bytes, first: _Frame, frames: int) -> bytes:
    if first.count_at is None:
        return part
    count = slice(first.count_at, first.count_at + 4)
    promised = int.from_bytes(part[count], "big")
    # The field after the count, where the flags say so, is the stream's size in bytes.
    size = int.from_bytes(part[count.stop : count.stop + 4], "big") if part[count.start - 1] & 2 else 0
    if promised > frames + _EXTRA_FRAME or (promised > frames and size > len(part)):
        raise DamagedStream("the end is missing")
    return part[: count.start] + frames.to_bytes(4, "big") + part[count.stop :]


def _frame(data: bytes, at: int) -> _Frame | None:
    """The frame that begins at a byte, if one does."""
    head = data[at : at + 4]
    if len(head) < _HEADER_BYTES or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate, bit_rate = head[2] >> 2 & 3, head[2] >> 4
    if version == 1 or layer == 4 or rate == 3 or bit_rate in (0, 15):
        return None
    half = {3: 1, 2: 2, 0: 4}[version]
    hz = _RATES[rate] // half
    kbps = _KBPS[min(half, 2), layer][bit_rate - 1]
    padding = head[2] >> 1 & 1
    if layer == 1:
        size = 4 * (12_000 * kbps // hz + padding)
    else:
        size = (72_000 if layer == 3 and half > 1 else 144_000) * kbps // hz + padding
    mono = head[3] >> 6 == 3
    side = 4 + ((9 if mono else 17) if half > 1 else (17 if mono else 32))
    kind = (half, layer, hz, mono)
    tag = data[at + side : at + side + 8]
    if layer == 3 and tag[:4] in (b"Xing", b"Info"):
        return _Frame(kind, size, side + 8 if len(tag) == 8 and tag[7] & 1 else None, True)
    return _Frame(kind, size, None, layer == 3 and data[at + 36 : at + 40] == b"VBRI")


def _first_frame(data: bytes, at: int) -> int | None:
    """Where the next frame begins that another one, a tag or the end follows."""
    at = _skip_tag(data, at)
    while (at := data.find(b"\xff", at)) >= 0:
        place = at
        for number in range(_FEWEST_FRAMES):
            frame = _frame(data, place)
            if frame is None:
                break
            place += frame.size
            if place >= len(data) and number:
                return at
        else:
            return at
        at += 1
    return None


def _skip_tag(data: bytes, at: int) -> int:
    """Where a tag or a padding of zeros ends that begins at a byte; the byte itself where none does."""
    if data[at : at + 3] == b"ID3" and len(data) >= at + 10:
        size = 0
        for byte in data[at + 6 : at + 10]:
            size = size << 7 | byte & 0x7F
        return at + 10 + size + (10 if data[at + 5] & 0x10 else 0)
    if data[at : at + 3] == b"TAG":
        return at + 128
    if data[at : at + 8] == b"APETAGEX" and len(data) >= at + 32:
        size, _, flags = struct.unpack_from("<III", data, at + 12)
        return at + 32 + (size if flags >> 29 & 1 else 0)
    zeros = re.compile(rb"\0+").match(data, at)
    return zeros.end() if zeros is not None and zeros.end() < len(data) else at


def _tagged_from(data: bytes) -> int:
    """Where the tags begin at the end of a file: what lies before them is audio."""
    end = len(data)
    if data[end - 128 : end - 125] == b"TAG":
        end -= 128
    if data[end - 9 : end] == b"LYRICS200" and data[end - 15 : end - 9].isdigit():
        end -= 15 + int(data[end - 15 : end - 9])
    if data[end - 32 : end - 24] == b"APETAGEX":
        size, _, flags = struct.unpack_from("<III", data, end - 20)
        end -= size + (32 if flags >> 31 else 0)
    return max(end, 0)


def wav_payload(data: bytes) -> bytes | None:
    """The bytes of audio in a WAV file, to the end of the file where the header says none; None where there are none.

    Args:
        data: The file.
    """
    place = _wav_chunk(data, b"data", 12)
    if place is None:
        return None
    at, size = place
    if size == 0 and _wav_chunk(data, b"", at) is None:
        # No chunks follow: it was never closed, or written to a pipe.
        size = len(data) - at
    return data[at : at + size] or None


def _wav_chunk(data: bytes, name: bytes, at: int) -> tuple[int, int] | None:
    """Where the content of a chunk begins, and its bytes; with no name the place and 0 if chunks fill all of a file."""
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == name:
            return at + 8, size
        at += 8 + size + size % 2
    return (at, 0) if not name and at in (len(data), len(data) + 1) else None


def ogg_links(data: bytes) -> list[bytes]:
    """The links of an Ogg file, which follow one another and have a header each.

    Args:
        data: The file.

    Raises:
        DamagedStream: A page is missing, is not whole, or the last one has no mark of the end.
    """
    links: list[bytes] = []
    began, header, pages, last = 0, True, dict[int, int](), dict[int, bool]()
    for at, flags, serial, number in _ogg_pages(data):
        first = bool(flags & _FIRST_PAGE)
        if first and not header:
            _need_ends(last)
            links.append(data[began:at])
            began, pages, last = at, {}, {}
        if serial in pages and number != pages[serial] + 1:
            raise DamagedStream("a part of its middle is missing")
        header, pages[serial], last[serial] = first, number, bool(flags & _LAST_PAGE)
    _need_ends(last)
    return [*links, data[began:]]


def _need_ends(last: dict[int, bool]) -> None:
    if not all(last.values()):
        raise DamagedStream("the end is missing")


def _ogg_pages(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Where every page begins, its flags, the number of its stream, and its own."""
    at = 0
    while at < len(data):
        if data[at : at + 4] != b"OggS":
            if data.find(b"OggS", at) >= 0:
                raise DamagedStream("bytes in its middle that are no audio")
            return  # A tag of other programs.
        if at + _OGG_PAGE.size > len(data):
            raise DamagedStream("the end is missing")
        _, _, flags, _, serial, number, _, segments = _OGG_PAGE.unpack_from(data, at)
        sizes = data[at + _OGG_PAGE.size : at + _OGG_PAGE.size + segments]
        end = at + _OGG_PAGE.size + segments + sum(sizes)
        if end > len(data) or len(sizes) < segments:
            raise DamagedStream("the end is missing")
        yield at, flags, serial, number
        at = end
