import dataclasses

import pytest
import torch
from nets import KINDS, build, generate_naively, needs_native, stream_for, teacher_forced
from torch.nn import functional as F

from lightning_wavenet.backbone.local_condition import UpsampledFrames, at_samples
from lightning_wavenet.errors import RequestError
from lightning_wavenet.sampling import Sampler, Stream
from lightning_wavenet.sampling.eager import EagerSession
from lightning_wavenet.sampling.session import Start

ENGINES = ["eager", pytest.param("native", marks=needs_native)]


def exact(net, engine, **options):
    """A sampler in float32."""
    return Sampler(net, engine, "float32", **options)


def encoded(net, waveform):
    return net.distribution.encode(waveform)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prime", [None, 7, 60])
@pytest.mark.parametrize("engine", ENGINES)
def test_cached_generation_is_naive_generation(kind, prime, engine):
    net = build(kind)
    stream = stream_for(net, samples=150, seed=3, prime=prime)
    codes = encoded(net, exact(net, engine).generate([stream])[0])
    assert len(codes.unique()) > 10
    assert torch.equal(codes, generate_naively(net, stream))


@pytest.mark.parametrize("kind", KINDS)
def test_cached_logits_are_those_of_the_whole_forward_pass(kind):
    net = build(kind)
    stream = stream_for(net, samples=80, seed=1, prime=33)
    codes = torch.randint(0, 256, (80,))
    history = torch.cat([torch.full((net.history,), 128), encoded(net, stream.prime)])[-net.history :].unsqueeze(0)
    global_condition = None if stream.global_condition is None else stream.global_condition.unsqueeze(0)
    prime = stream.prime_samples
    conditions = net.begin_local_condition(history, [stream.frames], [prime])
    with torch.inference_mode():
        session = EagerSession(Start(net, history, net.distribution.sampling(), global_condition, conditions))
        logits = []
        for step in range(80):
            logits.append(
                session.predict(None if conditions is None else at_samples(*conditions.rows(step, step + 1))[:, 0])
            )
            session.recent = torch.cat([session.recent[:, 1:], codes[None, step : step + 1]], dim=1)
            if conditions is not None:
                conditions.take(codes[None, step : step + 1])
    torch.testing.assert_close(torch.cat(logits), teacher_forced(net, stream, codes), atol=1e-5, rtol=0)


def test_what_the_past_comes_to_does_not_depend_on_other_streams():
    """To the bit: a product of 13 rows may be rounded otherwise than one of a single row."""
    net = build("global")
    torch.manual_seed(1)
    history, condition = torch.randint(0, 256, (13, net.history)), torch.randn(13, 3)

    def start(rows: slice) -> Start:
        return Start(net, history[rows], net.distribution.sampling(), condition[rows])

    with torch.inference_mode():
        together = [*start(slice(None)).global_terms(), *start(slice(None)).layer_inputs()]
        for at in range(13):
            one = start(slice(at, at + 1))
            alone = [*one.global_terms(), *one.layer_inputs()]
            assert all(torch.equal(every[at], own[0]) for every, own in zip(together, alone, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [1, 17, 1000])
@pytest.mark.parametrize("engine", ENGINES)
def test_streams_of_mixed_lengths_and_primes_are_those_generated_alone(kind, chunk, engine):
    net = build(kind)
    streams = [
        stream_for(net, samples=90, seed=1),
        stream_for(net, samples=31, seed=2, prime=5),
        stream_for(net, samples=0, seed=3),
        stream_for(net, samples=120, seed=4, prime=200),
    ]
    together = exact(net, engine).generate(streams, chunk=chunk)
    assert [len(clip) for clip in together] == [90, 31, 0, 120]
    for stream, clip in zip(streams, together, strict=True):
        assert torch.equal(clip, exact(net, engine).generate([stream])[0])


@pytest.mark.parametrize("engine", ENGINES)
def test_stream_yields_chunks_of_the_size_asked_for(engine):
    net = build()
    streams = [stream_for(net, samples=100, seed=1), stream_for(net, samples=45, seed=2)]
    chunks = list(exact(net, engine).stream(streams, chunk=30))
    assert [[len(part) for part in chunk] for chunk in chunks] == [[30, 30], [30, 15], [30, 0], [10, 0]]
    whole = exact(net, engine).generate(streams)
    assert torch.equal(torch.cat([chunk[0] for chunk in chunks]), whole[0])


@pytest.mark.parametrize("engine", ENGINES)
def test_seed_decides_the_draws(engine):
    net = build()
    first, again, other = exact(net, engine).generate([Stream(200, seed=5), Stream(200, seed=5), Stream(200, seed=6)])
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_generation_leaves_the_global_random_state_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    Sampler(build(seed=1)).generate([Stream(10)])
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), expected)
    state = torch.get_rng_state()
    Sampler(build_without_seeding()).generate([Stream(10)])
    assert torch.equal(torch.get_rng_state(), state)


def build_without_seeding():
    state = torch.get_rng_state()
    net = build()
    torch.set_rng_state(state)
    return net


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_changed_after_a_generation_are_seen(engine):
    net = build()
    sampler = exact(net, engine)
    sampler.generate([Stream(20)])
    other = build(seed=9)
    net.load_state_dict(other.state_dict())
    assert torch.equal(sampler.generate([Stream(100)])[0], exact(other, engine).generate([Stream(100)])[0])


