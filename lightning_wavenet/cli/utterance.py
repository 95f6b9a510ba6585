"""One utterance of a corpus, as a person can check it: words, syllables, phones with times, F0 and all features."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_wavenet.errors import RequestError
from lightning_wavenet.features import Linguistic, LogF0
from lightning_wavenet.files.atomic import write_atomically
from lightning_wavenet.text.matching import Mismatch, matched, whole
from lightning_wavenet.text.phones import Phone
from lightning_wavenet.text.structure import Structure
from lightning_wavenet.text.symbols import SILENCE

if TYPE_CHECKING:
    from datamodules import AudioDataModule

_NUMBERS = 6
"""Columns that are numbers, before those that are names."""
_FRAME_SECONDS = 0.005
_HIGHEST_HZ = 8_000
_WINDOW_SECONDS, _HOP_SECONDS = 0.02, 0.0025
_INCHES_A_SECOND, _LEAST_INCHES, _MOST_INCHES = 3.2, 10.0, 48.0


class Interval(NamedTuple):
    """A part of an utterance."""

    start: float
    """In seconds."""
    end: float
    text: str


class View(NamedTuple):
    """All that there is to see of an utterance."""

    id: str
    speaker: str
    split: str
    text: str
    waveform: NDArray[np.float32]
    sample_rate: int
    hop: int
    """Samples a frame; 5 ms without features."""
    phones: list[Phone]
    """Without a gap, where words are known."""
    structure: Structure | None
    """None where the phones are not matched to the text."""
    notes: list[str]
    """What is not there, and why."""
    f0: NDArray[np.float64] | None
    """F0 in Hz, `[N]`, 0 where there is none, as the frames have it."""
    frames: NDArray[np.float32] | None
    """Linguistic features, `[F, N]`."""
    linguistic: Linguistic | None

    def seconds(self, sample: int) -> float:
        """Of a sample."""
        return sample / self.sample_rate

    def tiers(self) -> dict[str, list[Interval]]:
        """Phrases, words, syllables and phones with their times."""
        tiers: dict[str, list[Interval]] = {"phrases": [], "words": [], "syllables": [], "phones": []}
        last: dict[str, Any] = {}
        for number, phone in enumerate(self.phones):
            start, end = self.seconds(phone.start), self.seconds(phone.end)
            tiers["phones"].append(Interval(start, end, phone.label))
            place = None if self.structure is None else self.structure.segments[number].place
            if self.structure is None or place is None:
                continue
            word = self.structure.phrases[place.phrase][place.word]
            syllable = word.syllables[place.syllable]
            for name, key, text in (
                ("phrases", place[:1], f"phrase {place.phrase + 1}"),
                ("words", place[:2], word.text),
                ("syllables", place[:3], syllable.spelled),
            ):
                if last.get(name) == key:
                    tiers[name][-1] = tiers[name][-1]._replace(end=end)
                else:
                    tiers[name].append(Interval(start, end, text))
                    last[name] = key
        return {name: intervals for name, intervals in tiers.items() if intervals}


def view(data: AudioDataModule, id: str) -> View:
    """What there is to see of an utterance, after `setup`.

    Raises:
        RequestError: The corpus has no such utterance, or cannot use it.
    """
    clips = data.clips
    if id not in clips.ids:
        unused = [problem for problem in data.problems if problem.id == id]
        if unused:
            raise RequestError(f"{id} cannot be used: {unused[0].reason}")
        like = get_close_matches(id, clips.ids, 3, 0.5) or clips.ids[:3]
        raise RequestError(f"{data.name} has no utterance {id!r}; it has {', '.join(like)}, ...")
    clip = clips.ids.index(id)
    phones, text = clips.value("phones", clip), clips.value("text", clip)
    length = int(clips.lengths[clip])
    notes, structure = [], None
    extractors = [table.extractor for table in clips.features]
    if any(isinstance(one, Linguistic) and one.symbols == "other" for one in extractors):
        phones = whole(phones, length) if phones else []
    elif not phones:
        notes.append("the corpus does not say when phones are spoken: set data.alignments")
    elif text:
        try:
            structure, phones = matched(text, phones, length, clips.sample_rate)
        except Mismatch as error:
            notes.append(f"words and syllables are not known: {error}")
    f0 = frames = linguistic = None
    hop = extractors[0].hop if extractors else round(_FRAME_SECONDS * clips.sample_rate)
    count = -(-length // hop)
    for table in clips.features:
        if not table.usable[clip]:
            (problem,) = (problem for problem in table.problems(clips.ids) if problem.id == id)
            notes.append(f"{problem.reason} ({problem.place})" if problem.place else problem.reason)
        elif isinstance(table.extractor, LogF0):
            f0 = table.extractor.hertz(table.frames(clip, 0, count), clips.value("speaker", clip))
        elif isinstance(table.extractor, Linguistic):
            linguistic, frames = table.extractor, table.frames(clip, 0, count)
    for kind, name in ((Linguistic, "linguistic features"), (LogF0, "F0")):
        if not any(isinstance(one, kind) for one in extractors):
            notes.append(f"no {name}: --data.features+ {kind.__name__} adds them")
    return View(
        id,
        clips.value("speaker", clip),
        clips.splits[clip] or "",
        text,
        clips.waveform(clip),
        clips.sample_rate,
        hop,
        list(phones),
        structure,
        notes,
        f0,
        frames,
        linguistic,
    )


def tell(seen: View) -> None:
    """Prints an utterance: a line a phone with its word, syllable, times and F0, then the features of each phone."""
    seconds = len(seen.waveform) / seen.sample_rate
    about = [f"{seconds:.2f} s at {seen.sample_rate:,} Hz", seen.split]
    about += [f"speaker {seen.speaker}"] * bool(seen.speaker)
    print(f"{seen.id}: {', '.join(filter(None, about))}")
    if seen.text:
        print(seen.text)
    for note in seen.notes:
        print(note)
    rows: list[tuple[str, ...]] = [
        ("start s", "end s", "ms", "frames", "F0 Hz", "voiced", "phone", "syllable", "word", "")
    ]
    begun = {name: {part.start: part.text for part in parts} for name, parts in seen.tiers().items()}
    for phone in seen.phones:
        start, end = seen.seconds(phone.start), seen.seconds(phone.end)
        first, stop = _frames_of(phone, seen.hop)
        parts = [
            "" if phone.label == SILENCE else begun.get(name, {}).get(start, "")
            for name in ("syllables", "words", "phrases")
        ]
        rows.append(
            (
                f"{start:.3f}",
                f"{end:.3f}",
                f"{1000 * (end - start):.0f}",
                f"{first} to {stop - 1}" if stop > first else "none",
                *_pitch(seen.f0, first, stop),
                phone.label,
                *parts,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if at >= _NUMBERS else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    if seen.frames is not None and seen.linguistic is not None:
        print("\nfeatures in the middle of each phone, those that are not 0:")
        for phone in seen.phones:
            first, stop = _frames_of(phone, seen.hop)
            stop = min(stop, seen.frames.shape[1])
            if first < stop:
                told = seen.linguistic.told(seen.frames[:, (first + stop) // 2])
                values = [f"{name} {value}" for name, value in told.items() if value not in ("0", "-")]
                print(f"{seen.seconds(phone.start):.3f} {phone.label}: {'; '.join(values)}")


def _frames_of(phone: Phone, hop: int) -> tuple[int, int]:
    first, stop = (int(np.floor(at / hop + 0.5)) for at in (phone.start, phone.end))
    return first, stop


def _pitch(f0: NDArray[np.float64] | None, first: int, stop: int) -> tuple[str, str]:
    within = np.zeros(0) if f0 is None else f0[first:stop]
    if not len(within):
        return "", ""
    voiced = within[within > 0]
    return f"{np.median(voiced):.0f}" if len(voiced) else "-", f"{len(voiced) / len(within):.0%}"


def draw(seen: View, path: Path) -> None:
    """A PNG: the spectrogram with F0, and below it words, syllables, phones and all features over the same time."""
    write_atomically(path, lambda partial: _draw(seen, partial))


def _draw(seen: View, path: Path) -> None:
    from matplotlib.figure import Figure

    seconds = len(seen.waveform) / seen.sample_rate
    tiers = seen.tiers()
    shown, names = _image(seen)
    heights = [3.2, 0.28 * max(len(tiers), 1), 0.115 * len(names)]
    used = [height for height in heights if height]
    width = min(max(_INCHES_A_SECOND * seconds + 3, _LEAST_INCHES), _MOST_INCHES)
    figure = Figure(figsize=(width, sum(used) + 1.2), layout="constrained")
    axes = figure.subplots(len(used), 1, sharex=True, height_ratios=used, squeeze=False)[:, 0]
    _draw_spectrogram(axes[0], seen)
    axes[0].set_title(f"{seen.id}: {seen.text}" if seen.text else seen.id, loc="left", fontsize=10, wrap=True)
    _draw_tiers(axes[1], tiers, seconds, width / (seconds or 1))
    for part in (*tiers.get("words", []), *tiers.get("phones", [])):
        axes[0].axvline(part.start, color="white", linewidth=0.4, alpha=0.5)
    if names:
        step = seen.hop / seen.sample_rate
        axes[2].imshow(
            shown,
            aspect="auto",
            interpolation="nearest",
            cmap="viridis",
            vmin=0,
            vmax=1,
            extent=(0, shown.shape[1] * step, len(names), 0),
        )
        axes[2].set_yticks(np.arange(len(names)) + 0.5, names, fontsize=6)
        axes[2].tick_params(axis="y", length=0)
    axes[-1].set(xlabel="time (s)", xlim=(0, seconds))
    figure.savefig(path, dpi=110, format="png")


def _image(seen: View) -> tuple[NDArray[np.float32], Sequence[str]]:
    """The features that are no phone's, `[rows, N]`, and their names."""
    if seen.frames is None or seen.linguistic is None:
        return np.zeros((0, 0), np.float32), []
    names = seen.linguistic.channel_names
    rows = [row for row, name in enumerate(names) if ": " not in name]
    return seen.frames[rows], [names[row] for row in rows]


