"""Measures of an utterance beside another one of the same sentence, against cases worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from lightning_wavenet.metrics.cepstral import BANDS, cepstra_of_bands, distances_db, mel_cepstra
from lightning_wavenet.metrics.intelligibility import misread_letters, misread_phones, misread_words
from lightning_wavenet.metrics.prosody import pitch_errors
from lightning_wavenet.metrics.statistics import sign_flip_p, weighted_mean
from lightning_wavenet.metrics.warping import warp

RATE, HOP = 16_000, 80


def bands(**decibels: float) -> torch.Tensor:
    """Powers of a frame's bands, dB above 1: `level`, and `c5` so many times cos(5 pi x) over the mel scale."""
    places = (torch.arange(BANDS, dtype=torch.float64) + 0.5) / BANDS
    shape = torch.full((BANDS,), decibels.pop("level", 0.0), dtype=torch.float64)
    for name, height in decibels.items():
        shape += height * torch.cos(torch.pi * int(name[1:]) * places)
    return (10 ** (shape / 10))[None]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"c3": 5.0}, {"c3": 5.0}, 0.0),
        ({"c3": 5.0, "level": 20.0}, {"c3": 5.0, "level": -7.0}, 0.0),  # Louder by a constant factor.
        ({"c5": 6.0}, {}, 6 / math.sqrt(2)),  # The RMS of a cosine.
        ({"c5": 6.0, "c9": -8.0}, {}, math.sqrt((36 + 64) / 2)),
        ({"c24": 6.0}, {"c24": -6.0}, 12 / math.sqrt(2)),
        ({"c25": 6.0}, {}, 0.0),  # Finer than what counts.
    ],
)
def test_distortion_is_the_rms_difference_of_smoothed_spectra(first, second, expected):
    found = distances_db(*(cepstra_of_bands(bands(**one)) for one in (first, second)))
    assert found.item() == pytest.approx(expected, abs=1e-4)


def test_a_cepstrum_is_that_of_the_customary_series():
    """Amplitude exp(c_m cos(pi m x)) with c_7 = 0.3 has 20 / ln 10 * 0.3 dB at most."""
    expected = np.zeros(24)
    expected[6] = 0.3
    assert cepstra_of_bands(bands(c7=20 / math.log(10) * 0.3))[0].numpy() == pytest.approx(expected, abs=1e-6)


def sounds(seconds: float) -> torch.Tensor:
    """Eight vowels, so long each, with a fundamental of 125 Hz and one formant that wanders."""
    count = round(seconds * RATE)
    harmonics = torch.arange(1, 60)[:, None] * 125.0
    waves = []
    for formant in (400, 1_500, 700, 3_000, 500, 2_200, 900, 4_000):
        heights = 1 / (1 + ((harmonics - formant) / 150) ** 2)
        waves.append((heights * torch.sin(2 * torch.pi * harmonics * torch.arange(count) / RATE)).sum(0))
    return 0.05 * torch.cat(waves)


