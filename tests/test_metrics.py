import math

import pytest
import torch

from lightning_wavenet.backbone import LinearSoftmax, LogisticMixture, MuLawSoftmax
from lightning_wavenet.metrics import level_db, mean_spectrum, nats_of_16_bits, spectral_distance_db


def tone(frequency: float, amplitude: float, seconds: float = 1.0, rate: int = 8_000) -> torch.Tensor:
    return amplitude * torch.sin(2 * math.pi * frequency * torch.arange(round(seconds * rate)) / rate)


def test_level_of_a_sine_is_three_decibels_below_its_peak():
    assert level_db(tone(100, 1.0)) == pytest.approx(-3.01, abs=0.01)
    assert level_db(tone(100, 0.1)) == pytest.approx(-23.01, abs=0.01)
    assert level_db(torch.zeros(100)) == pytest.approx(-120)


def test_spectral_distance_of_the_same_noise_at_another_level_is_the_gain():
    noise = torch.randn(40_000) * 0.2
    assert spectral_distance_db([noise], [noise], 8_000) == 0
    assert spectral_distance_db([noise * 10 ** (-6 / 20)], [noise], 8_000) == pytest.approx(6, abs=0.01)


def test_spectral_distance_does_not_depend_on_silence_between():
    noise = torch.randn(8_192) * 0.2
    with_pauses = torch.cat([noise[:4_096], torch.zeros(20_480), noise[4_096:]])
    assert spectral_distance_db([with_pauses], [noise], 8_000) < 0.7


def test_mean_spectrum_peaks_at_the_band_of_a_tone():
    low, high = (mean_spectrum([tone(frequency, 0.5)], 8_000).argmax().item() for frequency in (300, 3_000))
    assert low < 10
    assert high > 30
    assert spectral_distance_db([tone(300, 0.5)], [tone(3_000, 0.5)], 8_000) > 10


def test_a_clip_shorter_than_a_window_has_a_spectrum():
    assert mean_spectrum([torch.ones(3)], 8_000).isfinite().all()


def test_a_code_shares_its_probability_among_the_16_bit_samples_it_stands_for():
    """Linear codes of 8 bits stand for 256 each, but the lowest for half of that and the highest for half more."""
    linear = LinearSoftmax()
    extra = nats_of_16_bits(torch.zeros(4), torch.tensor([100, 101, 0, 255]), linear)
    assert extra.tolist() == pytest.approx([math.log(256), math.log(256), math.log(128), math.log(384)], rel=1e-6)
    # Mu-law codes around silence are about 4 / 32,768 apart: ln(256) / (255 * 127.5) of full scale.
    (around,) = nats_of_16_bits(torch.zeros(1), torch.tensor([128]), MuLawSoftmax())
    assert around.exp().item() == pytest.approx(32_768 * math.log(256) / (255 * 127.5), abs=1)
    codes = torch.tensor([0, 40_000, 65_535])
    assert torch.equal(nats_of_16_bits(torch.ones(3), codes, LogisticMixture()), torch.ones(3))


@pytest.mark.parametrize("output", [MuLawSoftmax(), MuLawSoftmax(1024), LinearSoftmax()])
def test_a_uniform_guess_among_codes_is_a_distribution_over_16_bit_samples(output):
    samples = torch.arange(-32_768, 32_768) / 32_768
    codes = output.encode(samples)
    guess = torch.full(codes.shape, math.log(len(codes.unique())), dtype=torch.float64)
    probabilities = nats_of_16_bits(guess, codes, output).neg().exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-9)
