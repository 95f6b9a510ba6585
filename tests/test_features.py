"""Mel spectrograms, and a net conditioned on them: what training sees, sampling sees."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import librosa
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
from lightning_wavenet.errors import RequestError
from lightning_wavenet.features import Kept, MelSpectrogram, Utterance, rebuild
from lightning_wavenet.models import GenerativeModel
from lightning_wavenet.sampling import Sampler
from lightning_wavenet.tasks import GenerationTask

RATE = 4_000


def mel(wave: np.ndarray, rate: int = RATE, **options) -> np.ndarray:
    return MelSpectrogram(**options).extract(Utterance(wave.astype(np.float32), rate, (), ""))


def like_speech(samples: int, rate: int) -> np.ndarray:
    """A chirp, two tones and noise that fades to nearly nothing, as float32."""
    seconds = np.arange(samples) / rate
    rng = np.random.default_rng(0)
    wave = 0.1 * rng.standard_normal(samples) * np.exp(-15 * seconds) + 1e-5 * rng.standard_normal(samples)
    wave += 0.3 * np.sin(2 * np.pi * (300 + 200 * seconds) * seconds) * (seconds < 0.7)
    return (wave + 0.1 * np.sin(2 * np.pi * 3_000 * seconds) * (seconds > 0.4) * (seconds < 0.6)).astype(np.float32)


@pytest.mark.parametrize("samples", [86 * 256, 86 * 256 + 100])
def test_tacotron_2s_frames_are_those_of_librosa(samples):
    """Its defaults are Slaney's scale and area, and a centered Hann window."""
    wave = like_speech(samples, 22_050)
    theirs = librosa.feature.melspectrogram(
        y=wave, sr=22_050, n_fft=1024, hop_length=256, n_mels=80, fmax=8_000, power=1, pad_mode="reflect"
    )
    assert theirs.shape[1] == 1 + samples // 256
    ours = mel(wave, 22_050, framing="tacotron2")
    assert ours.shape == (80, -(-samples // 256))
    assert ours.min() < -11  # It comes down to the floor.
    np.testing.assert_allclose(ours, np.log(np.maximum(theirs, 1e-5))[:, : ours.shape[1]], atol=1e-4)


@pytest.mark.parametrize("samples", [86 * 256, 86 * 256 + 100])
def test_hifi_gans_frames_are_those_of_librosa_after_its_own_padding(samples):
    """As its `mel_spectrogram` is written: reflection by (n_fft - hop) / 2, no centering, 1e-9 under the root."""
    wave = like_speech(samples, 22_050)
    padded = np.pad(wave, (1024 - 256) // 2, mode="reflect")
    squares = np.abs(librosa.stft(padded, n_fft=1024, hop_length=256, center=False)) ** 2
    bank = librosa.filters.mel(sr=22_050, n_fft=1024, n_mels=80, fmin=0, fmax=8_000)
    theirs = np.log(np.maximum(bank @ np.sqrt(squares + 1e-9), 1e-5))
    assert theirs.shape[1] == samples // 256
    ours = mel(wave, 22_050)
    assert ours.shape == (80, -(-samples // 256))
    np.testing.assert_allclose(ours[:, : samples // 256], theirs, atol=1e-4)


@pytest.mark.parametrize(("framing", "around"), [("hifi-gan", 75), ("tacotron2", 70)])
def test_frames_are_around_the_middle_of_their_samples_or_the_first_of_them(framing, around):
    """A click there is loudest in frame 7; a clip of any length has its frames."""
    for window in (12, 20, 64):
        for length in (100, 101, 109):
            wave = np.zeros(length)
            wave[around] = 1
            frames = mel(wave, hop=10, window=window, bands=2, high_hz=None, framing=framing)
            assert frames.shape == (2, -(-length // 10))
            assert frames.sum(0).argmax() == 7


@pytest.mark.parametrize("framing", ["hifi-gan", "tacotron2"])
@pytest.mark.parametrize("samples", [1, 2, 100, 256, 257, 384, 600])
def test_clips_that_are_shorter_than_the_padding_have_frames(framing, samples):
    frames = mel(like_speech(samples, 22_050), 22_050, framing=framing)
    assert frames.shape == (80, -(-samples // 256))
    assert np.isfinite(frames).all()


def test_a_frame_is_the_fourier_transform_of_its_window_by_hand():
    """Written out as a sum over samples: no FFT, no framing. Below 1,000 Hz Slaney's scale is linear."""
    rng = np.random.default_rng(0)
    wave, window, hop = rng.uniform(-1, 1, 120), 32, 8
    options = {"hop": hop, "window": window, "bands": 5, "low_hz": 100, "high_hz": 1_000}
    edges = np.linspace(100, 1_000, 7)
    hann = np.array([np.sin(np.pi * n / window) ** 2 for n in range(window)])
    for framing, before in (("hifi-gan", 12), ("tacotron2", 16)):
        frames = mel(wave, framing=framing, **options)
        assert frames.shape == (5, 15)
        for frame in (0, 6, 14):
            places = [abs(at) for at in range(frame * hop - before, frame * hop - before + window)]
            inside = [wave[at if at < 120 else 238 - at] for at in places]  # Mirrored at 0 and at 119.
            for band in range(5):
                total = 0.0
                for k in range(window // 2 + 1):
                    hz = k * RATE / window
                    low, peak, high = edges[band : band + 3]
                    weight = max(0.0, min((hz - low) / (peak - low), (high - hz) / (high - peak))) * 2 / (high - low)
                    turn = np.exp(-2j * np.pi * k * np.arange(window) / window)
                    total += weight * abs(np.sum(hann * inside * turn))
                assert frames[band, frame] == pytest.approx(np.log(max(total, 1e-5)), abs=1e-4)


def test_frames_are_normalized_by_what_is_trained_on_and_that_travels():
    rng = np.random.default_rng(0)
    clips = [Kept(rng.normal(-5, 2, (80, n)).astype(np.float32), "", True) for n in (30, 50)]
    other = Kept(np.full((80, 40), 3, np.float32), "", False)
    fitted = MelSpectrogram().fit([*clips, other])
    together = np.concatenate([clip.frames for clip in clips], axis=1).astype(np.float64)
    assert fitted.mean == pytest.approx(together.mean(), abs=1e-6)
    assert fitted.deviation == pytest.approx(together.std(), abs=1e-6)
    assert (fitted.lowest, fitted.highest) == pytest.approx((together.min(), together.max()), abs=1e-6)
    expanded = fitted.expand(clips[0].frames, 5, 99)
    assert expanded == pytest.approx((clips[0].frames[:, 5:] - together.mean()) / together.std(), abs=1e-4)
    assert expanded.dtype == np.float32
    again = rebuild(fitted.describe())
    assert (again.expand(clips[0].frames, 5, 99) == expanded).all()
    assert (again.lowest, again.highest) == (fitted.lowest, fitted.highest)
    # Where nothing is trained on, all that there is counts; a sound that does not change is not blown up.
    assert MelSpectrogram().fit([other]).expand(other.frames, 0, 1) == pytest.approx(0)
    assert MelSpectrogram().fit([other]).deviation == 0.1
    assert MelSpectrogram().fit([]).deviation == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hop": 0}, "hop, bands and floor must be positive"),
        ({"window": 255}, "window at least hop"),
        ({"framing": "centered"}, "framing is hifi-gan or tacotron2, not centered"),
        ({"floor": 0.0}, "floor must be positive"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(RequestError, match=message):
        MelSpectrogram(**options)


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
        features=[MelSpectrogram(hop=40, window=40, bands=4, high_hz=None)],
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
