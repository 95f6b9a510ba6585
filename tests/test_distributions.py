import math

import numpy as np
import pytest
import torch

from lightning_wavenet.backbone import Distribution, MuLawSoftmax


def test_encode_of_known_samples():
    samples = torch.tensor([-1, 1, 0.6, -0.25, 0.01, 0.33, -0.9999, 0.42, 0.1, -0.45])
    assert MuLawSoftmax().encode(samples).tolist() == [0, 255, 243, 32, 157, 230, 0, 235, 203, 18]


def test_decode_then_encode_is_the_identity_on_all_codes():
    for levels in (2, 16, 256, 1024):
        codes = torch.arange(levels)
        assert torch.equal(MuLawSoftmax(levels).encode(MuLawSoftmax(levels).decode(codes)), codes)


def test_range_silence_and_clipping():
    mu_law = MuLawSoftmax()
    assert mu_law.silence == 128
    assert mu_law.encode(torch.tensor([0.0])).item() == 128
    assert mu_law.decode(torch.tensor([0, 255])).tolist() == [-1.0, 1.0]
    assert mu_law.encode(torch.tensor([1.0001, 3.0, -1.2, math.inf])).tolist() == [255, 255, 0, 255]


def test_signal_to_noise_ratio_is_that_of_rounding():
    """Rounding reaches 37.7 dB on speech-like noise, truncation 31.7 dB."""
    noise = torch.from_numpy(np.random.default_rng(0).laplace(0, 0.05, 100_000)).float().clamp(-1, 1)
    error = MuLawSoftmax().decode(MuLawSoftmax().encode(noise)) - noise
    assert 10 * math.log10(noise.square().mean() / error.square().mean()) == pytest.approx(37.7, abs=0.2)
    assert abs(error.mean()) < 2e-5


def test_nll_is_the_log_of_the_softmax():
    logits = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    total = sum(math.exp(x) for x in (1, 2, 3, 4))
    nll = MuLawSoftmax(4).nll(logits, torch.tensor([[2]]))
    assert nll.shape == (1, 1)
    assert nll.item() == pytest.approx(math.log(total) - 3, abs=1e-6)


def test_sample_is_the_inverse_cdf():
    logits = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4])).expand(7, 4)
    uniforms = torch.tensor([0.0, 0.0999, 0.1001, 0.2999, 0.5999, 0.6001, 0.99999], dtype=torch.float64)
    assert MuLawSoftmax(4).sampling()(logits, uniforms).tolist() == [0, 0, 1, 1, 2, 3, 3]


def test_temperature_and_top_p_change_the_probabilities_as_defined():
    uniforms = torch.linspace(0, 1, 100_001, dtype=torch.float64)[:-1]
    logits = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4])).expand(len(uniforms), 4)

    def shares(**options: float) -> list[float]:
        drawn = MuLawSoftmax(4).sampling(**options)(logits, uniforms)
        return (torch.bincount(drawn, minlength=4) / len(drawn)).tolist()

    squares = [p * p for p in (0.1, 0.2, 0.3, 0.4)]
    assert shares(temperature=0.5) == pytest.approx([s / sum(squares) for s in squares], abs=1e-4)
    # 0.4 alone is less than 0.65, 0.4 + 0.3 reaches it.
    assert shares(top_p=0.65) == pytest.approx([0, 0, 3 / 7, 4 / 7], abs=1e-4)
    assert shares(top_p=0.01) == [0, 0, 0, 1]


def test_mu_law_implements_the_interface():
    assert isinstance(MuLawSoftmax(), Distribution)


def test_odd_levels_are_refused():
    with pytest.raises(ValueError, match="even"):
        MuLawSoftmax(255)
