"""Mel spectrograms, and a net conditioned on them: what training sees, sampling sees."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import soundfile as sf
import torch
from nets import build, stream_for
from torch.nn import functional as F

import lightning_wavenet
from datamodules import Audio, AudioFolderDataModule, Crops, Split
from lightning_wavenet.backbone import Conditions, RepeatUpsampling, TransposedUpsampling, WaveNet
from lightning_wavenet.backbone.local_condition import UpsampledFrames, at_samples
from lightning_wavenet.data.batch import Batch
from lightning_wavenet.features import MelSpectrogram, Utterance
from lightning_wavenet.models import GenerativeModel
from lightning_wavenet.sampling import Sampler
from lightning_wavenet.tasks import GenerationTask

RATE = 4_000


def mel(wave: np.ndarray, rate: int = RATE, **options) -> np.ndarray:
    return MelSpectrogram(**options).extract(Utterance(wave.astype(np.float32), rate, (), ""))


def test_a_sine_of_full_scale_peaks_near_one_in_its_band_and_nowhere_else():
    """1,000 Hz is 999.99 mel in HTK's scale, and bands are equally far apart from 0 to 2,840 mel (8 kHz)."""
    wave = np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000)
    frames = mel(wave, 16_000, hop=160, window=640, bands=40)
    assert frames.shape == (40, 100)
    top = 2595 * np.log10(1 + 8_000 / 700)
    middle = frames[:, 50]
    assert middle.argmax() == round(1_000 / (top / 41)) - 1
    assert middle.max() == pytest.approx(0, abs=0.35)
    assert np.sort(middle)[-4] < -6


