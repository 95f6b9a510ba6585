"""Outputs one by one: their codes, likelihoods and draws."""

import math

import numpy as np
import pytest
import scipy.stats
import soundfile
import torch
from nets import build

from lightning_wavenet.backbone import Distribution, GaussianMixture, LinearSoftmax, LogisticMixture, MuLawSoftmax
from lightning_wavenet.backbone.distributions.mixtures import UNIT
from lightning_wavenet.files.audio import read_audio, write_clip

SOFTMAXES = [MuLawSoftmax(256), MuLawSoftmax(512), MuLawSoftmax(1024), LinearSoftmax(256)]
MIXTURES = [LogisticMixture(), LogisticMixture(1), GaussianMixture(), GaussianMixture(10)]
OUTPUTS = SOFTMAXES + MIXTURES


def named(output: Distribution) -> str:
    return f"{type(output).__name__} {output.out_channels}"


def parameters_of(output: Distribution, seed: int = 0) -> torch.Tensor:
    """Random ones, such as a trained net may predict."""
    parameters = torch.randn(output.out_channels, generator=torch.Generator().manual_seed(seed))
    if output in MIXTURES:
        parameters[-2 * output.components : -output.components] *= 0.2 / UNIT
        parameters[-output.components :] -= 5.0
    return parameters


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


@pytest.mark.parametrize("output", OUTPUTS, ids=named)
def test_outputs_implement_the_interface(output):
    assert isinstance(output, Distribution)
    layer = output.last_layer(5)
    assert (layer.in_features, layer.out_features) == (5, output.out_channels)


def test_levels_that_cannot_be_are_refused():
    for make, levels, said in (
        (MuLawSoftmax, 255, "even"),
        (MuLawSoftmax, 2_048, "at most 1,024"),
        (LinearSoftmax, 255, "even"),
        (LinearSoftmax, 65_536, "mixtures have 65,536"),
        (LogisticMixture, 0, "at least 1"),
    ):
        with pytest.raises(ValueError, match=said):
            make(levels)


def test_codecs_are_named_and_numbers_are_few():
    assert [output.codec for output in OUTPUTS] == [
        *("mu-law 256", "mu-law 512", "mu-law 1024", "linear 8 bit"),
        *["linear 16 bit"] * 4,
    ]
    assert [output.out_channels for output in OUTPUTS] == [256, 512, 1024, 256, 30, 2, 2, 30]


@pytest.mark.parametrize("output", [LinearSoftmax(), *MIXTURES[:1]], ids=named)
def test_linear_codes_are_those_of_files(output):
    """Equal steps from -1 on, zero in the middle of one of them."""
    codes = torch.arange(output.levels)
    half = output.levels // 2
    assert torch.equal(output.decode(codes).double() * half, codes.double() - half)
    assert torch.equal(output.encode(output.decode(codes)), codes)
    assert output.decode(torch.tensor(output.silence)) == 0
    assert output.encode(torch.tensor([-1.5, -1, 0, 0.5, 1, 1.5])).tolist() == [
        *(0, 0, half, half + half // 2),
        *(output.levels - 1, output.levels - 1),
    ]


def test_16_bit_recordings_come_back_bit_for_bit(tmp_path):
    """Read, encoded, decoded and written: every value that a file can have."""
    pcm = np.random.default_rng(0).permutation(np.arange(-32_768, 32_768)).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", pcm, 16_000, subtype="PCM_16")
    output = LogisticMixture()
    codes = output.encode(read_audio(tmp_path / "a.wav", 16_000))
    assert np.array_equal(codes.numpy(), pcm.astype(int) + 32_768)
    write_clip(tmp_path / "b", output.decode(codes), 16_000, {})
    assert np.array_equal(soundfile.read(tmp_path / "b.wav", dtype="int16")[0], pcm)


@pytest.mark.parametrize("output", OUTPUTS, ids=named)
@pytest.mark.parametrize("seed", range(3))
def test_probabilities_of_all_codes_sum_to_1(output, seed):
    parameters = parameters_of(output, seed).expand(output.levels, -1)
    probabilities = output.nll(parameters, torch.arange(output.levels)).neg().double().exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-5)


def test_probabilities_of_a_step_by_hand():
    """A component at 0 whose scale is a step: codes end half a step on both sides."""
    parameters = torch.tensor([0.0, -math.log(32_768)]).expand(2, 2)
    codes = torch.tensor([32_768, 32_769])
    # With the logistic function s: s(0.5) - s(-0.5) and s(1.5) - s(0.5).
    expected = [0.6224593 - 0.3775407, 0.8175745 - 0.6224593]
    assert LogisticMixture(1).nll(parameters, codes).neg().exp().tolist() == pytest.approx(expected, abs=1e-6)
    # From a table of the normal distribution function.
    expected = [0.6914625 - 0.3085375, 0.9331928 - 0.6914625]
    assert GaussianMixture(1).nll(parameters, codes).neg().exp().tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("output", MIXTURES, ids=named)
def test_probabilities_are_those_of_scipy(output):
    parameters, codes = parameters_of(output, 1), torch.arange(65_536)
    shape = scipy.stats.logistic if isinstance(output, LogisticMixture) else scipy.stats.norm
    logits, means, log_scales = (part.double().numpy() for part in output.split(parameters))
    expected = np.zeros(65_536)
    edges = np.array([-np.inf, *(np.arange(1, 65_536) - 32_768.5) / 32_768, np.inf])
    for weight, mean, log_scale in zip(scipy.special.softmax(logits), means, log_scales, strict=True):
        component = shape(mean, np.exp(log_scale))
        below, above = np.diff(component.cdf(edges)), -np.diff(component.sf(edges))
        expected += weight * np.where(edges[:-1] > mean, above, below)
    found = output.nll(parameters.expand(65_536, -1), codes).neg().double().exp().numpy()
    likely = expected > 1e-10
    assert likely.sum() > 1_000
    np.testing.assert_allclose(found[likely], expected[likely], rtol=1e-5)


