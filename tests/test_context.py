"""Context stacks: what they see, what they condition, and that they are the same step by step."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from nets import build, needs_native

from lightning_wavenet.backbone import ContextStack, WaveNet
from lightning_wavenet.backbone.cached import CachedStack
from lightning_wavenet.data import blueprint
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.models import UnconditionalModel
from lightning_wavenet.sampling import native


def stack(**options) -> ContextStack:
    torch.manual_seed(0)
    return ContextStack(**{"residual_channels": 6, "gate_channels": 8, "channels": 5, **options}).double()


def test_field_and_history_by_hand():
    # Three layers of three taps at 1, 2 and 4 frames see 2 + 4 + 8 frames before the last.
    one = stack(pooling=4, dilations="1..4", kernel_size=3)
    assert (one.frames, one.reach) == (15, 60)
    # Transposed convolutions of two stages of 2 reach back 1 + 1/2 frames: two.
    assert stack(pooling=4, dilations="1..4", kernel_size=3, strides=[2, 2]).reach == 68
    # The last of 9 samples that the net sees has the context of its own time: from one sample on behind it, up to the
    # beginning of a frame.
    net = WaveNet("1..4", residual_channels=4, gate_channels=4, skip_channels=4, head_channels=4, contexts=[one])
    assert (net.receptive_field, net.grid, net.history) == (9, 4, 8 + 60)
    # Of two stacks the longer counts, in whole frames of both.
    two = [stack(pooling=4, dilations="1..4", kernel_size=3), stack(pooling=6, dilations="1..2")]
    net = WaveNet("1..4", residual_channels=4, gate_channels=4, skip_channels=4, head_channels=4, contexts=two)
    assert (net.grid, net.history) == (12, 12 + 60)
    # Four seconds at 16 kHz: 1,023 frames of 64 samples.
    assert ContextStack(64, "1..256 x2").reach == 65_472


@pytest.mark.parametrize("kind", ["context of samples", "context of frames", "contexts"])
def test_each_prediction_depends_on_its_whole_field_and_nothing_else(kind):
    """Which codes before it change a prediction, for every sample of two frames of the longest kind."""
    net = build(kind).double()
    history, field = net.history, net.receptive_field
    span = 2 * net.grid
    codes = torch.randint(0, 256, (1, history + span))

    def parameters(codes: torch.Tensor) -> torch.Tensor:
        first = history - field
        return net(codes[:, first:-1], None, net.local_condition(codes, None, first + 1))[0]

    def seen(sample: int) -> set[int]:
        """By the definition: the net's own field, and the frames before the block that each of its steps is in.

        The first layer's outputs are the first that are conditioned: a step later than its taps and the input layer's.
        """
        found = set(range(sample - field, sample))
        first_layer = net.stack.residual_layers()[0].reach + net.input_kernel_size
        for step in range(sample - field + first_layer, sample + 1):
            for context in net.contexts:
                pooling, before = context.pooling, context.frames + context.upsampling.context_frames
                block = step // pooling
                found |= set(range((block - before) * pooling, block * pooling))
        return found

    with torch.inference_mode():
        right = parameters(codes)
        changed = {at: set() for at in range(history, history + span)}
        for place in range(history + span):
            other = codes.clone()
            other[0, place] = (other[0, place] + 128) % 256
            for at in (parameters(other) != right).any(-1).nonzero().flatten().tolist():
                changed[history + at].add(place)
    for sample, places in changed.items():
        exact = seen(sample)
        # Blending kernels are as long as two strides: of the frame that is furthest back not every sample has a part.
        assert places <= exact if kind == "contexts" else places == exact
        assert min(places) - min(exact) < net.contexts[0].pooling


@pytest.mark.parametrize("strides", [None, [2, 2]])
def test_a_frame_conditions_what_comes_after_it(strides):
    context = stack(pooling=4, dilations="1..2", strides=strides)
    amplitudes = torch.rand(1, 60, dtype=torch.float64)
    first = context.reach + 3
    right = context.condition(amplitudes, first)
    assert right.shape == (1, 60 - first, 5)
    for frame in range(context.reach // 4, 15):
        changed = amplitudes.clone()
        changed[:, 4 * frame : 4 * frame + 4] += 0.5
        differs = (context.condition(changed, first) != right).any(-1)[0].nonzero().flatten() + first
        assert differs.tolist() == [] if frame == 14 else differs.min() >= 4 * (frame + 1)
    # A condition is that of the samples before it, wherever the first that was asked for lies.
    torch.testing.assert_close(context.condition(amplitudes, first + 9), right[:, 9:])
    with pytest.raises(ValueError, match=f"conditions samples from {context.reach} on, and {context.reach - 1} was"):
        context.condition(amplitudes, context.reach - 1)


@pytest.mark.parametrize("engine", ["PyTorch", pytest.param("native", marks=needs_native)])
def test_a_stack_step_by_step_is_its_whole_pass(engine):
    context = stack(dilations="1..4, 1..2", kernel_size=3).float()
    x = torch.randn(60, 3, 6)
    with torch.inference_mode():
        expected = context.stack(x)[-20:]
        past = context.stack.past_inputs(x[:40], context.stack.global_terms(None), None)
        begin = CachedStack if engine == "PyTorch" else partial(native.NativeSteps, library=native.load())
        steps = begin(context.stack, past)
        found = [steps.step(row) for row in x[40:50]]
        steps.keep(torch.tensor([0, 2]))
        fewer = [steps.step(row[[0, 2]]) for row in x[50:]]
    torch.testing.assert_close(torch.stack(found), expected[:10], atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.stack(fewer), expected[10:, [0, 2]], atol=1e-6, rtol=0)


def test_a_net_with_contexts_is_rebuilt_from_its_description():
    net = build("contexts")
    again = blueprint.build(blueprint.describe(net))
    assert [(one.pooling, one.dilations, one.strides, one.channels) for one in again.contexts] == [
        (4, (1, 2, 4, 8), (2, 2), 5),
        (64, (1, 2), None, 3),
    ]
    again.load_state_dict(net.state_dict())


def test_a_model_asks_for_crops_that_begin_with_frames():
    net = build("contexts")
    request = UnconditionalModel(net, Vocabulary(8_000)).request
    assert (request.hop, request.history) == (64, net.history)
    assert net.history % 64 == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": 0}, "positive pooling"),
        ({"gate_channels": 7}, "even number of gate_channels"),
        ({"kernel_size": 1}, "at least 2"),
        ({"pooling": 8, "strides": [2, 2]}, "product of a context stack's strides is its pooling of 8"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        stack(**options)
