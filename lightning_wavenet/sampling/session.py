"""Generation in progress: what every engine begins with, and what it offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_wavenet.backbone.distributions import Draw
from lightning_wavenet.backbone.local_condition import LocalCondition, at_samples
from lightning_wavenet.backbone.wavenet import WaveNet


class Session(Protocol):
    """A batch of B clips that advance together."""

    def run(self, uniforms: Tensor) -> Tensor:
        """Generates the next n samples of every clip, whose local condition is known.

        Args:
            uniforms: float64 `[B, n]` in [0, 1) on the CPU, one a sample.

        Returns:
            Codes int64 `[B, n]` on the backbone's device.
        """

    def keep(self, rows: Tensor) -> None:
        """Drops all clips but those at the given rows, int64 `[kept]`, ascending."""


@dataclass(frozen=True, eq=False)
class Start:
    """Where a session begins.

    Attributes:
        backbone: The net.
        history: The H codes before the first sample of each stream, int64 `[B, H]` on the backbone's device.
        draw: Draws samples.
        global_condition: `[B, global_channels]` or None.
        local: Local condition or None.
        strengths: Of the guidance of each clip, `[B / 2]` on the backbone's device: streams are pairs then, each of a
            clip under its condition and under the one that it is led away from. None: every stream is a clip.
    """

    backbone: WaveNet
    history: Tensor
    draw: Draw
    global_condition: Tensor | None = None
    local: LocalCondition | None = None
    strengths: Tensor | None = None

    @property
    def recent(self) -> Tensor:
        """The codes that the input layer reads next, int64 `[B, input_kernel_size]`."""
        return self.history[:, -self.backbone.input_kernel_size :]

    def global_terms(self) -> list[Tensor | None]:
        """The global condition's part in every layer's gate, `[B, G]` each, or None."""
        stack = self.backbone.stack
        if self.global_condition is None:
            return stack.global_terms(None)
        parts = [stack.global_terms(self.global_condition[rows]) for rows in self._parts]
        return [None if terms[0] is None else torch.cat(terms) for terms in zip(*parts, strict=True)]

    @property
    def _parts(self) -> list[slice]:
        """Streams whose products are computed together.

        On CPUs that is one: those of several are rounded otherwise, and a stream would depend on its neighbors.
        """
        streams = len(self.history)
        together = 1 if self.history.device.type == "cpu" else streams
        return [slice(first, first + together) for first in range(0, streams, together)]

    def layer_inputs(self) -> list[Tensor]:
        """Every layer's inputs that its taps will still need, oldest first, `[B, reach, C]` each."""
        local = None if self.local is None else at_samples(*self.local.rows(1 - self.backbone.receptive_field, 0))
        terms = self.global_terms()
        parts = [self._layer_inputs(rows, terms, local) for rows in self._parts]
        return [torch.cat(inputs) for inputs in zip(*parts, strict=True)]

    def _layer_inputs(self, rows: slice, terms: list[Tensor | None], local: Tensor | None) -> list[Tensor]:
        """Those of some streams; global terms and local condition `[B, R, L]` are of all."""
        backbone, field = self.backbone, self.backbone.receptive_field
        x = backbone.input_layer(self.history[rows, -field:-1]).transpose(0, 1)
        return backbone.stack.past_inputs(
            x,
            [None if term is None else term[rows] for term in terms],
            None if local is None else local[rows].transpose(0, 1),
        )


def guided(parameters: Tensor, strengths: Tensor | None) -> Tensor:
    """Logits that a clip is drawn from, `[B, P]`, out of those of its streams: u + strength (c - u) of pairs c and u.

    Classifier-free guidance (arXiv 2207.12598): 1 is the condition c alone, more leads further away from u.
    """
    if strengths is None:
        return parameters
    conditioned, other = parameters.unflatten(0, (-1, 2)).unbind(1)
    return other + strengths.unsqueeze(1) * (conditioned - other)


def of_streams(clips: Tensor, strengths: Tensor | None) -> Tensor:
    """What belongs to clips, `[B, ...]`, for each of their streams."""
    return clips if strengths is None else clips.repeat_interleave(2, dim=0)


def streams_of(rows: Tensor, strengths: Tensor | None) -> Tensor:
    """The rows of the streams of clips, int64 `[kept]`, ascending."""
    return rows if strengths is None else (2 * rows.unsqueeze(1) + torch.arange(2, device=rows.device)).flatten()


class ConditionWindow:
    """A local condition's rows, some way ahead of the generation.

    Engines ask for a few samples at a time, and upsampling has a cost a call. On CPUs moreover threads of PyTorch spin
    on for milliseconds after every operation that they share, and take the cores from others.

    Args:
        local: The condition.
        dtype: Of the rows.
        width: Channels of the rows, padded with zeros; None: as many as they have.
    """

    FIRST, MOST = 512, 8_192
    """Samples that are prepared at once: few to begin with, for the first sample waits for them, then twice as many
    every time, and never more than are known."""

    def __init__(self, local: LocalCondition, dtype: torch.dtype, width: int | None = None) -> None:
        self.local = local
        self.dtype = dtype
        self.width = width
        self.first = self.last = 0
        self.size = self.FIRST
        self.rows = self.index = torch.empty(0)

    def of(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Rows `[B, M, width]`, and the row of each sample start to stop - 1, int64 `[B, stop - start]`."""
        if not self.first <= start <= stop <= self.last:
            self.first, self.last = start, max(stop, min(start + self.size, self.local.known))
            self.size = min(2 * self.size, self.MOST)
            rows, self.index = self.local.rows(self.first, self.last)
            padding = 0 if self.width is None else self.width - rows.shape[-1]
            self.rows = F.pad(rows, (0, padding)).to(self.dtype).contiguous()
        return self.rows, self.index[:, start - self.first : stop - self.first]

    def keep(self, rows: Tensor) -> None:
        """Drops all streams but those at the given rows."""
        if self.first < self.last:
            self.rows, self.index = self.rows[rows], self.index[rows]
