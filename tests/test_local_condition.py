"""A local condition that is learned on the way, from the codes that are drawn, as a context stack's is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nets import needs_native, stream_for
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.backbone.residual import ResidualStack
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.models import UnconditionalModel
from lightning_wavenet.sampling import Sampler, Stream, sampler
from lightning_wavenet.sampling.cuda import CudaSession

HOP, SPAN = 7, 20
"""A row of the condition stands for 7 samples, and is made of the 20 samples before them."""


class DrawnCondition:
    """The rows of streams as far as their samples are drawn."""

    def __init__(self, net: ContextNet, history: Tensor, primes: list[int]) -> None:
        self.net, self.primes = net, list(primes)
        self.length, self.codes = history.shape[1], history

    @property
    def done(self) -> int:
        return self.codes.shape[1] - self.length

    @property
    def known(self) -> int:
        return min(((prime + self.done) // HOP + 1) * HOP - prime for prime in self.primes)

    def rows(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        assert stop <= self.known
        rows, index = [], []
        for codes, prime in zip(self.codes, self.primes, strict=True):
            amplitudes = self.net.distribution.decode(codes)
            places = torch.arange(prime + start, prime + stop).div(HOP, rounding_mode="floor")
            found = []
            for row in range(int(places[0]), int(places[-1]) + 1):
                first = row * HOP - SPAN - prime + self.length
                found.append(self.net.context(amplitudes[first : first + SPAN]).tanh())
            rows.append(torch.stack(found))
            index.append(places - places[0])
        return nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.stack(index)

    def take(self, codes: Tensor) -> None:
        self.codes = torch.cat([self.codes, codes], dim=1)

    def keep(self, rows: Tensor) -> None:
        self.codes = self.codes[rows]
        self.primes = [self.primes[row] for row in rows.tolist()]


class ContextNet(WaveNet):
    """A net that is conditioned on its own past, further back than its layers see."""

    def __init__(self) -> None:
        widths = {"residual_channels": 8, "gate_channels": 12, "skip_channels": 10, "head_channels": 9}
        super().__init__("1..4 x1, 1..2", **widths)
        self.local_channels = 4
        self.stack = ResidualStack(self.dilations, 2, 8, 12, 10, 0, self.local_channels, False, True)
        self.context = nn.Linear(SPAN, self.local_channels)
        with torch.no_grad():
            self.context.weight.mul_(10)
            self.head[-1].weight.mul_(8)

    @property
    def history(self) -> int:
        return self.receptive_field + HOP + SPAN

    def local_condition(self, codes: Tensor, frames: Tensor | None, first: int = 0) -> Tensor:
        silence = float(self.distribution.decode(torch.tensor(self.distribution.silence)))
        windows = F.pad(self.distribution.decode(codes), (SPAN, 0), value=silence).unfold(1, SPAN, HOP)
        return self.context(windows).tanh().repeat_interleave(HOP, dim=1)[:, first : codes.shape[1]]

    def begin_local_condition(self, history, frames, primes, steps=None) -> DrawnCondition:
        return DrawnCondition(self, history, primes)


@pytest.fixture
def net() -> ContextNet:
    torch.manual_seed(0)
    return ContextNet().eval()


def naive(net: ContextNet, stream: Stream) -> Tensor:
    """Codes by a whole forward pass a sample, over everything since the silence before the clip."""
    uniforms = torch.from_numpy(np.random.default_rng(stream.seed).random(stream.samples))
    silence = torch.full((net.history + -net.history % HOP,), net.distribution.silence)
    prime = torch.zeros(0) if stream.prime is None else stream.prime
    whole = torch.cat([silence, net.distribution.encode(prime)]).unsqueeze(0)
    for uniform in uniforms:
        local = net.local_condition(F.pad(whole, (0, 1)), None)
        parameters = net(whole, None, local[:, 1:])[:, -1]
        whole = torch.cat([whole, net.distribution.sampling()(parameters, uniform[None]).unsqueeze(0)], dim=1)
    return whole[0, len(silence) + len(prime) :]


@pytest.mark.parametrize("engine", ["eager", pytest.param("native", marks=needs_native), "cuda steps"])
def test_what_is_drawn_becomes_the_condition_of_what_follows(net, engine, monkeypatch):
    if engine == "cuda steps":
        monkeypatch.setattr(sampler, "EagerSession", lambda start: CudaSession(start, "float32"))
    chosen = Sampler(net, "native" if engine == "native" else "eager", "float32")
    lengths_and_primes = [(150, None), (40, 5), (111, 60), (93, 14)]
    streams = [stream_for(net, length, seed, prime) for seed, (length, prime) in enumerate(lengths_and_primes)]
    with torch.inference_mode():
        expected = [naive(net, stream) for stream in streams]
    for chunk in (11, 1_000):
        found = [net.distribution.encode(clip) for clip in chosen.generate(streams, chunk)]
        assert all(map(torch.equal, found, expected))
    # The condition reaches the draws: with another one they part.
    with torch.no_grad():
        net.context.weight.neg_()
    assert not torch.equal(net.distribution.encode(chosen.generate(streams[:1])[0]), expected[0])


def test_likelihood_counts_what_has_its_whole_history(net):
    waveform = torch.rand(2, 20 * HOP) - 0.5
    codes = net.distribution.encode(waveform)
    parameters = net(codes[:, :-1], None, net.local_condition(codes, None)[:, 1:])
    every = F.cross_entropy(parameters.transpose(1, 2), codes[:, net.receptive_field :], reduction="none")
    nats = net.nll(waveform)
    assert nats.shape == (2, 20 * HOP - net.history)
    torch.testing.assert_close(nats, every[:, net.history - net.receptive_field :])
    # A net of a real past has the likelihood that it has in the middle of a longer crop.
    torch.testing.assert_close(net.nll(waveform[:, 5 * HOP :]), nats[:, 5 * HOP :])


def test_models_ask_the_corpus_for_the_history(net):
    request = UnconditionalModel(net, Vocabulary(sample_rate=8_000)).request
    assert request.history == net.history == net.receptive_field + HOP + SPAN
