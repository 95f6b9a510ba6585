"""Clips on disk: 16-bit wavs, and a spectrogram picture and a description beside each. Written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor

from lightning_wavenet.errors import RequestError
from lightning_wavenet.files.atomic import atomic, write_atomically, write_text
from lightning_wavenet.files.reading import FULL_SCALE, DecodingError, read_mono, to_pcm, to_rate

AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".mp3", ".opus", ".oga", ".mp2", ".mpga", ".wave", ".rf64", ".w64"),
    *(".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".sph", ".nist", ".voc"),
)
"""Of the recordings that are looked for, in small letters."""

OTHER_AUDIO_SUFFIXES = (
    *(".m4a", ".m4b", ".mp4", ".aac", ".ac3", ".adts", ".wma", ".asf", ".amr", ".3gp", ".webm", ".mka", ".weba"),
    *(".ape", ".wv", ".tta", ".mpc", ".spx", ".ra", ".rm", ".dsf", ".dff", ".shn", ".raw", ".pcm"),
)
"""Of recordings that nothing here reads."""

CLIP_SUFFIXES = (".wav", ".png", ".json")
"""Of the files of a clip."""


def clip_stem(id: str) -> PurePosixPath:
    """The id of an utterance without the suffix of a recording: where its files go in a folder."""
    path = PurePosixPath(id)
    return path.with_suffix("") if path.suffix.lower() in AUDIO_SUFFIXES else path


def read_audio(path: str | Path, sample_rate: int) -> Tensor:
    """A recording as mono float32 `[T]` in [-1, 1] at `sample_rate` (Hz), as corpora are read.

    Raises:
        RequestError: The file is missing, unreadable or holds nothing that can be used.
    """
    if not Path(path).is_file():
        raise RequestError(f"there is no recording {path}")
    try:
        pcm = to_pcm(to_rate(*read_mono(path), sample_rate))
    except DecodingError as error:
        raise RequestError(f"{path} cannot be used: {error}") from error
    return torch.from_numpy(pcm.astype(np.float32) / np.float32(FULL_SCALE))


def write_clip(stem: Path, waveform: Tensor, sample_rate: int, description: Mapping[str, Any]) -> Path:
    """Writes a clip as `clip_writer` does.

    Args:
        stem: Path without a suffix; its folder is made.
        waveform: float `[T]` in [-1, 1].
        sample_rate: In Hz.
        description: What is known of the clip.

    Returns:
        The wav's path.
    """
    with clip_writer(stem, sample_rate, description) as write:
        write(waveform)
    return stem.with_name(f"{stem.name}.wav")


@contextmanager
def clip_writer(stem: Path, sample_rate: int, description: Mapping[str, Any]) -> Iterator[Callable[[Tensor], None]]:
    """Writes a clip piece by piece: `stem`.png, `stem`.json and, last, `stem`.wav are there when the block ends.

    Args:
        stem: Path without a suffix; its folder is made.
        sample_rate: In Hz.
        description: What is known of the clip.

    Yields:
        What takes the next samples, float `[n]` in [-1, 1].
    """
    wav, png, text = (stem.with_name(f"{stem.name}{suffix}") for suffix in CLIP_SUFFIXES)
    with atomic(wav) as partial:
        count = 0
        with (
            complete(partial),
            soundfile.SoundFile(partial, "w", sample_rate, channels=1, subtype="PCM_16", format="WAV") as file,
        ):

            def write(samples: Tensor) -> None:
                nonlocal count
                pcm = to_pcm(samples.detach().cpu().float().numpy())
                with complete(partial):
                    file.write(pcm)
                count += len(pcm)

            yield write
        with complete(partial):
            assert soundfile.info(partial).frames == count
        write_atomically(png, lambda path: draw_spectrogram(path, partial, stem.name))
        write_text(text, json.dumps(description, indent=2) + "\n")


@contextmanager
def complete(path: Path) -> Iterator[None]:
    """Finds the error of the system where soundfile tells only that something was not written.

    Args:
        path: What the block writes.

    Raises:
        OSError: Such as that the disk is full.
    """
    try:
        yield
    except (soundfile.LibsndfileError, AssertionError):
        with path.open("ab") as file:
            file.write(bytes(2**16))
            file.flush()
            os.fsync(file.fileno())
        raise


COLUMNS = 4_096
"""Of a spectrogram, at most: those of longer recordings are means over several windows."""


def draw_spectrogram(path: Path, wav: Path, title: str) -> None:
    """A PNG with the waveform above and, below it, power in dB over time (s) and frequency (kHz).

    The wav is read piece by piece, so that hours of it take no more memory than seconds.
    """
    # Figures made without pyplot touch no global state and need no display.
    from matplotlib.figure import Figure

    with soundfile.SoundFile(wav) as file:
        rate, length = file.samplerate, len(file)
        size = 2 ** max(6, round(np.log2(0.02 * rate)))
        hop = size // 4
        windows = 1 + (length + size // 2) // hop
        merged = -(-windows // COLUMNS)
        power, times, wave = [], [], []
        part = merged * max(1, COLUMNS // merged)
        for first in range(0, windows, part):
            count = min(part, windows - first)
            samples = _read_padded(file, first * hop - size // 2, (count - 1) * hop + size)
            spectrum = torch.stft(
                samples, size, hop, window=torch.hann_window(size), center=False, return_complex=True
            ).abs()
            groups = torch.nn.functional.pad(spectrum.square(), (0, -count % merged)).unflatten(1, (-1, merged))
            weights = torch.full((groups.shape[1],), merged)
            weights[-1] -= -count % merged
            power.append(groups.sum(2) / weights)
            middle = samples[size // 2 : min(size // 2 + count * hop, size // 2 + length - first * hop)]
            shown, at = _outline(middle, 1 if merged == 1 else merged * hop // 2)
            wave.append(shown)
            times.append((first * hop + at) / rate)
    decibels = 10 * torch.log10(torch.cat(power, dim=1).clamp(min=1e-10) / (size / 4) ** 2)
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 3))
    above.plot(np.concatenate(times), np.concatenate(wave), linewidth=0.4)
    above.set(ylim=(-1, 1), title=title, ylabel="amplitude")
    image = below.imshow(
        decibels.numpy(),
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=-90,
        vmax=-10,
        extent=(0, windows * hop / rate, 0, rate / 2000),
    )
    below.set(xlabel="time (s)", ylabel="frequency (kHz)", xlim=(0, max(length, 1) / rate))
    figure.colorbar(image, ax=below, label="dB")
    figure.savefig(path, dpi=90, format="png")


def _read_padded(file: soundfile.SoundFile, start: int, count: int) -> Tensor:
    """Samples start to start + count - 1 of a file, float32; zeros where it has none."""
    file.seek(min(max(start, 0), len(file)))
    samples = torch.from_numpy(file.read(count + min(start, 0), dtype="float32"))
    before = max(0, -start)
    return torch.nn.functional.pad(samples, (before, count - before - len(samples)))


def _outline(samples: Tensor, merged: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest of every `merged` samples, and the places of both; with 1 all samples as they are."""
    if merged == 1:
        return samples.numpy(), np.arange(len(samples))
    groups = np.array_split(samples.numpy(), range(merged, len(samples), merged))
    edges = [edge for group in groups if len(group) for edge in (group.min(), group.max())]
    return np.array(edges, dtype=np.float32), np.arange(len(edges)) * (merged / 2)
