"""Clips on disk: 16-bit wavs, and a spectrogram picture and a description beside each. Written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor
from torchaudio.functional import resample

from lightning_wavenet.errors import RequestError
from lightning_wavenet.files import write_atomically, write_text

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
"""Of the recordings that are looked for."""

CLIP_SUFFIXES = (".wav", ".png", ".json")
"""Of the files of a clip."""


def clip_stem(id: str) -> PurePosixPath:
    """The id of an utterance without the suffix of a recording: where its files go in a folder."""
    path = PurePosixPath(id)
    return path.with_suffix("") if path.suffix.lower() in AUDIO_SUFFIXES else path


def read_audio(path: str | Path, sample_rate: int) -> Tensor:
    """A recording as mono float32 `[T]` in [-1, 1] at `sample_rate` (Hz).

    Raises:
        RequestError: The file is missing, unreadable or holds nothing that can be used.
    """
    if not Path(path).is_file():
        raise RequestError(f"there is no recording {path}")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise RequestError(f"{path} cannot be read as audio ({error})") from error
    waveform = torch.from_numpy(samples.mean(axis=1))
    if not len(waveform) or not waveform.isfinite().all():
        raise RequestError(f"{path} holds no samples, or some that are not numbers")
    return resample(waveform, rate, sample_rate).clamp(-1.0, 1.0)


def write_clip(stem: Path, waveform: Tensor, sample_rate: int, description: Mapping[str, Any]) -> Path:
    """Writes `stem`.png, `stem`.json and, last, `stem`.wav.

    Args:
        stem: Path without a suffix; its folder is made.
        waveform: float `[T]` in [-1, 1].
        sample_rate: In Hz.
        description: What is known of the clip.

    Returns:
        The wav's path.
    """
    samples = (waveform.detach().cpu().float().clamp(-1.0, 1.0).numpy() * 32767.0).round().astype(np.int16)
    wav, png, text = (stem.with_name(f"{stem.name}{suffix}") for suffix in CLIP_SUFFIXES)
    write_atomically(png, lambda path: draw_spectrogram(path, samples / 32768.0, sample_rate, stem.name))
    write_text(text, json.dumps(description, indent=2) + "\n")
    write_atomically(wav, lambda path: soundfile.write(path, samples, sample_rate, subtype="PCM_16", format="WAV"))
    return wav


def draw_spectrogram(path: Path, samples: np.ndarray, sample_rate: int, title: str) -> None:
    """A PNG with the waveform above and, below it, power in dB over time (s) and frequency (kHz)."""
    # Figures made without pyplot touch no global state and need no display.
    from matplotlib.figure import Figure

    size = 2 ** max(6, round(np.log2(0.02 * sample_rate)))
    padded = torch.nn.functional.pad(torch.from_numpy(samples).float(), (size // 2, size))
    spectrum = torch.stft(padded, size, size // 4, window=torch.hann_window(size), center=False, return_complex=True)
    power = 20 * torch.log10(spectrum.abs().clamp(min=1e-5) / (size / 4))
    seconds = len(samples) / sample_rate
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 3))
    above.plot(np.arange(len(samples)) / sample_rate, samples, linewidth=0.4)
    above.set(ylim=(-1, 1), title=title, ylabel="amplitude")
    image = below.imshow(
        power.numpy(),
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=-90,
        vmax=-10,
        extent=(0, power.shape[1] * size / 4 / sample_rate, 0, sample_rate / 2000),
    )
    below.set(xlabel="time (s)", ylabel="frequency (kHz)", xlim=(0, max(seconds, 1 / sample_rate)))
    figure.colorbar(image, ax=below, label="dB")
    figure.savefig(path, dpi=90, format="png")
