"""The one reader of recordings: a file of any kind to mono, or the reason that it cannot be used."""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile as sf
import torch
import torchaudio
from numpy.typing import NDArray

from lightning_wavenet.files.streams import DamagedStream, mp3_parts, ogg_links, wav_payload

FULL_SCALE = 32768
"""What 1.0 is in PCM16."""

_HIGHEST_RATE = 1_000_000
# Zero crossings of the sinc on each side. torchaudio's default of 6 loses 1.8 dB at 7 kHz, and lets 9 kHz through
# at -17 dB, when it resamples from 48 kHz to 16 kHz; 64 loses nothing there and stops 9 kHz at -87 dB.
_FILTER_WIDTH = 64
# Rates without a large common factor, which only damaged headers have, would need a filter bank of gigabytes.
_LARGEST_FILTER_BANK = 2**24
# Programs that write to a pipe leave a size near 2 GiB or 4 GiB in a WAV header, because they cannot know it.
_SMALLEST_UNKNOWN_SIZE = 0x7FFF0000
# Programs that count the header as audio leave a size that is too large by as much; nothing is missing then.
_HEADER_BYTES = 128
# Encoders and mixes exceed 1.0 by some dB; what exceeds it by 20 dB is no waveform of that scale.
_HIGHEST_PEAK = 10.0
_BLOCK = 2**16
_UNKNOWN_FRAMES = 2**62
_CUT = "truncated or damaged before its end"


class DecodingError(Exception):
    """A file cannot be used; the message is a reason, in one line without a period."""


class _InOrder(sf.SoundFile):
    """A file that is read from its beginning to its end, whatever its header says of its length.

    Otherwise soundfile seeks after every read, which some kinds do not allow and others do inexactly.
    """

    def seekable(self) -> bool:
        return False


def read_mono(path: str | Path) -> tuple[NDArray[np.float32], int]:
    """A recording with its channels averaged, `[T]`, and its rate (Hz).

    Args:
        path: WAV, FLAC, Ogg, MP3 or whatever else libsndfile reads.

    Raises:
        DecodingError: The file is missing, empty, damaged, or holds what is no waveform.
    """
    try:
        wave, rate = _read(Path(path))
    except (DecodingError, KeyboardInterrupt, SystemExit):
        raise
    except DamagedStream as error:
        raise DecodingError(f"{_CUT}: {error}") from error
    except OSError as error:
        raise DecodingError(f"unreadable: {error.strerror or error}") from error
    except Exception as error:
        # Whatever else an odd file does to the decoder must not end the work on all the others.
        raise DecodingError(f"unreadable: {type(error).__name__}: {' '.join(str(error).split())}") from error
    if not np.isfinite(wave).all():
        raise DecodingError("samples that are NaN or infinite")
    peak = float(np.abs(wave).max())
    if peak > _HIGHEST_PEAK or (peak > 1 and not (wave % 1).any()):
        raise DecodingError(
            f"samples up to {peak:,.5g} where full scale is 1.0: 16-bit numbers as floats; divide them by 32,768"
        )
    return wave.mean(axis=1), rate


