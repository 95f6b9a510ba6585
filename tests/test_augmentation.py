"""Altered recordings: what changes changes by no more than allowed, and the phones move with the sound."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from speech import Speech, Utterance

from datamodules import Crops, Phone
from datamodules.augmentation import Augmentation
from lightning_wavenet.data.batch import Request
from lightning_wavenet.errors import RequestError

RATE = 8_000
SEEDS = range(60)


def tone(hz: float = 440.0, amplitude: float = 0.25, samples: int = RATE) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(samples) / RATE)).astype(np.float32)


def noise(samples: int = RATE) -> np.ndarray:
    return (0.1 * np.random.default_rng(5).standard_normal(samples)).astype(np.float32)


def altered(augmentation: Augmentation, waveform: np.ndarray, seed: int) -> np.ndarray:
    return augmentation.alter(waveform, [], RATE, np.random.default_rng(seed))[0]


def level_db(waveform: np.ndarray) -> float:
    return 10 * np.log10(np.mean(waveform.astype(np.float64) ** 2))


def runs(flags: np.ndarray) -> list[int]:
    """Lengths of the stretches of True."""
    return [len(list(run)) for flag, run in itertools.groupby(flags.tolist()) if flag]


def test_nothing_is_on_by_default():
    assert not Augmentation()
    phones = [Phone("a", 0, 50), Phone("b", 60, 100)]
    waveform, same = Augmentation().alter(noise(100), phones, RATE, np.random.default_rng(0))
    np.testing.assert_array_equal(waveform, noise(100))
    assert same == phones
    for option in ({"speed": 0.1}, {"level_db": 3.0}, {"noise_db": 40.0}, {"masks": 1}, {"band_masks": 1}):
        assert Augmentation(**option)


def test_speed_moves_pitch_length_and_phones_together():
    phones = [Phone("a", 0, 2_000), Phone("b", 3_000, 3_500), Phone("c", 3_500, RATE)]
    factors = set()
    for seed in SEEDS:
        played, moved = Augmentation(speed=0.1).alter(tone(), phones, RATE, np.random.default_rng(seed))
        # Bins of a quarter of a hertz.
        spectrum = np.abs(np.fft.rfft(played * np.hanning(len(played)), 4 * RATE))
        factor = spectrum.argmax() / 4 / 440
        assert len(played) * factor == pytest.approx(RATE, rel=1e-3)
        assert [phone.label for phone in moved] == ["a", "b", "c"]
        for before, after in zip(phones, moved, strict=True):
            assert after.start * factor == pytest.approx(before.start, abs=5)
            assert after.end * factor == pytest.approx(before.end, abs=5)
        assert moved[1].end == moved[2].start
        assert moved[2].end <= len(played)
        assert level_db(played) == pytest.approx(level_db(tone()), abs=0.1)
        factors.add(round(factor, 2))
    assert 0.9 <= min(factors) <= 0.91
    assert 1.09 <= max(factors) <= 1.1
    assert len(factors) > 12


def test_the_level_changes_by_no_more_than_allowed():
    changes = []
    for seed in SEEDS:
        louder = altered(Augmentation(level_db=6), tone(), seed)
        changes.append(level_db(louder) - level_db(tone()))
        np.testing.assert_allclose(louder, tone() * 10 ** (changes[-1] / 20), rtol=1e-4, atol=1e-7)
    assert -6 <= min(changes) < -5
    assert 5 < max(changes) <= 6


def test_what_is_too_loud_is_clipped():
    loud = [np.abs(altered(Augmentation(level_db=12), tone(amplitude=0.9), seed)).max() for seed in SEEDS]
    assert max(loud) == 1
    assert min(loud) < 0.3


def test_noise_is_white_and_between_20_db_and_what_is_asked_below_the_clip():
    levels, low, high = [], 0.0, 0.0
    for seed in SEEDS:
        added = altered(Augmentation(noise_db=50), tone(), seed) - tone()
        levels.append(level_db(added) - level_db(tone()))
        power = np.abs(np.fft.rfft(added)) ** 2 / np.sum(added**2)
        low, high = low + power[: RATE // 4].sum(), high + power[RATE // 4 :].sum()
    # A second of noise comes to its level within half a decibel.
    assert -50.5 < min(levels) < -47
    assert -23 < max(levels) < -19.5
    assert low / high == pytest.approx(1, abs=0.02)


def test_masks_silence_some_stretches_and_nothing_else():
    counts = set()
    for seed in SEEDS:
        masked = altered(Augmentation(masks=3, mask_seconds=0.05), tone() + 0.5, seed)
        silent = masked == 0
        np.testing.assert_array_equal(masked[~silent], (tone() + 0.5)[~silent])
        # Two that overlap make one that is longer.
        assert silent.sum() <= 3 * 400
        assert len(runs(silent)) <= 3
        counts.add(len(runs(silent)))
    assert counts == {0, 1, 2, 3}


def test_a_mask_may_lie_anywhere_and_be_of_any_length():
    lengths, masked = set(), np.zeros(60, np.bool_)
    for seed in range(400):
        silent = altered(Augmentation(masks=1, mask_seconds=10 / RATE), np.ones(60, np.float32), seed) == 0
        lengths |= {*runs(silent)}
        masked |= silent
    assert lengths == set(range(1, 10))
    assert masked.all()
    assert not altered(Augmentation(masks=50, mask_seconds=1), np.ones(5, np.float32), 0).any()


def test_bands_are_taken_out_and_nothing_else():
    counts, before = set(), np.fft.rfft(noise())
    for seed in SEEDS:
        after = np.fft.rfft(altered(Augmentation(band_masks=2, band_hz=400), noise(), seed))
        # A second has bins of one hertz.
        out = np.abs(after) < 1e-3 * np.abs(before)
        np.testing.assert_allclose(after[~out], before[~out], rtol=0, atol=1e-3)
        assert out.sum() <= 2 * 401
        counts.add(len([length for length in runs(out) if length > 1]))
    assert counts == {0, 1, 2}


def test_a_band_is_never_wider_than_all_that_there_is():
    left = [level_db(altered(Augmentation(band_masks=1, band_hz=50_000), noise(), seed) + 1e-9) for seed in SEEDS]
    assert max(left) == pytest.approx(level_db(noise()), abs=0.01)
    assert min(left) < level_db(noise()) - 6


def test_all_together_are_the_same_for_the_same_numbers():
    everything = Augmentation(0.1, 6, 40, masks=2, band_masks=2)
    phones = [Phone("a", 0, 5_000)]
    given = tone()
    one, other, third = (everything.alter(given, phones, RATE, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert one[0].tobytes() == other[0].tobytes()
    assert one[1] == other[1]
    assert one[0].dtype == np.float32
    assert one[0].tobytes() != third[0].tobytes()
    # The clip and its phones are left as they were.
    np.testing.assert_array_equal(given, tone())
    assert phones == [Phone("a", 0, 5_000)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speed": -0.1}, r"augmentation\.speed is -0\.1"),
        ({"speed": 0.5}, r"augmentation\.speed is 0\.5"),
        ({"noise_db": 20.0}, r"augmentation\.noise_db is 20\.0, but must be above 20 dB"),
        ({"level_db": -1.0}, r"augmentation\.level_db is -1\.0"),
        ({"masks": -1}, r"augmentation\.masks is -1"),
        ({"mask_seconds": -1.0}, r"augmentation\.mask_seconds is -1\.0"),
        ({"band_masks": -1}, r"augmentation\.band_masks is -1"),
        ({"band_hz": -1.0}, r"augmentation\.band_hz is -1\.0"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(RequestError, match=message):
        Augmentation(**options)


def test_crops_are_not_altered(tmp_path):
    crops = Crops(samples=100, augmentation=Augmentation(masks=1))
    with pytest.raises(RequestError, match=r"whole clips: set crops\.samples to null"):
        Speech(tmp_path, [Utterance(300)], crops)
    # Whether clips stay whole is for the configuration or for the task to say.
    Speech(tmp_path, [Utterance(300)], replace(crops, samples=None))
    data = Speech(tmp_path, [Utterance(300)], crops, request=Request(whole_clips=True))
    assert data.train_dataloader().dataset.augmentation.masks == 1
