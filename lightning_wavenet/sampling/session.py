"""Generation in progress: what every engine begins with, and what it offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_wavenet.backbone.conditioning import Upsampling
from lightning_wavenet.backbone.wavenet import WaveNet


class Session(Protocol):
    """A batch of streams that advance together."""

    def run(self, uniforms: Tensor) -> Tensor:
        """Generates the next n samples of every stream.

        Args:
            uniforms: float64 `[B, n]` in [0, 1) on the CPU, one a sample.

        Returns:
            Codes int64 `[B, n]`.
        """

    def keep(self, rows: Tensor) -> None:
        """Drops all streams but those at the given rows, int64 `[kept]`, ascending."""


@dataclass(frozen=True, eq=False)
class Start:
    """Where a session begins.

    Attributes:
        backbone: The net.
        context: The R codes before the first sample of each stream, int64 `[B, R]` on the backbone's device.
        vector: Global condition `[B, global_channels]` or None.
        local: Local condition or None.
        temperature: Divides the logits.
        top_p: Probability mass that is kept.
    """

    backbone: WaveNet
    context: Tensor
    vector: Tensor | None = None
    local: LocalCondition | None = None
    temperature: float = 1.0
    top_p: float = 1.0

    def global_terms(self) -> list[Tensor | None]:
        """The global condition's part in every layer's gate, `[B, G]` each, or None."""
        return self.backbone.stack.global_terms(self.vector)

    def layer_inputs(self) -> list[Tensor]:
        """Every layer's inputs that its taps will still need, oldest first, `[B, reach, C]` each."""
        backbone = self.backbone
        local = None if self.local is None else self.local.between(1 - backbone.receptive_field, 0)
        x = backbone.input_layer(self.context[:, :-1]).transpose(0, 1)
        inputs = []
        for layer, term in zip(backbone.stack.residual_layers(), self.global_terms(), strict=True):
            remaining = len(x) - layer.reach
            inputs.append(x[remaining:].transpose(0, 1))
            if remaining:
                projection = layer(x, term, None if local is None else local.transpose(0, 1)[-remaining:])[1]
                x = x[layer.reach :] + projection
        return inputs


class LocalCondition:
    """The local condition of several streams, upsampled piece by piece.

    Samples are counted from the first that is generated; those of the prime, and the silence before it, are negative.

    Args:
        backbone: The net that upsamples.
        frames: Conditioning frames of each stream, `[F, N]`, from its prime's first sample on.
        primes: Length of each stream's prime in samples.
    """

    def __init__(self, backbone: WaveNet, frames: Sequence[Tensor], primes: Sequence[int]) -> None:
        self.backbone = backbone
        self.frames = list(frames)
        self.primes = list(primes)

    @property
    def channels(self) -> int:
        """C: channels of the condition."""
        assert self.backbone.upsampling is not None
        return self.backbone.upsampling.channels

    def between(self, start: int, stop: int) -> Tensor:
        """Condition of samples start to stop - 1 of every stream, `[B, stop - start, C]`."""
        return torch.cat(
            [
                local_condition(self.backbone, frames, prime + start, prime + stop)
                for frames, prime in zip(self.frames, self.primes, strict=True)
            ]
        )

    def held(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """The same with the rows that repeat written once.

        Returns:
            Rows `[B, M, C]`, and the row of each sample, int64 `[B, stop - start]`: one row a frame where the
            upsampling repeats its frames, one a sample elsewhere. Samples beyond a stream's frames have none.
        """
        upsampling = self.backbone.upsampling
        assert upsampling is not None
        rows, index = [], []
        for frames, prime in zip(self.frames, self.primes, strict=True):
            window, first = _window(upsampling, frames, prime + start, prime + stop)
            begin = first * upsampling.hop // upsampling.hold
            at = torch.arange(prime + start, prime + stop, device=frames.device) // upsampling.hold
            low, high = (prime + start) // upsampling.hold, (prime + stop - 1) // upsampling.hold
            rows.append(upsampling.distinct(window.unsqueeze(0))[0, low - begin : high + 1 - begin])
            index.append(at - low)
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.stack(index)

    def keep(self, rows: Tensor) -> None:
        """Drops all streams but those at the given rows."""
        self.frames = [self.frames[row] for row in rows.tolist()]
        self.primes = [self.primes[row] for row in rows.tolist()]


class ConditionWindow:
    """A local condition's distinct rows, some way ahead of the generation.

    Engines ask for a few samples at a time, and upsampling has a cost a call. On CPUs moreover threads of PyTorch spin
    on for milliseconds after every operation that they share, and take the cores from others.

    Args:
        local: The condition.
        dtype: Of the rows.
        width: Channels of the rows, padded with zeros.
    """

    FIRST, MOST = 512, 8_192
    """Samples that are prepared at once: few to begin with, for the first sample waits for them, then twice as many
    every time."""

    def __init__(self, local: LocalCondition, dtype: torch.dtype, width: int) -> None:
        self.local = local
        self.dtype = dtype
        self.width = width
        self.first = self.last = 0
        self.size = self.FIRST
        self.rows = self.index = torch.empty(0)

    def of(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Rows `[B, M, width]`, and the row of each sample start to stop - 1, int64 `[B, stop - start]`."""
        if not self.first <= start <= stop <= self.last:
            self.first, self.last = start, max(stop, start + self.size)
            self.size = min(2 * self.size, self.MOST)
            rows, self.index = self.local.held(self.first, self.last)
            self.rows = F.pad(rows, (0, self.width - rows.shape[-1])).to(self.dtype).contiguous()
        return self.rows, self.index[:, start - self.first : stop - self.first]

    def keep(self, rows: Tensor) -> None:
        """Drops all streams but those at the given rows."""
        self.local.keep(rows)
        if self.first < self.last:
            self.rows, self.index = self.rows[rows], self.index[rows]


def local_condition(backbone: WaveNet, frames: Tensor, start: int, stop: int) -> Tensor:
    """Samples start to stop - 1 of one clip's upsampled frames `[F, N]`, as `[1, stop - start, C]`."""
    assert backbone.upsampling is not None
    window, first = _window(backbone.upsampling, frames, start, stop)
    offset = start - first * backbone.upsampling.hop
    return backbone.upsample(window.unsqueeze(0))[:, offset : offset + stop - start]


def _window(upsampling: Upsampling, frames: Tensor, start: int, stop: int) -> tuple[Tensor, int]:
    """The frames that samples start to stop - 1 depend on, and the number of the first.

    Before the clip (negative samples) frames are zero.
    """
    first = start // upsampling.hop - upsampling.context_frames
    last = -(-stop // upsampling.hop)
    before = frames.new_zeros(frames.shape[0], max(0, min(last, 0) - first))
    return torch.cat([before, frames[:, max(first, 0) : max(last, 0)]], dim=1), first
