"""Small corpora of music, made on the spot by numpy alone, in the layout of MagnaTagATune.

A clip has a melody of one instrument, drums, or both. What sounds at which of the eight steps of a bar is random, and
the same in every bar of the clip; each note is a sound of its own, so that what repeats is the rhythm and the melody,
and not the samples.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from datamodules.synthetic import MADE_BY, at_level, check_rate, whole_corpus
from lightning_wavenet.errors import RequestError
from lightning_wavenet.files.audio import complete

Wave = NDArray[np.float64]
"""`[T]`."""

BAR_SECONDS = {"fast": 1.0, "slow": 2.0}
"""Of a bar, by tempo: the period of rhythm and melody."""
STEPS = 8
"""Of a bar."""
_ROOTS = {"low": 98.0, "high": 392.0}
"""Lowest note of a melody, by register (Hz): G."""
_SCALE = (0, 3, 5, 7, 10, 12)
"""Notes of a melody, in semitones over that: a pentatonic scale in minor."""
_FOLDERS = "0123456789abcdef"


class Piece(NamedTuple):
    """What a clip is to be."""

    melody: str
    """An instrument, or empty for drums alone."""
    drums: bool
    tempo: str
    register: str
    """Of the melody."""

    @property
    def tags(self) -> tuple[str, ...]:
        """What holds of it."""
        drums = ("drums",) if self.drums else ()
        return (*((self.melody, self.register) if self.melody else ()), *drums, self.tempo)


def synthesize_music(
    out: Path,
    clips: int = 160,
    seed: int = 0,
    seconds: float = 4.0,
    sample_rate: int = 8_000,
    overwrite: bool = False,
) -> Path:
    """Write music in the layout of MagnaTagATune, with the recordings as wav (16 bit).

    Of every sixteen clips twelve train, one validates and three test, as folders divide the corpus. Tags are guitar,
    organ, flute and drums, slow and fast, low and high.

    Args:
        out: Folder that `MagnaTagATune` is made in.
        clips: How many, 16 to 9,999.
        seed: Decides everything.
        seconds: How long a clip is (s).
        sample_rate: Samples a second (Hz).
        overwrite: Replace a corpus that was made here before.

    Returns:
        The corpus folder.

    Raises:
        RequestError: The corpus exists, or an option is out of range.
    """
    check_rate(sample_rate)
    if not 16 <= clips <= 9_999:
        raise RequestError(f"a corpus of music has 16 to 9,999 clips, so that every folder has one, not {clips}")
    if not 1 <= seconds <= 600:
        raise RequestError(f"clips are 1 to 600 seconds long, not {seconds:g}")
    if seed < 0:
        raise RequestError(f"a seed is 0 or more, not {seed}")
    names = sorted({tag for piece in _PIECES for tag in piece.tags})
    annotations: list[list[object]] = [["clip_id", *names, "mp3_path"]]
    about: list[list[object]] = [_COLUMNS]
    bar = (TextColumn("synthesizing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with (
        whole_corpus(Path(out) / "MagnaTagATune", overwrite) as folder,
        Progress(*bar, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        for number, piece in enumerate(progress.track(_pieces(clips, seed), total=clips), 1):
            shard = _FOLDERS[(number - 1) % 16]
            artist, title, track = f"band {shard}", " ".join(piece.tags), (number - 1) // 16 + 1
            stem = f"{artist}-synthetic-{track:02d}-{title}-0-{round(seconds)}".replace(" ", "_")
            path = folder / "mp3" / shard / f"{stem}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng((seed, number))
            samples = at_level(render(piece, round(seconds * sample_rate), sample_rate, rng), rng)
            with complete(path):
                soundfile.write(path, samples, sample_rate, subtype="PCM_16")
            mp3 = f"{shard}/{stem}.mp3"
            annotations.append([number, *(int(name in piece.tags) for name in names), mp3])
            about.append([number, track, title, artist, "synthetic", "", 0, round(seconds), "", mp3])
        _write_table(folder / "annotations_final.csv", annotations)
        _write_table(folder / "clip_info_final.csv", about)
        options = {"clips": clips, "seed": seed, "seconds": seconds, "sample_rate": sample_rate}
        origin = {"made by": "wavenet data synthesize", "layout": "music"} | options
        (folder / MADE_BY).write_text(json.dumps(origin, indent=2) + "\n")
    return Path(out) / "MagnaTagATune"


def render(piece: Piece, samples: int, sample_rate: int, rng: np.random.Generator) -> Wave:
    """A clip, `[samples]`, of any level.

    Args:
        piece: What it is to be.
        samples: How long it is.
        sample_rate: Samples a second (Hz).
        rng: Decides rhythm, melody and every sound.
    """
    bar = BAR_SECONDS[piece.tempo] * sample_rate
    wave = np.zeros(samples)
    if piece.melody:
        play = _INSTRUMENTS[piece.melody]
        steps = _rhythm(rng)
        notes = {step: _ROOTS[piece.register] * 2 ** (rng.choice(_SCALE) / 12) for step in steps}
        lasting = dict(zip(steps, np.diff([*steps, steps[0] + STEPS]).tolist(), strict=True))
        for start, step in _onsets(steps, bar, samples):
            _add(wave, start, play(notes[step], round(lasting[step] * bar / STEPS), sample_rate, rng))
    if piece.drums:
        steps = _rhythm(rng)
        hits = {step: _DRUMS[int(rng.integers(len(_DRUMS)))] for step in steps}
        for start, step in _onsets(steps, bar, samples):
            _add(wave, start, hits[step](sample_rate, rng))
    return wave


def pluck(hz: float, samples: int, sample_rate: int, rng: np.random.Generator) -> Wave:
    """A plucked string: noise that runs around a loop with a low-pass filter in it (Karplus and Strong, 1983)."""
    loop = max(2, round(sample_rate / hz - 0.5))
    period, before = rng.uniform(-1, 1, loop), 0.0
    period -= period.mean()  # What the loop keeps longest would be no sound.
    periods = []
    for _ in range(-(-samples // loop)):
        periods.append(period)
        shifted = np.concatenate([[before], period[:-1]])
        before, period = period[-1], 0.498 * (period + shifted)
    return _faded(np.concatenate(periods)[:samples], sample_rate, 0.001)


def organ(hz: float, samples: int, sample_rate: int, rng: np.random.Generator) -> Wave:
    """Harmonics that stay as they are, as from pipes of several lengths."""
    phase = 2 * np.pi * hz * np.arange(samples) / sample_rate
    stops = {1: 0.5, 2: 0.35, 3: 0.25, 4: 0.2, 6: 0.12, 8: 0.1}
    heard = {harmonic: level for harmonic, level in stops.items() if harmonic * hz < 0.45 * sample_rate}
    tones = [level * np.sin(harmonic * phase + rng.uniform(0, 2 * np.pi)) for harmonic, level in heard.items()]
    return _faded(np.sum(tones, axis=0), sample_rate, 0.01)


def flute(hz: float, samples: int, sample_rate: int, rng: np.random.Generator) -> Wave:
    """Nearly a sine, which trembles five times a second, and some breath."""
    time = np.arange(samples) / sample_rate
    phase = 2 * np.pi * hz * time + 0.4 * np.sin(2 * np.pi * 5 * time)
    breath = np.convolve(rng.normal(0, 0.03, samples + 2), [0.25, 0.5, 0.25], "valid")
    return _faded(0.6 * np.sin(phase) + 0.05 * np.sin(2 * phase) + breath, sample_rate, 0.04)


def kick(sample_rate: int, rng: np.random.Generator) -> Wave:
    """A large drum: a sine that falls from 150 to 50 Hz and dies away."""
    time = np.arange(round(0.2 * sample_rate)) / sample_rate
    hz = 50 + 100 * np.exp(-time / 0.03)
    return np.asarray(np.sin(2 * np.pi * np.cumsum(hz) / sample_rate) * np.exp(-time / 0.06))


def snare(sample_rate: int, rng: np.random.Generator) -> Wave:
    """A small drum: noise and a tone of 180 Hz that die away."""
    time = np.arange(round(0.15 * sample_rate)) / sample_rate
    noise = rng.uniform(-0.7, 0.7, len(time))
    return np.asarray((noise + 0.4 * np.sin(2 * np.pi * 180 * time)) * np.exp(-time / 0.04))


def cymbal(sample_rate: int, rng: np.random.Generator) -> Wave:
    """A short hiss: the differences of noise, which has more of the high frequencies."""
    time = np.arange(round(0.05 * sample_rate)) / sample_rate
    noise = np.diff(rng.uniform(-0.4, 0.4, len(time) + 1))
    return np.asarray(noise * np.exp(-time / 0.015))


_INSTRUMENTS: dict[str, Callable[[float, int, int, np.random.Generator], Wave]] = {
    "guitar": pluck,
    "organ": organ,
    "flute": flute,
}
"""Each plays a note of some frequency (Hz) and length (samples)."""
_DRUMS: Sequence[Callable[[int, np.random.Generator], Wave]] = (kick, snare, cymbal)
_PIECES = [
    *(Piece(*one) for one in product(_INSTRUMENTS, (False, True), BAR_SECONDS, _ROOTS)),
    *([Piece("", True, tempo, "low") for tempo in BAR_SECONDS] * 4),
]
"""All that a clip may be; drums alone as often as any instrument."""
_COLUMNS: list[object] = [
    *("clip_id", "track_number", "title", "artist", "album", "url"),
    *("segmentStart", "segmentEnd", "original_url", "mp3_path"),
]
"""Of clip_info_final.csv."""


def _pieces(clips: int, seed: int) -> Iterator[Piece]:
    """All kinds equally often, in random order, which does not follow the folders."""
    rng = np.random.default_rng(seed)
    for first in range(0, clips, len(_PIECES)):
        for kind in rng.permutation(len(_PIECES))[: clips - first]:
            yield _PIECES[kind]


def _rhythm(rng: np.random.Generator) -> list[int]:
    """Three to six steps of a bar, the first among them."""
    others = rng.choice(np.arange(1, STEPS), rng.integers(2, 6), replace=False)
    return [0, *sorted(others.tolist())]


def _onsets(steps: Sequence[int], bar: float, samples: int) -> Iterator[tuple[int, int]]:
    """Where steps begin in a clip (samples), bar after bar, and which they are."""
    for number in range(int(-(-samples // bar))):
        for step in steps:
            if (start := round((number + step / STEPS) * bar)) < samples:
                yield start, step


def _add(wave: Wave, start: int, sound: Wave) -> None:
    wave[start : start + len(sound)] += sound[: len(wave) - start]


def _faded(sound: Wave, sample_rate: int, attack: float) -> Wave:
    """A sound that rises within some time (s), and ends without a click."""
    for count, part in ((round(attack * sample_rate), sound), (round(0.01 * sample_rate), sound[::-1])):
        count = min(count, len(sound))
        part[:count] *= np.linspace(0, 1, count, endpoint=False)
    return sound


def _write_table(path: Path, lines: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(lines)
