"""`wavenet generate` writes as it goes: bounded memory, whole files only."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from lightning_wavenet.benchmarks.rounds import forget_peak_memory, peak_memory_mb
from lightning_wavenet.cli import clips as module
from lightning_wavenet.cli.main import main
from lightning_wavenet.files.audio import COLUMNS, clip_writer, write_clip
from lightning_wavenet.sampling import Sampler

CKPT = "run/checkpoints/last.ckpt"


@pytest.fixture
def generate(fit) -> list[str]:
    """The command, with the checkpoint of a net that has hardly been trained."""
    main([*fit, "--run", "run", "--trainer.max_steps", "1"])
    return ["generate", CKPT, "--out", "clips", "--speaker", "tone001"]


def names() -> list[str]:
    return sorted(path.name for path in Path("clips").iterdir())


def test_clips_do_not_depend_on_how_many_are_generated_side_by_side(generate, monkeypatch):
    main([*generate, "--num", "5", "--seconds", "0.1"])
    together = [sf.read(f"clips/tone001_{clip:03d}.wav", dtype="int16")[0] for clip in range(5)]
    monkeypatch.setattr(module, "AT_ONCE", 2)
    main([*generate, "--num", "5", "--seconds", "0.1", "--overwrite"])
    assert len(names()) == 15
    for clip, expected in enumerate(together):
        assert np.array_equal(sf.read(f"clips/tone001_{clip:03d}.wav", dtype="int16")[0], expected)
        about = json.loads(Path(f"clips/tone001_{clip:03d}.json").read_text())
        assert about["seed"] == clip
        assert about["sampling"] == {"temperature": 1.0, "top_p": 1.0}


@pytest.mark.parametrize("end", ["Ctrl-C", "SIGTERM"])
def test_an_interrupted_generation_leaves_whole_clips_only(generate, monkeypatch, end):
    monkeypatch.setattr(module, "AT_ONCE", 2)
    whole, groups = Sampler.stream, []

    def interrupted(self, streams, chunk):
        groups.append(len(streams))
        for number, chunks in enumerate(whole(self, streams, chunk)):
            yield chunks
            if len(groups) == 2 and number == 1:
                if end == "Ctrl-C":
                    raise KeyboardInterrupt
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Sampler, "stream", interrupted)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        main([*generate, "--num", "5", "--seconds", "0.5"])
    assert stop.value.code == {"Ctrl-C": 130, "SIGTERM": 143}[end]
    assert signal.getsignal(signal.SIGTERM) == handler
    assert names() == [f"tone001_{clip:03d}{suffix}" for clip in range(2) for suffix in (".json", ".png", ".wav")]
    assert all(sf.info(f"clips/tone001_{clip:03d}.wav").frames == 2_000 for clip in range(2))


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="memory is read from Linux's /proc")
def test_ten_minutes_take_no_more_memory_than_seconds(generate, monkeypatch):
    """Two clips of forty minutes, 77 MB of float32 at 4 kHz, in chunks of 0.1 s; silence stands for the net."""

    def silence(self, streams, chunk):
        for start in range(0, streams[0].samples, chunk):
            yield [torch.zeros(min(chunk, streams[0].samples - start)) for _ in streams]

    monkeypatch.setattr(Sampler, "stream", silence)
    # The first pictures take memory that stays: libraries, and what the allocator keeps.
    main([*generate, "--num", "2", "--seconds", "240"])
    forget_peak_memory(torch.device("cpu"))
    before = peak_memory_mb(torch.device("cpu"))
    main([*generate, "--num", "2", "--seconds", "2400", "--overwrite"])
    assert peak_memory_mb(torch.device("cpu")) - before < 70
    assert sf.info("clips/tone001_001.wav").frames == 9_600_000


def test_pieces_make_the_file_that_the_whole_makes(tmp_path):
    waveform = torch.rand(5_000) * 2 - 1
    write_clip(tmp_path / "whole", waveform, 8_000, {"id": "a"})
    with clip_writer(tmp_path / "pieces", 8_000, {"id": "a"}) as write:
        for piece in waveform.split([1, 999, 4_000]):
            write(piece)
        assert not (tmp_path / "pieces.wav").exists()
    assert (tmp_path / "pieces.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()
    # Full scale is 32768, as where recordings are read.
    samples = sf.read(tmp_path / "pieces.wav", dtype="int16")[0]
    assert np.array_equal(samples, (waveform.numpy() * 32_768).round().clip(-32_768, 32_767).astype(np.int16))


def test_a_long_spectrogram_is_that_of_its_parts(tmp_path, monkeypatch):
    """Noise of one level, of which means over windows show the level wherever they are taken."""
    figures = []
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, *_, **__: figures.append(figure) or touch(_))

    def touch(arguments):
        Path(arguments[0]).write_bytes(b"png")

    noise = 0.1 * torch.randn(64 // 4 * (2 * COLUMNS + 100), generator=torch.Generator().manual_seed(0))
    write_clip(tmp_path / "long", noise, 3_000, {})
    write_clip(tmp_path / "short", noise[:9_000], 3_000, {})
    long, short = (figure.axes[1].images[0].get_array() for figure in figures)
    assert short.shape[1] == 1 + (9_000 + 32) // 16
    assert COLUMNS / 2 < long.shape[1] <= COLUMNS
    # Power of a Hann window over white noise: sigma^2 sum(w^2) / (size / 4)^2, in dB.
    level = 10 * np.log10(0.01 * 0.375 * 64 / 16**2)
    for image in (long, short):
        inner = 10 ** (np.asarray(image)[4:-4] / 10)
        assert 10 * np.log10(inner.mean()) == pytest.approx(level, abs=0.2)
    # Three windows in each column: a third of the variance, or less where they overlap.
    spread = [np.std(10 ** (np.asarray(image)[4:-4] / 10)) for image in (long, short)]
    assert spread[0] < 0.9 * spread[1]
    line = figures[0].axes[0].lines[0]
    assert line.get_xdata()[-1] <= len(noise) / 3_000
    assert line.get_ydata().max() == pytest.approx(float(noise.max()), abs=1e-4)
