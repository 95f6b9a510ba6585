"""Samples to codes and back."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class MuLaw:
    """Mu-law codes (section 2.2 of the paper).

    Companding is f(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu) with mu = levels - 1, after clipping x to [-1, 1], and
    codes are f rounded to the nearest of `levels` equal steps. The paper names no rounding rule; rounding has an
    error 6 dB lower than truncation, decodes without bias, and makes decode followed by encode the identity.

    Args:
        levels: Number of codes.

    Raises:
        ValueError: It is odd, below 2 or above 1,024.
    """

    def __init__(self, levels: int) -> None:
        if not 2 <= levels <= 1_024 or levels % 2:
            raise ValueError(f"levels of mu-law must be even, at least 2 and at most 1,024, got {levels:,}")
        self.levels = levels

    @property
    def silence(self) -> int:
        """Zero lies between two codes; rounding takes the upper."""
        return self.levels // 2

    @property
    def codec(self) -> str:
        """For example "mu-law 256"."""
        return f"mu-law {self.levels}"

    def encode(self, waveform: Tensor) -> Tensor:
        """Float waveform `[...]` to int64 codes `[...]`."""
        mu = self.levels - 1
        waveform = waveform.float().clamp(-1.0, 1.0)
        companded = waveform.sign() * torch.log1p(mu * waveform.abs()) / math.log1p(mu)
        return ((companded + 1.0) / 2.0 * mu + 0.5).floor().long()

    def decode(self, codes: Tensor) -> Tensor:
        """Int64 codes `[...]` to a float32 waveform `[...]`."""
        mu = self.levels - 1
        companded = 2.0 * codes.float() / mu - 1.0
        return companded.sign() * torch.expm1(companded.abs() * math.log1p(mu)) / mu


class Linear:
    """Amplitudes in equal steps, as in files of 8 or 16 bits: those of 256 or 65,536 levels come back bit for bit.

    Args:
        levels: Number of codes.

    Raises:
        ValueError: It is odd, below 2 or above 65,536.
    """

    def __init__(self, levels: int) -> None:
        if not 2 <= levels <= 65_536 or levels % 2:
            raise ValueError(f"linear levels must be even, at least 2 and at most 65,536, got {levels:,}")
        self.levels = levels

    @property
    def silence(self) -> int:
        """There are as many codes below zero as from zero on."""
        return self.levels // 2

    @property
    def codec(self) -> str:
        """For example "linear 16 bit"."""
        bits = self.levels.bit_length() - 1
        return f"linear {bits} bit" if self.levels == 2**bits else f"linear {self.levels:,}"

    def encode(self, waveform: Tensor) -> Tensor:
        """Float waveform `[...]` to int64 codes `[...]`; 1 itself is a step more than the highest code stands for."""
        half = self.levels // 2
        return ((waveform * half + 0.5).floor() + half).clamp(0, self.levels - 1).long()

    def decode(self, codes: Tensor) -> Tensor:
        """Int64 codes `[...]` to a float32 waveform `[...]`."""
        half = self.levels // 2
        return (codes - half).float() / half
