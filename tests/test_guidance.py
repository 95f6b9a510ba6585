"""Classifier-free guidance: two streams a clip, whose logits are combined before one draw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from nets import build, needs_native, stream_for, teacher_forced
from torch import Tensor

from lightning_wavenet.backbone import LogisticMixture, WaveNet
from lightning_wavenet.errors import RequestError
from lightning_wavenet.sampling import Guidance, Sampler, Stream, sampler
from lightning_wavenet.sampling.cuda import CudaSession

ENGINES = ["eager", pytest.param("native", marks=needs_native), "cuda steps"]


def guided(net: WaveNet, samples: int, seed: int, strength: float, prime: int | None = None) -> Stream:
    stream = stream_for(net, samples, seed, prime)
    return replace(stream, guidance=Guidance(strength, torch.zeros(net.global_channels)))


def naive(net: WaveNet, stream: Stream) -> Tensor:
    """Codes by two whole forward passes a sample, one under each condition."""
    other = replace(stream, global_condition=stream.guidance.away_from)
    codes = torch.empty(0, dtype=torch.long)
    for uniform in torch.from_numpy(np.random.default_rng(stream.seed).random(stream.samples)):
        ahead = torch.cat([codes, torch.zeros(1, dtype=torch.long)])
        c, u = (teacher_forced(net, one, ahead)[-1] for one in (stream, other))
        logits = (1 - stream.guidance.strength) * u + stream.guidance.strength * c
        codes = torch.cat([codes, net.distribution.sampling()(logits, uniform).unsqueeze(0)])
    return codes


@pytest.fixture
def of_engine(monkeypatch):
    def make(net: WaveNet, engine: str) -> Sampler:
        if engine == "cuda steps":
            monkeypatch.setattr(sampler, "EagerSession", lambda start: CudaSession(start, "float32"))
        return Sampler(net, "native" if engine == "native" else "eager", "float32")

    return make


@pytest.mark.parametrize("kind", ["global", "global and local", "global, local and context"])
@pytest.mark.parametrize("engine", ENGINES)
def test_guided_clips_are_those_of_two_whole_passes(kind, engine, of_engine):
    net = build(kind)
    streams = [guided(net, 60, 1, 3.0), guided(net, 25, 2, 0.5, prime=7), guided(net, 41, 3, -1.0, prime=50)]
    with torch.inference_mode():
        expected = [naive(net, stream) for stream in streams]
    found = [net.distribution.encode(clip) for clip in of_engine(net, engine).generate(streams, chunk=17)]
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("engine", ENGINES)
def test_strength_goes_from_the_one_condition_to_the_other(engine, of_engine):
    net = build("global")
    stream = stream_for(net, 200, seed=5)
    other = torch.tensor([1.0, -2.0, 0.5])
    chosen = of_engine(net, engine)
    plain, away = chosen.generate([stream, replace(stream, global_condition=other)])
    one, zero, more = chosen.generate([replace(stream, guidance=Guidance(by, other)) for by in (1.0, 0.0, 4.0)])
    assert torch.equal(one, plain)
    assert torch.equal(zero, away)
    assert not torch.equal(more, plain)


@needs_native
def test_threads_and_neighbors_do_not_change_a_bit():
    net = build("global and local")
    streams = [guided(net, 200 + 10 * seed, seed, 1.0 + seed, prime=7 * seed) for seed in range(7)]
    torch.set_num_threads(1)
    alone = [Sampler(net, "native", "float32").generate([stream])[0] for stream in streams]
    for threads in (1, 3, 5):
        torch.set_num_threads(threads)
        together = Sampler(net, "native", "float32").generate(streams)
        assert all(map(torch.equal, together, alone))
    torch.set_num_threads(1)


def test_what_cannot_be_guided_is_refused():
    net = build("global")
    one = guided(net, 10, 0, 2.0)
    with pytest.raises(RequestError, match="finite number, got nan"):
        Sampler(net).generate([guided(net, 10, 0, float("nan"))])
    with pytest.raises(RequestError, match="all guided, or none"):
        Sampler(net).generate([one, stream_for(net, 10)])
    with pytest.raises(RequestError, match="another global condition of a net that takes one"):
        Sampler(net).generate([replace(one, guidance=Guidance(2.0, torch.zeros(4)))])
    with pytest.raises(RequestError, match="another global condition of a net that takes one"):
        Sampler(build()).generate([Stream(10, guidance=Guidance(2.0, torch.zeros(0)))])
    mixture = build("global", distribution=LogisticMixture(2), input="scalar")
    with pytest.raises(RequestError, match="combines logits, and LogisticMixture has none"):
        Sampler(mixture).generate([guided(mixture, 10, 0, 2.0)])
