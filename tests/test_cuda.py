"""The engine of CUDA graphs: its steps anywhere, its graphs where there is a GPU."""

from __future__ import annotations

import pytest
import torch
from nets import KINDS, build, stream_for

from lightning_wavenet.sampling import Sampler, Stream, sampler
from lightning_wavenet.sampling.cuda import BLOCK, CudaSession

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.mark.parametrize("kind", KINDS)
def test_steps_draw_the_codes_of_the_eager_engine(kind, monkeypatch):
    net = build(kind)
    lengths_and_primes = [(5 * BLOCK + 3, None), (2 * BLOCK, 60), (70, 5)]
    streams = [stream_for(net, length, seed, prime) for seed, (length, prime) in enumerate(lengths_and_primes)]
    expected = Sampler(net, "eager").generate(streams)
    # The same front door with the engine's steps behind it, on whatever device the net is.
    monkeypatch.setattr(sampler, "EagerSession", lambda start: CudaSession(start, "float32"))
    for chunk in (BLOCK + 1, 1_000):
        clips = Sampler(net, "eager").generate(streams, chunk)
        assert all(map(torch.equal, clips, expected))


@needs_gpu
@pytest.mark.parametrize("kind", KINDS)
def test_graphs_draw_the_codes_of_the_eager_engine(kind):
    net = build(kind).cuda()
    streams = [stream_for(net, 4_000, seed, prime) for seed, prime in enumerate((None, 60, 5))]
    expected = Sampler(net, "eager").generate(streams)
    assert all(map(torch.equal, Sampler(net, "cuda", "float32").generate(streams), expected))


@needs_gpu
def test_auto_takes_graphs_on_a_gpu():
    net = build().cuda()
    assert Sampler(net).engine.name == "cuda"
    assert len(Sampler(net).generate([Stream(100)])[0]) == 100
