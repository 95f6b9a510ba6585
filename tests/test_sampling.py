import dataclasses

import pytest
import torch
from nets import KINDS, build, generate_naively, stream_for, teacher_forced

from lightning_wavenet.errors import RequestError
from lightning_wavenet.sampling import Sampler, Stream
from lightning_wavenet.sampling.eager import EagerSession
from lightning_wavenet.sampling.session import local_condition


def encoded(net, waveform):
    return net.distribution.encode(waveform)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prime", [None, 7, 60])
def test_cached_generation_is_naive_generation(kind, prime):
    net = build(kind)
    stream = stream_for(net, samples=150, seed=3, prime=prime)
    codes = encoded(net, Sampler(net).generate([stream])[0])
    assert len(codes.unique()) > 10
    assert torch.equal(codes, generate_naively(net, stream))


@pytest.mark.parametrize("kind", KINDS)
def test_cached_logits_are_those_of_the_whole_forward_pass(kind):
    net = build(kind)
    stream = stream_for(net, samples=80, seed=1, prime=33)
    codes = torch.randint(0, 256, (80,))
    field = net.receptive_field
    history = torch.cat([torch.full((field,), 128), encoded(net, stream.prime)])[-field:]
    vector = None if stream.vector is None else stream.vector.unsqueeze(0)
    local = None if stream.frames is None else local_condition(net, stream.frames, 34 - field, 113)
    with torch.inference_mode():
        session = EagerSession(
            net, history.unsqueeze(0), vector, None if local is None else local[:, : field - 1], 1, 1
        )
        logits = []
        for step in range(80):
            logits.append(session.predict(None if local is None else local[:, field - 1 + step]))
            session.recent = torch.cat([session.recent[:, 1:], codes[None, step : step + 1]], dim=1)
    torch.testing.assert_close(torch.cat(logits), teacher_forced(net, stream, codes), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [1, 17, 1000])
def test_streams_of_mixed_lengths_and_primes_are_those_generated_alone(kind, chunk):
    net = build(kind)
    streams = [
        stream_for(net, samples=90, seed=1),
        stream_for(net, samples=31, seed=2, prime=5),
        stream_for(net, samples=0, seed=3),
        stream_for(net, samples=120, seed=4, prime=200),
    ]
    together = Sampler(net).generate(streams, chunk=chunk)
    assert [len(clip) for clip in together] == [90, 31, 0, 120]
    for stream, clip in zip(streams, together, strict=True):
        assert torch.equal(clip, Sampler(net).generate([stream])[0])


def test_stream_yields_chunks_of_the_size_asked_for():
    net = build()
    streams = [stream_for(net, samples=100, seed=1), stream_for(net, samples=45, seed=2)]
    chunks = list(Sampler(net).stream(streams, chunk=30))
    assert [[len(part) for part in chunk] for chunk in chunks] == [[30, 30], [30, 15], [30, 0], [10, 0]]
    whole = Sampler(net).generate(streams)
    assert torch.equal(torch.cat([chunk[0] for chunk in chunks]), whole[0])


def test_seed_decides_the_draws():
    net = build()
    first, again, other = Sampler(net).generate([Stream(200, seed=5), Stream(200, seed=5), Stream(200, seed=6)])
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


def test_weights_changed_after_a_generation_are_seen():
    net = build()
    sampler = Sampler(net)
    sampler.generate([Stream(20)])
    other = build(seed=9)
    net.load_state_dict(other.state_dict())
    assert torch.equal(sampler.generate([Stream(100)])[0], Sampler(other).generate([Stream(100)])[0])


def test_temperature_and_top_p_reach_the_draws():
    net = build()
    stream = Stream(300, seed=1)
    plain = encoded(net, Sampler(net).generate([stream])[0])
    cold = encoded(net, Sampler(net, temperature=0.01).generate([stream])[0])
    narrow = encoded(net, Sampler(net, top_p=1e-6).generate([stream])[0])
    # Both limits are the most probable code at every step.
    greedy = teacher_forced(net, stream, narrow).argmax(-1)
    assert torch.equal(narrow, greedy)
    assert (cold == teacher_forced(net, stream, cold).argmax(-1)).float().mean() > 0.95
    assert not torch.equal(plain, narrow)


def test_prime_is_continued_and_not_repeated():
    net = build()
    recording = torch.rand(100) - 0.5
    with_prime = Sampler(net).generate([Stream(50, seed=1, prime=recording)])[0]
    # Only the receptive field of the prime matters.
    tail = recording[-net.receptive_field :]
    assert torch.equal(with_prime, Sampler(net).generate([Stream(50, seed=1, prime=tail)])[0])
    assert not torch.equal(with_prime, Sampler(net).generate([Stream(50, seed=1)])[0])


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
