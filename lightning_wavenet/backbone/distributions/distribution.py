"""What the backbone, the tasks and the sampling engines ask of an output distribution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor, nn


class Draw(Protocol):
    """Draws samples from a distribution, under the options of its `sampling`."""

    @property
    def options(self) -> Mapping[str, float]:
        """The options by name."""

    def __call__(self, parameters: Tensor, uniforms: Tensor) -> Tensor:
        """Codes `[...]` of parameters `[..., out_channels]`, one uniform number in [0, 1) each, float64 `[...]`."""


@runtime_checkable
class Distribution(Protocol):
    """What the backbone, the tasks and the sampling engines ask of an output distribution."""

    @property
    def levels(self) -> int:
        """How many codes there are, at most 65,536; codes are 0 to levels - 1."""

    @property
    def out_channels(self) -> int:
        """P: how many numbers the network predicts a sample."""

    def last_layer(self, channels: int) -> nn.Linear:
        """The untrained layer from so many channels to the parameters, with the weights that they begin well with."""

    @property
    def silence(self) -> int:
        """The code of a sample of value 0."""

    @property
    def codec(self) -> str:
        """Name of the codec, to be quoted beside every likelihood."""

    @property
    def patience(self) -> float:
        """How many times as much as of a softmax a loss may be before training counts as exploded: at least 1."""

    def encode(self, waveform: Tensor) -> Tensor:
        """Float waveform `[...]` in [-1, 1] (what lies beyond is clipped) to int64 codes `[...]`."""

    def decode(self, codes: Tensor) -> Tensor:
        """Codes `[...]` to a float32 waveform `[...]` in [-1, 1]; `encode(decode(c)) == c`."""

    def nll(self, parameters: Tensor, codes: Tensor) -> Tensor:
        """Negative log-likelihood in nats `[...]` of codes `[...]` under parameters `[..., P]`."""

    @property
    def sampling(self) -> Callable[..., Draw]:
        """Makes what draws samples. Its arguments are the options of this distribution, each with a default.

        Raises:
            ValueError: An option is out of range.
        """
