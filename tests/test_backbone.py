import pytest
import torch
from nets import KINDS, build, textbook_forward

from lightning_wavenet.backbone import Conditions, RepeatUpsampling, TransposedUpsampling, WaveNet
from lightning_wavenet.backbone.residual import parse_dilations


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"dilations": "1..512 x3", "input_kernel_size": 1}, 3_070),
        ({"dilations": "1..512 x5", "input_kernel_size": 2}, 5_117),
        ({"dilations": "1..512 x3", "kernel_size": 3, "input_kernel_size": 1}, 6_139),
        ({"dilations": "1..32 x4", "kernel_size": 3, "input_kernel_size": 1}, 505),
        ({"dilations": [1] * 30, "kernel_size": 3, "input_kernel_size": 1}, 61),
        # Figure 2 counts input layer and three hidden layers of filter length 2 without dilation.
        ({"dilations": [1, 1, 1], "input_kernel_size": 2}, 5),
        # Figure 3.
        ({"dilations": "1..8", "input_kernel_size": 1}, 16),
    ],
)
def test_receptive_field_of_known_nets(options, field):
    assert WaveNet(residual_channels=2, gate_channels=2, skip_channels=2, **options).receptive_field == field


@pytest.mark.parametrize("dilations", [[1], [1, 2, 4], [3, 1, 5], [2, 2, 2]])
@pytest.mark.parametrize("kernel_size", [2, 3, 4])
@pytest.mark.parametrize(("input", "input_kernel_size"), [("one-hot", 1), ("one-hot", 3), ("scalar", 2)])
def test_each_output_depends_on_its_receptive_field_and_nothing_else(dilations, kernel_size, input, input_kernel_size):
    """The Jacobian by differences: every sample in the field changes the output, none outside it does."""
    net = build(dilations=dilations, kernel_size=kernel_size, input=input, input_kernel_size=input_kernel_size).double()
    with torch.no_grad():
        # Rectifiers that are all shut would hide a dependence.
        net.stack.skip.bias.add_(20)
        net.head[1].bias.add_(20)
    field = net.receptive_field
    codes = torch.randint(0, 256, (1, field + 6))
    base = net(codes)
    assert base.shape[1] == 7
    for position in range(codes.shape[1]):
        changed = codes.clone()
        changed[0, position] = (codes[0, position] + 100) % 256
        differs = (net(changed) != base).any(-1)[0].tolist()
        # Output j is computed from codes j to j + R - 1.
        reached = [j <= position <= j + field - 1 for j in range(7)]
        # With gaps between the taps, a field holds samples that no path reaches.
        on_a_path = [reached[j] and _on_a_path(net, j + field - 1 - position) for j in range(7)]
        assert differs == on_a_path
    assert _on_a_path(net, 0)
    assert _on_a_path(net, field - 1)


def _on_a_path(net: WaveNet, delay: int) -> bool:
    delays = set(range(net.input_kernel_size))
    for dilation in net.dilations:
        delays = {d + tap * dilation for d in delays for tap in range(net.kernel_size)}
    return delay in delays


@pytest.mark.parametrize("kind", KINDS)
def test_forward_is_that_of_dilated_convolutions(kind):
    net = build(kind).double()
    codes = torch.randint(0, 256, (3, net.receptive_field + 40))
    global_condition = torch.randn(3, net.global_channels).double() if net.global_channels else None
    local = torch.randn(3, codes.shape[1], net.local_channels).double() if net.local_channels else None
    torch.testing.assert_close(
        net(codes, global_condition, local), textbook_forward(net, codes, global_condition, local)
    )