@pytest.mark.parametrize("engine", ENGINES)
def test_temperature_and_top_p_reach_the_draws(engine):
    net = build()
    stream = Stream(300, seed=1)
    plain = encoded(net, exact(net, engine).generate([stream])[0])
    cold = encoded(net, exact(net, engine, temperature=1e-6).generate([stream])[0])
    narrow = encoded(net, exact(net, engine, top_p=1e-6).generate([stream])[0])
    # Both limits are the most probable code at every step.
    greedy = teacher_forced(net, stream, narrow).argmax(-1)
    assert torch.equal(narrow, greedy)
    assert (cold == teacher_forced(net, stream, cold).argmax(-1)).float().mean() > 0.95
    assert not torch.equal(plain, narrow)


@pytest.mark.parametrize("engine", ENGINES)
def test_prime_is_continued_and_not_repeated(engine):
    net = build()
    recording = torch.rand(100) - 0.5
    with_prime = exact(net, engine).generate([Stream(50, seed=1, prime=recording)])[0]
    # Only the receptive field of the prime matters.
    tail = recording[-net.receptive_field :]
    assert torch.equal(with_prime, exact(net, engine).generate([Stream(50, seed=1, prime=tail)])[0])
    assert not torch.equal(with_prime, exact(net, engine).generate([Stream(50, seed=1)])[0])


def test_requests_that_do_not_fit_the_net_are_refused():
    conditioned = build("global and local")
    stream = stream_for(conditioned, samples=100, seed=0, prime=10)
    for wrong, message in [
        (Stream(10), "global condition of 2 channels, the stream has 0"),
        (dataclasses.replace(stream, frames=None), "takes conditioning frames"),
        (dataclasses.replace(stream, samples=101), "11 conditioning frames of 10 samples cover 110 samples"),
    ]:
        with pytest.raises(RequestError, match=message):
            Sampler(conditioned).generate([wrong])
    with pytest.raises(RequestError, match="temperature"):
        Sampler(conditioned, temperature=0)
    with pytest.raises(RequestError, match="top_p"):
        Sampler(conditioned, top_p=1.5)


def test_engines_and_precisions_that_do_not_fit_are_refused():
    net = build()
    with pytest.raises(RequestError, match="cuda engine needs the net on a GPU; it is on cpu"):
        Sampler(net, "cuda").generate([Stream(1)])
    with pytest.raises(RequestError, match="no engine 'gpu'; there are auto, eager, native, cuda"):
        Sampler(net, "gpu")
    with pytest.raises(RequestError, match="no precision 'fp32'"):
        Sampler(net, precision="fp32")
    with pytest.raises(RequestError, match="temperature"):
        Sampler(net, temperature=float("nan"))
    with pytest.raises(RequestError, match="eager engine cannot generate in bfloat16"):
        Sampler(net, "eager", "bfloat16").generate([Stream(1)])


@needs_native
def test_auto_takes_what_fits():
    net = build()
    assert Sampler(net).engine.name == "native"
    assert Sampler(net, precision="float32").engine.precision == "float32"
    assert Sampler(net, "eager").engine == ("eager", "float32")
    double = build().double()
    assert Sampler(double).engine.name == "eager"
    with pytest.raises(RequestError, match="float32 weights, and the net's are float64"):
        Sampler(double, "native").generate([Stream(1)])


def test_a_stream_may_be_left_unfinished():
    chunks = Sampler(build()).stream([Stream(1_000)], chunk=10)
    next(chunks)
    # The caller's own operations between chunks are not in inference mode.
    weight = torch.ones(1, requires_grad=True)
    (weight * 2).backward()
    assert weight.grad.item() == 2
    chunks.close()


def test_held_conditions_are_the_upsampled_ones():
    for kind in ("local, transposed", "local, repeated", "global and local"):
        net = build(kind)
        clips = [stream_for(net, samples=100, seed=seed, prime=prime) for seed, prime in ((0, None), (1, 7), (2, 33))]
        primes = [clip.prime_samples for clip in clips]
        condition = UpsampledFrames(net.upsampling, [clip.frames for clip in clips], primes)
        ends = [clip.frames.shape[-1] * net.upsampling.hop - prime for clip, prime in zip(clips, primes, strict=True)]
        assert condition.known == min(ends)
        for start, stop in ((0, 100), (3, 4), (17, 62), (-20, 5)):
            rows, index = condition.rows(start, stop)
            # Frames of zeros before each clip, all of it upsampled at once.
            before = 2 * net.upsampling.hop + 20 * net.upsampling.hop
            expected = []
            for clip, prime in zip(clips, primes, strict=True):
                whole = net.upsample(F.pad(clip.frames, (before // net.upsampling.hop, 0)).unsqueeze(0))[0]
                expected.append(whole[before + prime + start : before + prime + stop])
            torch.testing.assert_close(at_samples(rows, index), torch.stack(expected), atol=1e-6, rtol=0)
            if kind == "local, repeated":
                assert rows.shape[1] <= -(-(stop - start) // 20) + 1