def test_frames_are_centered_on_their_samples_and_cover_a_clip_of_any_length():
    """A click in the middle of frame 7 is loudest in frame 7; the last frame may lie partly beyond the clip."""
    for window in (5, 20, 64):
        for length in (100, 101, 109):
            wave = np.zeros(length)
            wave[7 * 10 + 5] = 1
            frames = mel(wave, hop=10, window=window, bands=2)
            assert frames.shape == (2, -(-length // 10))
            assert frames.sum(0).argmax() == 7


def test_a_frame_is_the_fourier_transform_of_its_window_by_hand():
    """Written out as a sum over samples: no FFT, no framing."""
    rng = np.random.default_rng(0)
    wave, window, hop = rng.uniform(-1, 1, 120), 32, 8
    frames = mel(wave, hop=hop, window=window, bands=5, low_hz=100, high_hz=1_900)
    edges = 700 * (10 ** (np.linspace(*(2595 * np.log10(1 + np.array([100, 1_900]) / 700)), 7) / 2595) - 1)
    for frame in (0, 6, 14):
        start = frame * hop + hop // 2 - window // 2
        inside = [wave[at] if 0 <= at < 120 else 0.0 for at in range(start, start + window)]
        hann = np.array([np.sin(np.pi * n / window) ** 2 for n in range(window)])
        for band in range(5):
            total = 0.0
            for k in range(window // 2 + 1):
                hz = k * RATE / window
                low, peak, high = edges[band : band + 3]
                weight = max(0.0, min((hz - low) / (peak - low), (high - hz) / (high - peak)))
                turn = np.exp(-2j * np.pi * k * np.arange(window) / window)
                total += weight * abs(np.sum(hann * inside * turn)) * 2 / hann.sum()
            assert frames[band, frame] == pytest.approx(np.log(max(total, 1e-5)), abs=1e-4)


@pytest.mark.parametrize("kind", ["local, transposed", "local, repeated", "global and local"])
def test_a_window_has_the_likelihood_that_it_has_within_its_clip(kind):
    """With the conditioning frames to its left, which the transposed convolutions reach back to."""
    net = build(kind).double()
    hop, field, left = net.upsampling.hop, net.receptive_field, net.upsampling.context_frames
    history = -(-field // hop) * hop
    generator = torch.Generator().manual_seed(1)
    length = 20 * hop
    clip = torch.rand(1, length, generator=generator, dtype=torch.float64) - 0.5
    frames = torch.randn(1, 3, 20, generator=generator, dtype=torch.float64)
    global_condition = torch.randn(1, net.global_channels, dtype=torch.float64) if net.global_channels else None

    def nll(start: int, stop: int) -> torch.Tensor:
        """Of samples start to stop - 1, from the history in front of them; before the clip all is zero."""
        waveform = F.pad(clip, (history, 0))[:, start : history + stop]
        before = history // hop + left
        seen = F.pad(frames, (before, 0))[..., start // hop : before + -(-stop // hop)]
        return net.nll(waveform, Conditions(global_condition, seen))[:, history - field :]

    whole = nll(0, length)
    for start in range(0, length, 3 * hop):
        window = nll(start, min(start + 3 * hop, length))
        torch.testing.assert_close(window, whole[:, start : start + window.shape[1]])


@pytest.mark.parametrize("kind", ["local, transposed", "local, repeated"])
def test_training_conditions_a_sample_on_what_sampling_does(kind):
    """The condition of every sample of a stream, from the loss's point of view and from the sampler's."""
    net = build(kind)
    hop, left = net.upsampling.hop, net.upsampling.context_frames
    stream = stream_for(net, 6 * hop)
    sampled = at_samples(*UpsampledFrames(net.upsampling, [stream.frames], [0]).rows(0, 6 * hop))
    trained = net.upsample(F.pad(stream.frames[None], (left, 0)))[:, left * hop :]
    torch.testing.assert_close(trained, sampled)


class MelModel(GenerativeModel):
    """A vocoder: a WaveNet conditioned on frames."""

    def condition(self, batch: Batch) -> Conditions:
        return Conditions(frames=batch.frames)


class Vocoder(GenerationTask):
    """Trains a `MelModel`."""

    def __init__(self, upsampling, **options) -> None:
        super().__init__(**options)
        self.upsampling = upsampling

    def build(self, vocabulary):
        return MelModel(self.backbone(upsampling=self.upsampling(vocabulary.frame_channels)), vocabulary)


def noise_of_two_levels(root: Path, clips: int, frames: int, hop: int) -> None:
    """White noise that is loud or soft from one frame to the next, as nobody could foretell."""
    rng = np.random.default_rng(0)
    root.mkdir()
    for number in range(clips):
        levels = np.repeat(rng.choice([0.3, 0.01], frames), hop)
        wave = levels * rng.uniform(-1, 1, frames * hop)
        sf.write(root / f"{number:02d}.wav", wave, 2_000, subtype="PCM_16")


def levels(waves: torch.Tensor, hop: int) -> torch.Tensor:
    """RMS of each frame (dB), `[B, N]`."""
    return 10 * torch.log10(waves.unflatten(1, (-1, hop)).square().mean(2) + 1e-6)


@pytest.mark.parametrize(
    "upsampling",
    [lambda bands: RepeatUpsampling(bands, 40), lambda bands: TransposedUpsampling(bands, [5, 8], 8)],
    ids=["repeated", "transposed"],
)
def test_a_net_conditioned_on_mel_frames_trains_and_follows_them(tmp_path: Path, upsampling):
    """Loud where the recording's frames are loud: by chance levels would have no correlation with it."""
    noise_of_two_levels(tmp_path / "noise", clips=8, frames=50, hop=40)
    pl.seed_everything(0, verbose=False)
    data = AudioFolderDataModule(
        tmp_path / "noise",
        audio=Audio(2_000),
        split=Split(validation=0.25, test=0),
        crops=Crops(400),
        batch_size=4,
        features=[MelSpectrogram(hop=40, window=40, bands=4)],
    )
    net = partial(WaveNet, "1..8", residual_channels=16, gate_channels=32, skip_channels=32, head_channels=32)
    task = Vocoder(upsampling, backbone=net, optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-2))
    trainer = pl.Trainer(
        max_steps=150,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
        limit_val_batches=0,
        default_root_dir=tmp_path,
    )
    trainer.fit(task, data)
    trainer.save_checkpoint(tmp_path / "vocoder.ckpt")
    model = lightning_wavenet.load(tmp_path / "vocoder.ckpt")
    assert model.vocabulary.hop == 40
    assert model.vocabulary.features[0]["init_args"]["bands"] == 4
    prompts = data.prompts(2, 2_000)
    assert prompts.frames.shape == (2, 4, 50)
    clips = torch.stack(Sampler(model.backbone).generate(model.streams(prompts, 2_000, [0, 1])))
    told, followed = levels(prompts.waveform, 40), levels(clips, 40)
    right = torch.corrcoef(torch.stack([told.flatten(), followed.flatten()]))[0, 1]
    wrong = torch.corrcoef(torch.stack([told.flatten(), followed.flip(0).flatten()]))[0, 1]
    assert right > 0.8
    assert abs(wrong) < 0.4
