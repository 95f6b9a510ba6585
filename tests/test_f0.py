"""log F0 and V/UV: against frequencies that are known, and what a synthesizer was told."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
from recordings import RATE as _RATE
from speech import Speech, Utterance

from datamodules import Crops, Split
from datamodules.espeak import PAUSE, Espeak, Voice
from datamodules.records import SPLITS
from lightning_wavenet import load
from lightning_wavenet.backbone import Conditions, RepeatUpsampling, WaveNet
from lightning_wavenet.data.batch import Request
from lightning_wavenet.errors import RequestError
from lightning_wavenet.features import Kept, LogF0, rebuild
from lightning_wavenet.models import GenerativeModel
from lightning_wavenet.tasks import GenerationTask

RATE, HOP = 16_000, 80


def harmonics(hertz: np.ndarray, rate: int) -> np.ndarray:
    """A buzz of nine harmonics with a fundamental that is told for every sample."""
    phase = 2 * np.pi * np.cumsum(hertz) / rate
    return (0.1 * sum(np.sin(k * phase) / k for k in range(1, 10))).astype(np.float32)


@pytest.mark.parametrize("method", ["harvest", "dio"])
@pytest.mark.parametrize(("rate", "hop"), [(16_000, 80), (22_050, 110), (8_000, 40)])
def test_a_chirp_has_its_frequency_in_the_middle_of_each_frame(method, rate, hop):
    """An octave in a second: a frame's half would be 1 cent in 6, so that a grid that is off shows."""
    seconds = np.arange(rate) / rate
    f0 = LogF0(hop, method).track(harmonics(110 * 2**seconds, rate), rate)
    assert len(f0) == -(-rate // hop)
    middles = (np.arange(len(f0)) + 0.5) * hop / rate
    inside = slice(20, -20)
    assert (f0[inside] > 0).all()
    cents = 1200 * np.log2(f0[inside] / (110 * 2 ** middles[inside]))
    assert np.abs(cents).max() < 3
    assert abs(cents.mean()) < 1  # Half a frame later is 3 cents.


# Hz at pitches 30, 50 and 70 with no range, as espeak-ng's sources compute it for a voice of 82 to 118 Hz: 73 times an
# entry of its table of adjustments (97, 128, 168) by 128, and 36 * 108 * 18 / 4096 for the range that is missing.
TOLD = {30: 72.4, 50: 90.1, 70: 112.9}
VOICELESS = {"s", "S", "f", "tS", "p", "k", "t"}
OBSTRUENTS = {"d", "D", "z"}
"""Voiced, but with little voice, or none at a word's end."""
SENTENCE = "No more rain in the morning, my yellow lion roams along; safe seas, fish and six cheap shoes."


@pytest.mark.parametrize("pitch", TOLD)
def test_monotonous_speech_has_the_pitch_that_the_synthesizer_was_told_where_it_is_voiced(pitch):
    with Espeak() as espeak:
        said = espeak.say(SENTENCE, Voice("en-us", pitch=pitch, pitch_range=0))
    hop = 110
    f0 = LogF0(hop).track(said.samples.astype(np.float32) / 32_768, said.sample_rate)
    assert np.median(f0[f0 > 0]) == pytest.approx(TOLD[pitch], rel=0.015)
    voiced, voiceless, silent = [], [], []
    for phone in said.phones:
        # 15 ms from either end, where a frame's window lies in the phone.
        first, last = (phone.start + 330) // hop + 1, (phone.end - 330) // hop
        kind = silent if phone.label == PAUSE else voiceless if phone.label in VOICELESS else voiced
        if phone.label not in OBSTRUENTS:
            kind += (f0[first:last] > 0).tolist()
    assert min(map(len, (voiced, voiceless, silent))) > 80
    assert np.mean(voiced) > 0.95
    assert np.mean(voiceless) < 0.05
    assert np.mean(silent) < 0.05


@pytest.mark.parametrize("method", ["harvest", "dio"])
@pytest.mark.parametrize("samples", [1, 79, 320, 16_000])
def test_silence_and_noise_of_any_length_have_frames_and_no_voice(method, samples):
    feature = LogF0(HOP, method)
    noise = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    for wave in (np.zeros(samples, np.float32), noise):
        kept = feature.keep(feature.track(wave, RATE))
        frames = feature.expand(kept, 0, 10_000)
        assert frames.shape == (2, -(-samples // HOP))
        assert not frames.any()


def test_a_clip_of_20_ms_has_its_frames():
    assert LogF0(HOP).track(harmonics(np.full(320, 150.0), RATE), RATE).shape == (4,)


def test_log_f0_is_interpolated_through_unvoiced_frames_and_constant_beyond():
    kept = LogF0().keep(np.array([0, 0, 100, 0, 0, 0, 100 * np.e**2, 0]))
    expected = np.log(100) + np.array([0, 0, 0, 0.5, 1, 1.5, 2, 2])
    assert kept[0] == pytest.approx(expected, abs=1e-6)
    assert kept[1].tolist() == [0, 0, 1, 0, 0, 0, 1, 0]


def test_statistics_are_of_voiced_frames_of_the_training_split_and_frames_follow_them():
    feature = LogF0()

    def kept(*hertz: float) -> np.ndarray:
        return feature.keep(np.array(hertz))

    clips = [
        Kept(kept(100, 0, 100 * np.e**0.4), "ann", True),
        Kept(kept(400, 400), "ann", False),
        Kept(kept(200, 200 * np.e**0.2), "bob", False),
        Kept(kept(0, 0), "eve", True),
    ]
    fitted = feature.fit(clips)
    low, high = np.log(100), np.log(200)
    assert fitted.speakers["ann"] == pytest.approx([low + 0.2, 0.2], abs=1e-5)
    assert fitted.speakers["bob"] == pytest.approx([high + 0.1, 0.1], abs=1e-5)  # None of whom is trained on.
    assert set(fitted.speakers) == {"ann", "bob", ""}
    assert fitted.speakers[""] == fitted.speakers["ann"]
    assert fitted.expand(clips[0].frames, 0, 9, "ann")[0] == pytest.approx([-1, 0, 1], abs=1e-5)
    assert fitted.expand(clips[0].frames, 1, 2, "stranger")[0] == pytest.approx([0], abs=1e-5)
    assert not fitted.expand(clips[3].frames, 0, 9, "eve").any()
    assert fitted.hertz(fitted.expand(clips[2].frames, 0, 9, "bob"), "bob") == pytest.approx([200, 244.28], abs=0.01)
    # A monotonous voice is not blown up, and a corpus without a voice has frames all the same.
    assert feature.fit([Kept(kept(100, 100), "", True)]).speakers[""] == pytest.approx([low, 0.05], abs=1e-5)
    assert not feature.fit([clips[3]]).expand(clips[3].frames, 0, 9).any()


def test_what_was_fitted_travels_and_counts_above_a_corpus_of_its_own():
    fitted = LogF0(hop=100, method="dio").fit([Kept(LogF0().keep(np.array([100.0, 120])), "ann", True)])
    again = rebuild(fitted.describe())
    assert isinstance(again, LogF0)
    assert (again.hop, again.method, again.speakers) == (100, "dio", fitted.speakers)
    other = LogF0(hop=100).with_fitted(speakers={"ann": [9, 9], "bob": [5, 0.3], "": [9, 9]})
    adopted = other.adopt(fitted.describe()["fitted"])
    assert adopted.speakers == fitted.speakers | {"bob": [5, 0.3]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hop": 0}, "hop must be positive"),
        ({"low_hz": 700}, "low_hz < high_hz"),
        ({"method": "yin"}, "harvest or dio"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(RequestError, match=message):
        LogF0(**options)


def test_a_rate_that_is_too_low_is_refused():
    with pytest.raises(RequestError, match="audio at 4000 Hz does not do"):
        LogF0().track(np.zeros(100, np.float32), 4_000)


def test_a_model_that_is_tested_on_other_clips_sees_the_statistics_that_it_was_trained_with(tmp_path):
    """A clip has the same frames in the corpus that was trained on, and in one where it lies beside others."""
    clips = [Utterance(2_000, speaker="ann", split="train"), Utterance(3_000, speaker="ann", split="test")]
    other = [Utterance(900, speaker="ann", split="train"), clips[1]]

    def opened(name: str, utterances, request: Request = Request()) -> Speech:  # noqa: B008
        (tmp_path / name).mkdir(exist_ok=True)
        options = {"features": [Loud()], "split": Split(validation=0, test=0)}
        return Speech(tmp_path / name, utterances, Crops(1_000), request=request, **options)

    trained = opened("all", clips)
    known = trained.vocabulary
    assert known.features[0]["fitted"]["speakers"]["ann"] != [0, 1]
    asked = Request(frozenset({"frames"}), hop=40, features=known.features)
    trained.connect(asked)
    batch = trained.prompts(1, 3_000, "test")
    alone = opened("alone", other)
    assert alone.vocabulary.features[0]["fitted"] != known.features[0]["fitted"]
    known.must_match(alone.vocabulary, {"frames"}, "the corpus")
    alone.connect(asked)
    assert alone.prompts(1, 3_000, "test").frames.equal(batch.frames)
    own = opened("alone", other, Request(frozenset({"frames"}), hop=40))
    assert not own.prompts(1, 3_000, "test").frames.equal(batch.frames)


class Loud(LogF0):
    """As F0, of a track that is a function of the samples: the stand-in's ramps have no voice."""

    def __init__(self, hop: int = 40) -> None:
        super().__init__(hop)

    def track(self, waveform, rate):
        assert rate == _RATE
        return 100 + 1_000 * waveform[:: self.hop].astype(np.float64)


class Voiced(GenerativeModel):
    """A WaveNet conditioned on frames."""

    def condition(self, batch):
        return Conditions(frames=batch.frames)


class Vocoder(GenerationTask):
    """Trains a `Voiced` on one of the features."""

    def build(self, vocabulary):
        vocabulary = vocabulary.with_features(["f0"])
        return Voiced(self.backbone(upsampling=RepeatUpsampling(vocabulary.frame_channels, 40)), vocabulary)


def test_a_checkpoint_brings_its_statistics_to_the_corpus_that_it_is_tested_on(tmp_path):
    """Through Lightning: fitted where it was trained, saved, and taken over by other clips of the same speaker."""

    def opened(name: str, *samples: int) -> Speech:
        (tmp_path / name).mkdir()
        clips = [Utterance(count, speaker="ann", split=split) for count, split in zip(samples, SPLITS, strict=True)]
        options = {"features": [Loud()], "split": Split(validation=0, test=0), "batch_size": 1}
        return Speech(tmp_path / name, clips, Crops(400), **options)

    def task() -> Vocoder:
        net = partial(WaveNet, "1..4", residual_channels=4, skip_channels=4, head_channels=4, gate_channels=4)
        return Vocoder(backbone=net)

    options = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    options |= {"default_root_dir": tmp_path, "enable_checkpointing": False}
    first = opened("first", 4_000, 400, 800)
    trainer = pl.Trainer(max_steps=1, limit_val_batches=0, **options)
    trainer.fit(task(), first)
    trainer.save_checkpoint(tmp_path / "f0.ckpt")
    fitted = first.vocabulary.features[0]["fitted"]
    assert load(tmp_path / "f0.ckpt").vocabulary.features[0]["fitted"] == fitted
    other = opened("other", 500, 400, 800)
    assert other.vocabulary.features[0]["fitted"] != fitted
    expected = first.prompts(1, 800, "test").frames
    tested = task()
    pl.Trainer(**options).test(tested, other, ckpt_path=tmp_path / "f0.ckpt", verbose=False)
    assert tested.model.vocabulary.features[0]["fitted"] == fitted
    assert other.prompts(1, 800, "test").frames.equal(expected)
    again = Vocoder.load_from_checkpoint(tmp_path / "f0.ckpt")
    fresh = opened("fresh", 500, 400, 800)
    pl.Trainer(**options).test(again, fresh, verbose=False)
    assert fresh.prompts(1, 800, "test").frames.equal(expected)
