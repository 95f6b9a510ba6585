"""Context stacks (section 2.6): small stacks over a long stretch of the past condition the net on what was there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lightning_wavenet.backbone.cached import StepsOf
from lightning_wavenet.backbone.conditioning import RepeatUpsampling, TransposedUpsampling
from lightning_wavenet.backbone.residual import AMPLITUDE_GAIN, ResidualStack, parse_dilations


class ContextStack(nn.Module):
    """A residual stack over frames of P samples, whose output is a local condition of the net.

    A frame's samples enter by one linear layer, a convolution with a stride of P. Frame n, over samples n P to
    (n + 1) P - 1, and the frames before it that the stack sees condition samples (n + 1) P to (n + 2) P - 1.

    Args:
        pooling: P, samples a frame.
        dilations: Dilation of each layer in frames, as those of `WaveNet`.
        kernel_size: Taps of each dilated convolution.
        residual_channels: Width of the signal that passes from layer to layer.
        gate_channels: Width of filter and gate together.
        channels: C, width of the condition.
        strides: Upsampling factors of transposed convolutions, which blend neighboring frames; their product is P.
            None: a frame's condition is repeated.

    Raises:
        ValueError: The widths are not positive, or the strides do not multiply to P.
    """

    def __init__(
        self,
        pooling: int = 64,
        dilations: Sequence[int] | str = "1..512",
        kernel_size: int = 2,
        residual_channels: int = 32,
        gate_channels: int = 64,
        channels: int = 32,
        strides: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        widths = (pooling, residual_channels, gate_channels, channels)
        if min(widths) < 1 or gate_channels % 2 or kernel_size < 2:
            raise ValueError(
                "a context stack has a positive pooling and channels, an even number of gate_channels, and a "
                f"kernel_size of at least 2; got {widths} and {kernel_size}"
            )
        self.pooling = pooling
        self.dilations = parse_dilations(dilations)
        self.kernel_size = kernel_size
        self.residual_channels = residual_channels
        self.gate_channels = gate_channels
        self.channels = channels
        self.strides = None if strides is None else tuple(strides)
        self.upsampling: RepeatUpsampling | TransposedUpsampling = (
            RepeatUpsampling(channels, pooling)
            if self.strides is None
            else TransposedUpsampling(channels, self.strides, channels)
        )
        if self.upsampling.hop != pooling:
            raise ValueError(
                f"the product of a context stack's strides is its pooling of {pooling}, got {self.strides}"
            )
        self.pool = nn.Linear(pooling, residual_channels)
        nn.init.normal_(self.pool.weight, std=AMPLITUDE_GAIN * pooling**-0.5)
        self.stack = ResidualStack(
            self.dilations, kernel_size, residual_channels, gate_channels, channels, 0, 0, False, True
        )

    @property
    def frames(self) -> int:
        """K: how many frames the stack sees."""
        return self.stack.reach + 1

    @property
    def reach(self) -> int:
        """How many samples before the first one of a frame's time its condition depends on."""
        return (self.frames + self.upsampling.context_frames) * self.pooling

    def pooled(self, amplitudes: Tensor) -> Tensor:
        """What enters the stack: `[B, N P]` to `[N, B, residual_channels]`."""
        frames = amplitudes.unflatten(1, (-1, self.pooling)).transpose(0, 1)
        return self.pool(frames.to(self.pool.weight.dtype))

    def forward(self, amplitudes: Tensor) -> Tensor:
        """What N frames come to, `[B, C, N - K + 1]`, from their samples `[B, N P]`; those of the first K - 1 lack."""
        return self.stack(self.pooled(amplitudes)).permute(1, 2, 0)

    def condition(self, amplitudes: Tensor, first: int) -> Tensor:
        """The condition of samples `first` to T - 1, `[B, T - first, C]`, from all T samples `[B, T]`.

        Frames begin at the first sample.

        Raises:
            ValueError: A stack sees further back than the samples go.
        """
        length, pooling = amplitudes.shape[1], self.pooling
        # Blocks of P samples are conditioned on the frame before them.
        block, last = first // pooling, (length - 1) // pooling
        begin = block - self.upsampling.context_frames
        if begin < self.frames:
            raise ValueError(
                f"a context stack of {self.frames} frames of {pooling} samples conditions samples from {self.reach} "
                f"on, and {first} was asked for"
            )
        made = self(amplitudes[:, (begin - self.frames) * pooling : last * pooling])
        start = first - begin * pooling
        return self.upsampling(made)[:, start : start + length - first]


class ContextCondition:
    """What a context stack makes of streams while they are generated (`LocalCondition`), one step a frame.

    Frames begin at the first sample that is generated.

    Args:
        context: The stack.
        decode: Codes to amplitudes.
        history: The H codes before the first sample of each stream, int64 `[B, H]`.
        steps: Begins the stack's steps.
    """

    def __init__(
        self, context: ContextStack, decode: Callable[[Tensor], Tensor], history: Tensor, steps: StepsOf
    ) -> None:
        self.context = context
        self.decode = decode
        past = decode(history[:, history.shape[1] % context.pooling :])
        # On CPUs products of several streams are rounded otherwise, and a stream would depend on its neighbors.
        together = 1 if history.device.type == "cpu" else len(history)
        pooled = [context.pooled(rows) for rows in past.split(together)]
        made = [context.stack(rows).permute(1, 2, 0) for rows in pooled]
        inputs = [context.stack.past_inputs(rows, context.stack.global_terms(None), None) for rows in pooled]
        self.together = together
        self.steps = steps(context.stack, [torch.cat(layer) for layer in zip(*inputs, strict=True)])
        self.made = torch.cat(made)
        self.known = context.pooling
        self.pending = history[:, :0]

    def rows(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """One row a frame where the stack repeats its frames, one a sample elsewhere."""
        assert stop <= self.known
        upsampling = self.context.upsampling
        hop, hold = upsampling.hop, upsampling.hold
        begin = start // hop - upsampling.context_frames
        end = -(-stop // hop)
        # The last frame that was made is that of the last known samples.
        offset = self.made.shape[-1] - self.known // hop
        assert begin + offset >= 0
        rows = upsampling.distinct(self.made[..., begin + offset : end + offset])
        low, high = start // hold, (stop - 1) // hold
        rows = rows[:, low - begin * hop // hold : high + 1 - begin * hop // hold]
        index = torch.arange(start, stop, device=rows.device) // hold - low
        return rows, index.expand(len(rows), -1)

    def take(self, codes: Tensor) -> None:
        """Takes in the next codes as they are drawn, int64 `[B, n]`; no more than up to what is known."""
        self.pending = torch.cat([self.pending, codes], dim=1)
        pooling = self.context.pooling
        if self.pending.shape[1] < pooling:
            return
        assert self.pending.shape[1] == pooling
        amplitudes = self.decode(self.pending)
        x = torch.cat([self.context.pooled(rows)[0] for rows in amplitudes.split(self.together)])
        kept = self.context.upsampling.context_frames
        made = self.steps.step(x).unsqueeze(-1)
        self.made = torch.cat([self.made[..., self.made.shape[-1] - kept :], made], dim=-1)
        self.known += pooling
        self.pending = self.pending[:, :0]

    def keep(self, rows: Tensor) -> None:
        """Drops all streams but those at the given rows."""
        self.steps.keep(rows)
        rows = rows.to(self.made.device)
        self.made, self.pending = self.made[rows], self.pending[rows]