def test_every_parameter_gets_a_gradient():
    for kind in KINDS:
        net = build(kind)
        waveform = torch.rand(2, net.history + 50) - 0.5
        frames = net.upsampling.context_frames - (-waveform.shape[1] // net.upsampling.hop) if net.upsampling else 0
        conditions = Conditions(
            torch.randn(2, net.global_channels) if net.global_channels else None,
            torch.randn(2, 3, frames) if net.upsampling else None,
        )
        net.nll(waveform, conditions).mean().backward()
        silent = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
        assert not silent, (kind, silent)


def test_parameter_count_of_the_papers_net():
    """Layer by layer with pencil and paper: 30 layers, 64 residual, 128 gate, 256 skip, 256 head and output."""
    inputs = 2 * 256 * 64 + 64
    dilated = 30 * (2 * 64 * 128 + 128)
    residual = 29 * (64 * 64 + 64)
    skip = 30 * 64 * 256 + 256
    head = 2 * (256 * 256 + 256)
    net = WaveNet()
    assert sum(p.numel() for p in net.parameters()) == inputs + dilated + residual + skip + head


def test_fresh_net_predicts_almost_uniformly():
    torch.manual_seed(0)
    nll = WaveNet(dilations="1..16").nll(torch.rand(1, 500) - 0.5).mean().item()
    assert nll == pytest.approx(5.545, abs=0.1)


def test_noise_is_on_what_the_net_sees_and_not_on_what_it_predicts():
    net = build()
    waveform = torch.rand(64, net.history + 100) - 0.5
    codes = net.distribution.encode(waveform)
    torch.manual_seed(0)
    seen = net._noisy(codes, 10.0)
    # Deviations are drawn evenly from 0 to 10: their mean is 5, and a quarter of the clips has less than 2.5.
    deviations = (seen - codes).double().std(1)
    assert deviations.mean() == pytest.approx(5, abs=1)
    assert (deviations < 2.5).double().mean() == pytest.approx(0.25, abs=0.12)
    assert 0 <= seen.min() <= seen.max() <= 255
    torch.manual_seed(0)
    noisy = net.nll(waveform, noise=10.0)
    logits = net(seen[:, :-1])
    expected = torch.nn.functional.cross_entropy(logits.transpose(1, 2), codes[:, net.history :], reduction="none")
    torch.testing.assert_close(noisy, expected)
    assert torch.equal(net.nll(waveform, noise=0.0), net.nll(waveform))


def test_nll_of_a_batch_is_that_of_its_clips():
    net = build("global and local").double()
    waveform = torch.rand(3, 100).double() - 0.5
    frames = net.upsampling.context_frames + 10
    conditions = Conditions(torch.randn(3, 2).double(), torch.randn(3, 3, frames).double())
    together = net.nll(waveform, conditions)
    for row in range(3):
        alone = net.nll(waveform[row : row + 1], Conditions(*(c[row : row + 1] for c in conditions)))
        torch.testing.assert_close(together[row : row + 1], alone)


@pytest.mark.parametrize(
    "upsampling",
    [
        RepeatUpsampling(3, 20),
        TransposedUpsampling(3, [20], 4),
        TransposedUpsampling(3, [4, 5], 4),
        TransposedUpsampling(3, [2, 2, 5], 4),
        TransposedUpsampling(3, [1, 20], 4),
    ],
)
def test_impulse_in_a_frame_changes_samples_from_its_own_on(upsampling):
    frames = torch.randn(1, 3, 8)
    base = upsampling(frames)
    assert base.shape == (1, 8 * 20, upsampling.channels)
    for frame in range(8):
        changed = frames.clone()
        changed[:, :, frame] += 1
        differs = (upsampling(changed) != base).any(-1)[0]
        first, last = differs.nonzero()[[0, -1]].flatten().tolist()
        assert first == frame * 20
        # The last sample reached lies in the last frame whose context still holds the changed one.
        assert last // 20 == min(frame + upsampling.context_frames, 7)


@pytest.mark.parametrize("kind", ["local, transposed", "local, repeated", "global and local"])
def test_impulse_in_a_frame_changes_likelihoods_from_its_own_samples_on(kind):
    net = build(kind).double()
    hop, field, before = net.upsampling.hop, net.receptive_field, net.upsampling.context_frames
    samples = 8 * hop
    assert samples > field + 2 * hop
    waveform = torch.rand(1, samples).double() - 0.5
    global_condition = torch.randn(1, net.global_channels).double() if net.global_channels else None
    frames = torch.randn(1, 3, before + 8).double()
    base = net.nll(waveform, Conditions(global_condition, frames))
    for frame in range(-(-field // hop), 8):
        changed = frames.clone()
        changed[:, :, before + frame] += 1
        differs = (net.nll(waveform, Conditions(global_condition, changed)) != base)[0].nonzero().flatten()
        assert differs[0].item() + field == frame * hop


@pytest.mark.parametrize("kind", ["local, transposed", "local, repeated", "global and local"])
def test_a_window_has_the_likelihood_that_it_has_within_its_clip(kind):
    net = build(kind).double()
    hop, before = net.upsampling.hop, net.upsampling.context_frames
    waveform = torch.rand(1, 8 * hop).double() - 0.5
    global_condition = torch.randn(1, net.global_channels).double() if net.global_channels else None
    frames = torch.randn(1, 3, before + 8).double()
    whole = net.nll(waveform, Conditions(global_condition, frames))
    for first in range(1, 5):
        window = net.nll(waveform[:, first * hop :], Conditions(global_condition, frames[:, :, first:]))
        torch.testing.assert_close(window, whole[:, first * hop :])


@pytest.mark.parametrize("beyond", [1, 2, 3])
def test_frames_that_do_not_cover_the_waveform_are_refused(beyond):
    net = build("local, repeated")
    hop = net.upsampling.hop
    frames = torch.randn(1, 3, 3)
    assert net.nll(torch.zeros(1, 3 * hop), Conditions(frames=frames)).shape[1] == 3 * hop - net.receptive_field
    with pytest.raises(ValueError, match="local condition of"):
        net.nll(torch.zeros(1, 3 * hop + beyond), Conditions(frames=frames))


def test_dilations_short_form():
    assert parse_dilations("1..8 x2, 1..2, 7") == (1, 2, 4, 8, 1, 2, 4, 8, 1, 2, 7)
    assert parse_dilations([3, 1]) == (3, 1)
    for wrong in ("1..512 times 3", "1..500", "0..4", "", "8..1"):
        with pytest.raises(ValueError, match="dilations"):
            parse_dilations(wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gate_channels": 7}, "even"),
        ({"kernel_size": 1}, "kernel_size"),
        ({"shared_projection": True}, "skip_channels is 256 and residual_channels is 64"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        WaveNet(**options)


def test_missing_and_unwanted_conditions_are_refused():
    codes = torch.randint(0, 256, (1, 50))
    with pytest.raises(ValueError, match="global condition"):
        build("global")(codes)
    with pytest.raises(ValueError, match="global condition"):
        build()(codes, torch.zeros(1, 3))
    with pytest.raises(ValueError, match="fewer than the receptive field"):
        build()(codes[:, :4])