def _draw_spectrogram(axes: Any, seen: View) -> None:
    import torch

    rate = seen.sample_rate
    size = 2 ** max(6, round(np.log2(_WINDOW_SECONDS * rate)))
    hop = max(1, round(_HOP_SECONDS * rate))
    window = torch.hann_window(size)
    power = torch.stft(
        torch.from_numpy(seen.waveform.copy()), size, hop, window=window, return_complex=True, pad_mode="constant"
    ).abs()
    decibels = 20 * torch.log10(power.clamp(min=1e-5) / (size / 4))
    # A column stands for the samples around its middle.
    edges = (-hop / 2 / rate, (decibels.shape[1] - 0.5) * hop / rate)
    axes.imshow(
        decibels.numpy(),
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=-90,
        vmax=-15,
        extent=(*edges, 0, rate / 2000),
    )
    axes.set(ylabel="frequency (kHz)", ylim=(0, min(rate / 2, _HIGHEST_HZ) / 1000))
    if seen.f0 is not None and seen.f0.any():
        right = axes.twinx()
        times = (np.arange(len(seen.f0)) + 0.5) * seen.hop / rate
        right.plot(times, np.where(seen.f0 > 0, seen.f0, np.nan), color="cyan", linewidth=1.6)
        right.set(ylabel="F0 (Hz, line)", ylim=(0, 1.6 * seen.f0.max()))


def _draw_tiers(axes: Any, tiers: dict[str, list[Interval]], seconds: float, inches: float) -> None:
    """Boxes with their texts; a text that is wider than its box is made smaller."""
    axes.set(ylim=(max(len(tiers), 1), 0), xlim=(0, seconds))
    axes.set_yticks(np.arange(len(tiers)) + 0.5, list(tiers), fontsize=8)
    axes.tick_params(axis="y", length=0)
    for row, parts in enumerate(tiers.values()):
        for part in parts:
            silent = part.text == SILENCE
            width = part.end - part.start
            axes.add_patch(_box(part.start, row, width, silent))
            points = 72 * inches * width / max(0.65 * len(part.text), 1)
            axes.text(
                part.start + width / 2,
                row + 0.5,
                part.text,
                ha="center",
                va="center",
                fontsize=min(9.0, max(4.0, points)),
                color="gray" if silent else "black",
                clip_on=True,
            )


def _box(start: float, row: int, width: float, silent: bool) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((start, row), width, 1, facecolor="whitesmoke" if silent else "white", edgecolor="black", lw=0.5)