def printable(name: str | Path) -> str:
    r"""A name with an escape, such as \udce9, for each byte that is not UTF-8 and can be neither printed nor kept."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def to_rate(wave: NDArray[np.float32], rate: int, sample_rate: int) -> NDArray[np.float32]:
    """A waveform at another rate (Hz).

    Raises:
        DecodingError: Its rate cannot be one of audio.
    """
    if rate == sample_rate:
        return wave
    common = math.gcd(rate, sample_rate)
    bank = (rate // common) * (sample_rate // common + 2 * _FILTER_WIDTH)
    if rate > _HIGHEST_RATE or bank > _LARGEST_FILTER_BANK:
        raise DecodingError(f"sampled at {rate:,} Hz, which cannot be a rate of audio")
    return torchaudio.functional.resample(
        torch.from_numpy(wave), rate, sample_rate, lowpass_filter_width=_FILTER_WIDTH
    ).numpy()


def to_pcm(wave: NDArray[np.float32]) -> NDArray[np.int16]:
    """A waveform as PCM16; what exceeds full scale is clipped."""
    pcm: NDArray[np.int16] = np.rint(wave * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return pcm


def _read(path: Path) -> tuple[NDArray[np.float32], int]:
    """All samples, `[T, channels]`, and the rate (Hz)."""
    if path.is_dir():
        raise DecodingError("a folder and no file")
    if path.stat().st_size == 0:
        raise DecodingError("empty file")
    try:
        file = _InOrder(os.fsencode(path))  # Names need not be UTF-8.
    except sf.LibsndfileError as error:
        raise DecodingError(f"unreadable: {_said(error)}") from error
    with file:
        rate = file.samplerate
        if file.format == "MP3" or file.subtype.startswith("MPEG_"):
            data = path.read_bytes()
            parts = mp3_parts(data if file.format == "MP3" else wav_payload(data) or b"")
            return _joined([_read_pipe(part) for part in parts])
        if file.format == "OGG":
            links = ogg_links(path.read_bytes())
            if len(links) > 1:
                return _joined([_read_bytes(link) for link in links])
        wave = _blocks(file)
        if _promised(file, path) - len(wave) > _HEADER_BYTES // (2 * file.channels) or _is_cut_short(file):
            raise DecodingError(_CUT)
        if len(wave) < file.frames < _UNKNOWN_FRAMES:
            raise DecodingError(_CUT)
        if file.format == "FLAC" and not _has_its_checksum(wave, file.subtype, path):
            raise DecodingError("damaged: its samples are not those that its checksum is of")
        if len(wave) == 0 and file.format.startswith("WAV") and (payload := wav_payload(path.read_bytes())):
            form = {"format": "RAW", "subtype": file.subtype, "endian": "LITTLE"}
            with _InOrder(io.BytesIO(payload), samplerate=rate, channels=file.channels, **form) as raw:
                wave = _blocks(raw)
    if len(wave) == 0:
        raise DecodingError("no samples")
    return wave, rate


def _blocks(file: _InOrder) -> NDArray[np.float32]:
    blocks = []
    try:
        while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
            blocks.append(block)
    except sf.LibsndfileError as error:
        raise DecodingError(_CUT) from error
    return np.concatenate(blocks) if blocks else np.zeros((0, file.channels), np.float32)


def _read_bytes(data: bytes) -> tuple[NDArray[np.float32], int]:
    with _InOrder(io.BytesIO(data)) as file:
        wave = _blocks(file)
        if len(wave) < file.frames < _UNKNOWN_FRAMES:
            raise DecodingError(_CUT)
        return wave, file.samplerate


def _read_pipe(data: bytes) -> tuple[NDArray[np.float32], int]:
    """Of an MP3 the decoder estimates a length, and stops there, unless it comes through a pipe."""
    reader, writer = os.pipe()

    def write() -> None:
        # The decoder may have enough before the end.
        with suppress(BrokenPipeError), os.fdopen(writer, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        with _InOrder(reader, closefd=False) as file:
            return _blocks(file), file.samplerate
    except sf.LibsndfileError as error:
        raise DecodingError(f"unreadable: {_said(error)}") from error
    finally:
        os.close(reader)
        thread.join()


def _joined(parts: list[tuple[NDArray[np.float32], int]]) -> tuple[NDArray[np.float32], int]:
    """The recordings that follow one another in a file as one."""
    rates = {rate for _, rate in parts}
    if len(rates) > 1:
        raise DecodingError(f"joined of recordings of several rates ({', '.join(map(str, sorted(rates)))} Hz)")
    waves = [wave for wave, _ in parts]
    if len({wave.shape[1] for wave in waves}) > 1:
        waves = [wave.mean(axis=1, keepdims=True) for wave in waves]
    wave = np.concatenate(waves)
    if len(wave) == 0:
        raise DecodingError("no samples")
    return wave, rates.pop()


_FLAC_MD5 = slice(26, 42)
_FLAC_BYTES = {"PCM_S8": 1, "PCM_16": 2, "PCM_24": 3}
"""Of a sample, in what float32 holds exactly."""
_SIZES = re.compile(r"^\s*(?:data|SSND|BODY|Data Size|riff)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_DS64 = re.compile(r"Calculated frame count \d+ does not match value from 'ds64' chunk of (\d+)")


def _is_cut_short(file: _InOrder) -> bool:
    """Whether libsndfile found less audio than the header promises; `frames` is corrected silently."""
    return any(
        int(found[2]) + _HEADER_BYTES < int(found[1]) < _SMALLEST_UNKNOWN_SIZE
        for found in _SIZES.finditer(file.extra_info)
    )


def _promised(file: _InOrder, path: Path) -> int:
    """Samples that a header promises of which libsndfile does not tell."""
    found: re.Match[bytes] | re.Match[str] | None = None
    if file.format == "NIST":
        with path.open("rb") as head:
            found = re.search(rb"^sample_count -i (\d+)", head.read(1024), re.MULTILINE)
    elif file.format == "RF64":
        found = _DS64.search(file.extra_info)
    return int(found[1]) if found is not None and int(found[1]) < _UNKNOWN_FRAMES else 0


def _has_its_checksum(wave: NDArray[np.float32], subtype: str, path: Path) -> bool:
    """Whether the MD5 in a FLAC's header is that of its samples `[T, channels]`; also where it states none."""
    with path.open("rb") as file:
        header = file.read(_FLAC_MD5.stop)
    stated = header[_FLAC_MD5]
    if not header.startswith(b"fLaC") or subtype not in _FLAC_BYTES or not any(stated):
        return True
    size = _FLAC_BYTES[subtype]
    whole = np.rint(wave * 2.0 ** (8 * size - 1)).astype("<i4")
    return hashlib.md5(whole.view(np.uint8).reshape(-1, 4)[:, :size].tobytes()).digest() == stated


def _said(error: sf.LibsndfileError) -> str:
    return str(error.error_string).rstrip(".")
