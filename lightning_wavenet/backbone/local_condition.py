"""The local condition while samples are generated: it may be given, or be learned from what was drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_wavenet.backbone.conditioning import Upsampling


class LocalCondition(Protocol):
    """The local condition of several streams that are generated side by side.

    Samples are counted from the first that is generated; those of the prime, and the silence before it, are negative.
    """

    @property
    def known(self) -> int:
        """The condition of the samples before this one is known. `take` may raise it."""

    def rows(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Condition of samples start to stop - 1, of which none may be unknown.

        Returns:
            Rows `[B, M, C]`, those that repeat written once, and the row of each sample, int64 `[B, stop - start]`,
            never falling.
        """

    def take(self, codes: Tensor) -> None:
        """Takes in the codes of the next samples as they are drawn, int64 `[B, n]`."""

    def keep(self, rows: Tensor) -> None:
        """Drops all streams but those at the given rows, int64 `[kept]`, ascending."""


def at_samples(rows: Tensor, index: Tensor) -> Tensor:
    """What `LocalCondition.rows` returns, sample by sample: `[B, n, C]`."""
    return rows.gather(1, index.unsqueeze(-1).expand(-1, -1, rows.shape[-1]))


class UpsampledFrames:
    """A local condition that is given as frames, and upsampled piece by piece. It is known to the frames' end.

    Args:
        upsampling: Brings frames to the sample rate.
        frames: Of each stream, `[F, N]`, from its prime's first sample on.
        primes: Length of each stream's prime in samples.
    """

    def __init__(self, upsampling: Upsampling, frames: Sequence[Tensor], primes: Sequence[int]) -> None:
        self.upsampling = upsampling
        self.frames = list(frames)
        self.primes = list(primes)

    @property
    def known(self) -> int:
        """Where the first stream's frames end."""
        ends = (frames.shape[-1] * self.upsampling.hop for frames in self.frames)
        return min(end - prime for end, prime in zip(ends, self.primes, strict=True))

    def rows(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """One row a frame where the upsampling repeats its frames, one a sample elsewhere."""
        hop, hold = self.upsampling.hop, self.upsampling.hold
        rows, index = [], []
        for frames, prime in zip(self.frames, self.primes, strict=True):
            window, first = _window(self.upsampling, frames, prime + start, prime + stop)
            begin = first * hop // hold
            at = torch.arange(prime + start, prime + stop, device=frames.device) // hold
            low, high = (prime + start) // hold, (prime + stop - 1) // hold
            rows.append(self.upsampling.distinct(window.unsqueeze(0))[0, low - begin : high + 1 - begin])
            index.append(at - low)
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.stack(index)

    def take(self, codes: Tensor) -> None:
        """Frames do not depend on what is drawn."""

    def keep(self, rows: Tensor) -> None:
        """Drops all streams but those at the given rows."""
        self.frames = [self.frames[row] for row in rows.tolist()]
        self.primes = [self.primes[row] for row in rows.tolist()]


class JoinedConditions:
    """Several local conditions side by side.

    Args:
        parts: In the order of their channels.
    """

    def __init__(self, parts: Sequence[LocalCondition]) -> None:
        self.parts = list(parts)

    @property
    def known(self) -> int:
        """As far as all are."""
        return min(part.known for part in self.parts)

    def rows(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """One row for as long as no part changes."""
        parts = [part.rows(start, stop) for part in self.parts]
        changes = torch.stack([index.diff(dim=1) != 0 for _, index in parts]).any(0)
        index = F.pad(changes.cumsum(1), (1, 0))
        # The first sample of each row; streams that have fewer rows than others repeat their last.
        firsts = torch.arange(int(index.max()) + 1, device=index.device).expand(len(index), -1).contiguous()
        firsts = torch.searchsorted(index, firsts).clamp(max=stop - start - 1)
        return torch.cat([at_samples(rows, at.gather(1, firsts)) for rows, at in parts], dim=-1), index

    def take(self, codes: Tensor) -> None:
        """Gives the next codes to all."""
        for part in self.parts:
            part.take(codes)

    def keep(self, rows: Tensor) -> None:
        """Drops all streams but those at the given rows."""
        for part in self.parts:
            part.keep(rows)


def _window(upsampling: Upsampling, frames: Tensor, start: int, stop: int) -> tuple[Tensor, int]:
    """The frames that samples start to stop - 1 depend on, and the number of the first.

    Before the clip (negative samples) frames are zero.
    """
    first = start // upsampling.hop - upsampling.context_frames
    last = -(-stop // upsampling.hop)
    before = frames.new_zeros(frames.shape[0], max(0, min(last, 0) - first))
    return torch.cat([before, frames[:, max(first, 0) : max(last, 0)]], dim=1), first