@pytest.mark.parametrize("output", MIXTURES, ids=named)
def test_gradients_are_those_of_differences(output):
    parameters = torch.stack([parameters_of(output, seed) for seed in range(20)]).double().requires_grad_()
    codes = torch.randint(30_000, 35_000, (20,), generator=torch.Generator().manual_seed(0))
    codes[:2] = torch.tensor([0, 65_535])
    assert torch.autograd.gradcheck(lambda x: output.nll(x, codes), parameters, eps=1e-6, rtol=1e-4)


@pytest.mark.parametrize("output", OUTPUTS, ids=named)
def test_no_recording_and_no_net_makes_nan(output):
    """Recordings that are silent, saturated or beyond full scale; nets that are untrained, or sure of other things."""
    waveform = torch.cat([torch.zeros(9), torch.ones(9), -torch.ones(9), torch.full((9,), 7.0)])
    codes = output.encode(waveform)
    for scale in (0.0, 1.0, 10.0):
        x = (scale * torch.randn(len(codes), 16, generator=torch.Generator().manual_seed(0))).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            nats = output.nll(output.last_layer(16)(x), codes)
        nats.sum().backward()
        assert nats.isfinite().all()
        assert x.grad.isfinite().all()


@pytest.mark.parametrize("output", MIXTURES, ids=named)
def test_parameters_are_not_rounded_to_bfloat16(output):
    layer, x = output.last_layer(16), torch.randn(50, 16)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), layer.float()(x))
        assert layer(x.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("output", OUTPUTS, ids=named)
def test_an_untrained_net_is_far_from_an_explosion(output):
    """The guard ends a run at three times what a uniform guess costs: here over silence, speech and square waves."""
    noise = torch.from_numpy(np.random.default_rng(0).laplace(0, 0.05, 4_000)).float()
    for waveform in (torch.zeros(4_000), noise, noise.sign()):
        torch.manual_seed(0)
        net = build(distribution=output).train()
        nats = net.nll(waveform[None])
        assert nats.mean().item() < 2 * math.log(output.levels)


@pytest.mark.parametrize("output", OUTPUTS, ids=named)
def test_draws_are_of_the_distribution(output):
    """By chi-square over bins that are as nearly of equal probability as codes allow."""
    parameters = parameters_of(output, 2)
    probabilities = output.nll(parameters.expand(output.levels, -1), torch.arange(output.levels)).neg().double().exp()
    uniforms = torch.from_numpy(np.random.default_rng(0).random(200_000))
    drawn = output.sampling()(parameters.expand(len(uniforms), -1), uniforms)
    bins = (probabilities.cumsum(0) * 200).floor().clamp(max=199).long()
    expected = torch.zeros(200, dtype=torch.float64).index_add_(0, bins, probabilities).numpy()
    found = torch.bincount(bins[drawn], minlength=200).numpy()
    used = expected > 0
    assert used.sum() > 60
    assert found[~used].sum() == 0
    assert scipy.stats.chisquare(found[used], expected[used] / expected.sum() * len(drawn)).pvalue > 0.001


def test_one_uniform_chooses_the_component_and_the_place_in_it():
    """Weights 1/4 and 3/4; of both components the median and a point a scale above it."""
    parameters = torch.tensor([0.0, math.log(3), -0.5 / UNIT, 0.25 / UNIT, -8.0, -6.0]).expand(4, 6)
    for mixture, above in ((LogisticMixture(2), 1 / (1 + math.exp(-1))), (GaussianMixture(2), 0.8413447460685429)):
        within = [0.5, above]
        uniforms = [0.25 * x for x in within] + [0.25 + 0.75 * x for x in within]
        drawn = mixture.sampling()(parameters, torch.tensor(uniforms, dtype=torch.float64))
        places = [-0.5, -0.5 + math.exp(-8), 0.25, 0.25 + math.exp(-6)]
        assert drawn.tolist() == [round(place * 32_768) + 32_768 for place in places]
        # Half the temperature squares the weights, to 1/10 and 9/10, and halves the scales.
        uniforms = [0.1 * x for x in within] + [0.1 + 0.9 * x for x in within]
        drawn = mixture.sampling(temperature=0.5)(parameters, torch.tensor(uniforms, dtype=torch.float64))
        places = [-0.5, -0.5 + math.exp(-8) / 2, 0.25, 0.25 + math.exp(-6) / 2]
        assert drawn.tolist() == [round(place * 32_768) + 32_768 for place in places]
        ends = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
        assert mixture.sampling()(parameters[:2], ends).sub(32_768).abs().max() < 32_768 * (0.5 + 40 * math.exp(-6))


def test_temperatures_out_of_range_are_refused():
    with pytest.raises(ValueError, match="above 0"):
        LogisticMixture().sampling(temperature=0.0)


def test_nets_of_many_codes_read_amplitudes():
    assert build(distribution=LogisticMixture()).input == "scalar"
    assert build(distribution=MuLawSoftmax(1024)).input == "one-hot"
    with pytest.raises(ValueError, match="one-hot input takes 1,024 levels at most"):
        build(distribution=LogisticMixture(), input="one-hot")