def test_a_slower_utterance_is_far_frame_by_frame_and_near_after_warping():
    own, slow = (mel_cepstra(sounds(seconds), RATE, HOP).coefficients for seconds in (0.1, 0.2))
    assert (len(own), len(slow)) == (160, 320)
    matrix = distances_db(slow, own).numpy()
    first, second = warp(matrix)
    assert matrix[first, second].mean() < 0.5
    assert matrix[range(160), range(160)].mean() > 5
    # Frames are paired with those of the same vowel, of 40 and of 20 frames, but where one becomes the next.
    assert (first // 40 == second // 20).mean() > 0.95
    itself = distances_db(own, own).numpy()
    assert itself[warp(itself)].max() == 0


def test_level_does_not_matter_and_silence_does_not_sound():
    wave = sounds(0.05)
    own, quiet = (mel_cepstra(one, RATE, HOP) for one in (wave, wave / 10))
    assert torch.diagonal(distances_db(own.coefficients, quiet.coefficients)).max() < 1e-3
    assert (own.level_db - quiet.level_db).numpy() == pytest.approx(20, abs=0.01)
    pause = torch.zeros(RATE // 5)
    between = mel_cepstra(torch.cat([wave, pause, wave]), RATE, HOP).sounding
    # Frames whose window of 25 ms, two and a half frames to each side, is all in the pause.
    assert not between[83:117].any()
    assert between[:78].all()
    assert mel_cepstra(torch.zeros(7), RATE, HOP).coefficients.abs().max() < 1e-5


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100])
def test_a_frame_is_around_the_middle_of_its_samples(rate):
    hop = round(0.005 * rate)
    wave = torch.zeros(rate // 4)
    wave[10 * hop + hop // 2] = 1.0
    level = mel_cepstra(wave, rate, hop).level_db
    assert len(level) == -(-len(wave) // hop)
    assert level.argmax() == 10
    assert level[10 - 1].item() == pytest.approx(level[10 + 1].item(), abs=0.1)


def cheapest(distances: np.ndarray) -> float:
    """What the cheapest way costs, by the recursion itself."""
    totals = np.full((distances.shape[0] + 1, distances.shape[1] + 1), np.inf)
    totals[0, 0] = 0
    for row, column in np.ndindex(distances.shape):
        ways = totals[row, column], totals[row, column + 1], totals[row + 1, column]
        totals[row + 1, column + 1] = distances[row, column] + min(ways)
    return totals[-1, -1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (5, 1), (2, 2), (13, 20), (20, 13), (40, 40)])
def test_the_way_is_the_cheapest(shape):
    distances = np.random.default_rng(1).random(shape)
    first, second = warp(distances)
    assert distances[first, second].sum() == pytest.approx(cheapest(distances), rel=1e-12)
    assert (first[0], second[0], first[-1], second[-1]) == (0, 0, shape[0] - 1, shape[1] - 1)
    steps = {*zip(np.diff(first).tolist(), np.diff(second).tolist(), strict=True)}
    assert steps <= {(1, 1), (1, 0), (0, 1)}


def test_a_way_by_hand():
    first, second = np.array([1, 1, 2, 3]), np.array([1, 2, 2, 3])
    found = warp(np.abs(first[:, None] - second).astype(float))
    assert [*zip(*(places.tolist() for places in found), strict=True)] == [(0, 0), (1, 0), (2, 1), (2, 2), (3, 3)]


def test_pitch_errors_by_hand():
    f0 = np.array([100.0, 200, 150, 150, 90, 0, 0, 0])
    reference = np.array([110.0, 190, 170, 130, 0, 0, 120, 0])
    # Voiced in both: the first four, with differences -10, 10, -20, 20; about the mean of 150 they are -50, 50, 0, 0
    # and -40, 40, 20, -20, with products of 4,000 and squares of 5,000 and 4,000. Two of eight differ in voicing.
    found = pitch_errors(f0, reference)
    assert found.rmse_hz == pytest.approx(math.sqrt(250))
    assert found.correlation == pytest.approx(4_000 / math.sqrt(5_000 * 4_000))
    assert found.voicing_percent == 25


def test_pitch_errors_where_nothing_can_be_said():
    assert pitch_errors(np.array([0.0, 100]), np.array([100.0, 0])) == (None, None, 100.0)
    assert pitch_errors(np.array([100.0, 100]), np.array([90.0, 110])) == (10.0, None, 0.0)


def test_misread_words_and_letters_by_hand():
    # One word replaced and one missing of four; one letter replaced and " on" missing of fourteen.
    recognized, text = "the cat sat".split(), "the bat sat on".split()
    assert misread_words(recognized, text) == (2, 4)
    assert misread_letters(recognized, text) == (4, 14)
    assert misread_words([], text).percent == 100
    assert misread_words("oh the bat sat on and on".split(), text).percent == 75


def test_misread_phones_by_hand():
    # TIMIT's names and ARPAbet are one; a closure belongs to its stop; ao counts as aa; the last vowel is another.
    assert misread_phones("h# ao l tcl t ax pau".split(), "sil AA L sil T IY sil".split()) == (1, 4)
    assert misread_phones(["ZH", "sp"], ["SH", "OY1"]) == (1, 2)
    assert misread_phones([], ["AH"]).percent == 100


def test_percentages_are_of_all_clips_together():
    # 2 words of 4 and none of 12 are 2 of 16.
    assert weighted_mean([50.0, 0.0], [4, 12]).mean == 12.5
    assert weighted_mean([3.0], [2.0]) == (3.0, None, None, 1)


def test_an_interval_of_many_clips_is_that_of_the_formula():
    rng = np.random.default_rng(3)
    values, weights = rng.gamma(2.0, 3.0, 400), rng.integers(1, 20, 400)
    found = weighted_mean(values, np.ones(400))
    half = 1.96 * values.std(ddof=1) / math.sqrt(400)
    assert found.mean == pytest.approx(values.mean())
    assert [found.low, found.high] == pytest.approx([values.mean() - half, values.mean() + half], abs=0.08 * half)
    # The standard error of a ratio, linearized.
    found = weighted_mean(values, weights)
    mean = np.average(values, weights=weights)
    half = 1.96 * math.sqrt((weights**2 * (values - mean) ** 2).sum()) / weights.sum()
    assert [found.low, found.high] == pytest.approx([mean - half, mean + half], abs=0.08 * half)
    assert found == weighted_mean(values, weights)


def test_signs_are_flipped_by_hand_and_as_scipy_does():
    # Of eight patterns of signs only the one without a minus gives 6; of four, 3 - 1 and 3 + 1 give 2 or more.
    assert sign_flip_p([1.0, 2.0, 3.0]) == 1 / 8
    assert sign_flip_p([3.0, -1.0]) == 2 / 4
    assert sign_flip_p([-1.0]) == 1
    rng = np.random.default_rng(4)
    for count in (9, 60):
        differences = rng.normal(0.2, 1, count)
        expected = stats.permutation_test(
            (differences,), np.sum, permutation_type="samples", alternative="greater", n_resamples=20_000, rng=rng
        ).pvalue
        assert sign_flip_p(differences) == pytest.approx(expected, abs=0.02)
    # All of many are larger than 0: as improbable as draws can say.
    assert sign_flip_p([1.0] * 30) == 1 / 5_001
