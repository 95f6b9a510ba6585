"""What a WaveNet is conditioned on, and how a slow series of frames reaches the rate of the samples (section 2.5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.nn import functional as F


class Conditions(NamedTuple):
    """Everything outside the waveform that the prediction depends on; None where a model has no such input."""

    global_condition: Tensor | None = None
    """Global condition `[B, G]`: one vector a clip, such as a one-hot speaker."""
    frames: Tensor | None = None
    """Local condition `[B, F, N]`; where its frames begin is for the one who takes it to say."""


@runtime_checkable
class Upsampling(Protocol):
    """Brings frames to the sample rate without looking ahead: frame i has no effect on samples before i * hop."""

    @property
    def hop(self) -> int:
        """Samples a frame."""

    @property
    def frame_channels(self) -> int:
        """F: channels of a frame."""

    @property
    def channels(self) -> int:
        """C: channels after upsampling."""

    @property
    def context_frames(self) -> int:
        """How many frames before its own a sample depends on."""

    @property
    def hold(self) -> int:
        """Samples over which the output is the same: hop where frames are repeated, else 1."""

    def distinct(self, frames: Tensor) -> Tensor:
        """What the output is made of, each row standing for `hold` samples: `[B, N * hop / hold, C]`."""

    def __call__(self, frames: Tensor) -> Tensor:
        """Frames `[B, F, N]` to `[B, N * hop, C]`."""


class TransposedUpsampling(nn.Module):
    """The paper's learned upsampling: a chain of transposed convolutions, one a stride.

    Each stage has kernels of twice its stride, so that neighboring frames blend, and drops the tail that reaches
    beyond the last frame. Stages but the last are followed by a leaky ReLU.

    Args:
        frame_channels: F, channels of a frame.
        strides: Upsampling factor of each stage; their product is the hop in samples.
        channels: C, channels of every stage's output.
    """

    def __init__(self, frame_channels: int, strides: Sequence[int], channels: int) -> None:
        super().__init__()
        if not strides or min(strides) < 1:
            raise ValueError(f"strides must be one or more positive integers, got {list(strides)}")
        self.frame_channels = frame_channels
        self.strides = tuple(strides)
        self.channels = channels
        widths = [frame_channels] + [channels] * (len(self.strides) - 1)
        self.stages = nn.ModuleList(
            nn.ConvTranspose1d(width, channels, kernel_size=2 * stride, stride=stride)
            for width, stride in zip(widths, self.strides, strict=True)
        )

    @property
    def hop(self) -> int:
        """Samples a frame: the product of the strides."""
        return math.prod(self.strides)

    @property
    def context_frames(self) -> int:
        """Each stage reaches back one of its own input steps; in frames that is 1 + 1/s1 + 1/(s1 s2) + ..."""
        reach = sum(math.prod(self.strides[i:]) for i in range(len(self.strides)))
        return math.ceil(reach / self.hop)

    @property
    def hold(self) -> int:
        """Neighboring frames blend, so that every sample has its own."""
        return 1

    def distinct(self, frames: Tensor) -> Tensor:
        """Frames `[B, F, N]` to `[B, N * hop, C]`."""
        return self(frames)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames `[B, F, N]` to `[B, N * hop, C]`."""
        signal = frames
        for index, (stage, stride) in enumerate(zip(self.stages, self.strides, strict=True)):
            if index:
                signal = F.leaky_relu(signal, 0.4)
            signal = stage(signal)[..., :-stride]
        return signal.transpose(1, 2)


class RepeatUpsampling(nn.Module):
    """The paper's alternative: each frame's values repeated over its samples.

    Args:
        frame_channels: F, channels of a frame.
        hop: Samples a frame.
    """

    def __init__(self, frame_channels: int, hop: int) -> None:
        super().__init__()
        if hop < 1:
            raise ValueError(f"hop must be a positive number of samples, got {hop}")
        self.frame_channels = frame_channels
        self.hop = hop

    @property
    def channels(self) -> int:
        """Frames keep their channels."""
        return self.frame_channels

    @property
    def context_frames(self) -> int:
        """A sample depends on its own frame alone."""
        return 0

    @property
    def hold(self) -> int:
        """A frame's samples are all the same."""
        return self.hop

    def distinct(self, frames: Tensor) -> Tensor:
        """Frames `[B, F, N]` to `[B, N, F]`."""
        return frames.transpose(1, 2)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames `[B, F, N]` to `[B, N * hop, F]`."""
        return self.distinct(frames).repeat_interleave(self.hop, dim=1)
