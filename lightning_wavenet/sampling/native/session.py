"""A session of the native engine."""

from __future__ import annotations

import ctypes
import time
import weakref
from typing import Literal

import torch
from torch import Tensor

from lightning_wavenet.backbone.distributions import MuLawSoftmax
from lightning_wavenet.backbone.wavenet import WaveNet
from lightning_wavenet.sampling.native.build import Library, load
from lightning_wavenet.sampling.native.packing import Padding, pack
from lightning_wavenet.sampling.session import Start

WINDOW = 8_192
"""Samples whose local condition is prepared at once: threads of PyTorch spin on for milliseconds after every operation
that they share, and would take the cores from the engine's."""
BLOCK_SECONDS = 0.1
"""About how long one call of the engine takes: what Ctrl-C may have to wait for."""


def why_not(backbone: WaveNet) -> str | None:
    """Why the engine cannot serve a backbone on this machine, in a sentence; None where it can."""
    parameter = next(backbone.parameters())
    if parameter.device.type != "cpu":
        return f"it runs on CPUs, and the net is on {parameter.device}"
    if parameter.dtype != torch.float32:
        return f"it reads float32 weights, and the net's are {str(parameter.dtype).removeprefix('torch.')}"
    if not isinstance(backbone.distribution, MuLawSoftmax):
        return f"it draws from softmax outputs, and the net has {type(backbone.distribution).__name__}"
    library = load()
    return library if isinstance(library, str) else None


class NativeSession:
    """A session of the native engine; the weights are copied when it begins.

    Args:
        start: Where it begins; `why_not` says whether its backbone can be served.
        precision: "bfloat16" rounds weights and the inputs of products, and sums in float32.
        threads: How many; none has an effect on the samples.
    """

    def __init__(self, start: Start, precision: Literal["float32", "bfloat16"], threads: int) -> None:
        library = load()
        assert isinstance(library, Library)
        backbone = start.backbone
        streams, padding = len(start.context), Padding(backbone, library.lanes)
        self.padding = padding
        self.local = start.local
        self.threads = threads
        self.done = 0
        self.block = 32
        # Local conditions of samples prepared_from to prepared_to - 1, and the row of each sample.
        self.conditions, self.row = torch.empty(0), torch.empty(0, dtype=torch.int32)
        self.prepared_from = self.prepared_to = 0
        # The engine reads weights and constants where they lie, as long as the session lives.
        self.packed = pack(backbone, start.global_terms(), library.lanes, getattr(torch, precision))
        recent = start.context[:, -backbone.input_kernel_size :].int().contiguous()
        past = padding.pad(torch.cat(start.layer_inputs(), dim=1).transpose(0, 1), padding.channels).contiguous()
        dilations = torch.tensor(backbone.dilations, dtype=torch.int32)
        self.handle = library.open(
            ctypes.byref(self.packed.shape),
            dilations.data_ptr(),
            precision == "bfloat16",
            self.packed.weights.data_ptr(),
            self.packed.constants.data_ptr(),
            start.temperature,
            start.top_p,
            streams,
            recent.data_ptr(),
            past.data_ptr(),
        )
        if not self.handle:
            raise MemoryError(f"there is no memory to generate {streams} streams at once")
        self.library = library
        self.streams = streams
        weakref.finalize(self, library.close, self.handle)

    def run(self, uniforms: Tensor) -> Tensor:
        """Generates n samples of every stream: float64 `[B, n]` in [0, 1) to codes int64 `[B, n]`."""
        blocks, steps = [], uniforms.shape[1]
        start = 0
        while start < steps:
            stop = min(start + self.block, steps)
            began = time.perf_counter()
            codes = torch.empty(self.streams, stop - start, dtype=torch.long)
            self._run(codes, uniforms[:, start:stop].contiguous(), None)
            blocks.append(codes)
            seconds = (time.perf_counter() - began) / (stop - start)
            self.block = max(1, int(BLOCK_SECONDS / seconds))
            start = stop
        return torch.cat(blocks, dim=1)

    def score(self, codes: Tensor) -> Tensor:
        """Logits `[B, n, levels]` of the next n samples, which are given, int64 `[B, n]`, and not drawn."""
        logits = torch.empty(*codes.shape, self.packed.shape.levels)
        self._run(codes.contiguous(), None, logits)
        return logits

    def _run(self, codes: Tensor, uniforms: Tensor | None, logits: Tensor | None) -> None:
        steps = codes.shape[1]
        row = self._condition_rows(steps)
        self.library.run(
            self.handle,
            None if uniforms is None else uniforms.data_ptr(),
            self.conditions.data_ptr(),
            row.data_ptr(),
            codes.data_ptr(),
            None if logits is None else logits.data_ptr(),
            steps,
            self.threads,
        )
        self.done += steps

    def _condition_rows(self, steps: int) -> Tensor:
        """For each of the next steps its row of `conditions`, int32 `[B, steps]`; prepares them where need be."""
        if self.local is None:
            return self.row
        if self.done + steps > self.prepared_to:
            self.prepared_from, self.prepared_to = self.done, self.done + max(steps, WINDOW)
            rows, index = self.local.held(self.prepared_from, self.prepared_to)
            self.conditions = self.padding.pad(rows, self.padding.local).to(self.packed.weights.dtype).contiguous()
            self.row = (index + torch.arange(self.streams).unsqueeze(1) * rows.shape[1]).int()
        start = self.done - self.prepared_from
        return self.row[:, start : start + steps].contiguous()

    def keep(self, rows: Tensor) -> None:
        """Drops all streams but those at the given rows, int64 `[kept]`, ascending."""
        kept = rows.int()
        if not self.library.keep(self.handle, kept.data_ptr(), len(kept)):
            raise MemoryError(f"there is no memory to go on with {len(kept)} streams")
        self.streams = len(kept)
        self.prepared_to = self.done
        if self.local is not None:
            self.local.keep(rows)
