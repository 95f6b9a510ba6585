"""What follows the pooling of a recognizer: encoders, layers over frames that see both ways in time.

Their width is `channels`. What lies beyond a clip's length has no influence on the frames within it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def standardized(frames: Tensor, lengths: Tensor) -> Tensor:
    """Frames with mean 0 and standard deviation 1 of every channel over each clip, and 0 beyond it.

    Takes the loudness and the timbre of the recording out of them, as cepstral mean and variance normalization does.

    Args:
        frames: `[B, N, C]`.
        lengths: `[B]`: how many of the N frames each clip has.
    """
    inside = (torch.arange(frames.shape[1], device=frames.device) < lengths[:, None])[..., None]
    count = lengths.clamp(min=1)[:, None, None]
    centered = (frames - (frames * inside).sum(1, keepdim=True) / count) * inside
    return centered * (centered.square().sum(1, keepdim=True) / count + 1e-6).rsqrt()


class ConvolutionalEncoder(nn.Module):
    """Non-causal convolutions in a row (section 3.4), each added to its input.

    Args:
        channels: Width.
        layers: How many.
        kernel_size: Frames that each sees, an odd number.
        dropout: Part of each layer's outputs that is left out in training.
    """

    def __init__(self, channels: int = 128, layers: int = 3, kernel_size: int = 5, dropout: float = 0.0) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, for a frame to be in the middle of it, got {kernel_size}")
        self.channels = channels
        self.layers = layers
        self.kernel_size = kernel_size
        self.dropout = dropout
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(layers))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel_size, padding=kernel_size // 2) for _ in range(layers)
        )

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Frames `[B, N, C]` of clips of `lengths` `[B]` (frames) to `[B, N, C]`."""
        beyond = (torch.arange(frames.shape[1], device=frames.device) >= lengths[:, None])[..., None]
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            inside = norm(frames).masked_fill(beyond, 0.0)
            seen = F.relu(convolution(inside.transpose(1, 2))).transpose(1, 2)
            frames = frames + F.dropout(seen, self.dropout, self.training)
        return frames


class RecurrentEncoder(nn.Module):
    """Bidirectional LSTM layers, whose output is added to their input.

    Args:
        channels: Width, an even number: half of it runs each way.
        layers: How many.
        dropout: Part of the outputs, and of what passes between layers, that is left out in training.
    """

    def __init__(self, channels: int = 128, layers: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        if channels % 2:
            raise ValueError(f"channels must be even, as half of them run each way: {channels}")
        self.channels = channels
        self.layers = layers
        self.dropout = dropout
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(channels, channels // 2, layers, batch_first=True, bidirectional=True, dropout=between)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Frames `[B, N, C]` of clips of `lengths` `[B]` (frames) to `[B, N, C]`."""
        packed = nn.utils.rnn.pack_padded_sequence(
            frames, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        seen, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=frames.shape[1])
        return frames + F.dropout(seen, self.dropout, self.training)
