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
from lightning_wavenet.sampling.native.packing import GateTerms, Padding, pack
from lightning_wavenet.sampling.session import Start

BLOCK_SECONDS = 0.1
"""About how long one call of the engine takes: what Ctrl-C may have to wait for."""
BLOCK_SAMPLES = 512
"""Longest call of the engine: bounds the memory of projected conditions, 15 kB a sample of the paper's net."""


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
        self.local = start.local
        self.threads = threads
        self.done = 0
        self.block = 32
        self.terms = GateTerms(backbone, library.lanes, start.global_terms())
        # The engine reads weights and constants where they lie, as long as the session lives.
        self.packed = pack(backbone, library.lanes, getattr(torch, precision))
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
            blocks.append(self._run_block(uniforms[:, start:stop].contiguous()))
            seconds = (time.perf_counter() - began) / (stop - start)
            self.block = max(1, min(BLOCK_SAMPLES, int(BLOCK_SECONDS / seconds)))
            start = stop
        return torch.cat(blocks, dim=1)

    def _run_block(self, uniforms: Tensor) -> Tensor:
        steps = uniforms.shape[1]
        if self.local is None:
            terms = self.terms.fixed
            row = torch.arange(self.streams).remainder(len(terms)).unsqueeze(1).expand(-1, steps)
        else:
            rows, index = self.local.held(self.done, self.done + steps)
            terms = self.terms.of(rows)
            row = index + torch.arange(self.streams).unsqueeze(1) * rows.shape[1]
        terms, row = terms.contiguous(), row.int().contiguous()
        codes = torch.empty(self.streams, steps, dtype=torch.long)
        self.library.run(
            self.handle,
            uniforms.data_ptr(),
            terms.data_ptr(),
            row.data_ptr(),
            codes.data_ptr(),
            steps,
            self.threads,
        )
        self.done += steps
        return codes

    def keep(self, rows: Tensor) -> None:
        """Drops all streams but those at the given rows, int64 `[kept]`, ascending."""
        kept = rows.int()
        if not self.library.keep(self.handle, kept.data_ptr(), len(kept)):
            raise MemoryError(f"there is no memory to go on with {len(kept)} streams")
        self.streams = len(kept)
        self.terms.keep(rows)
        if self.local is not None:
            self.local.keep(rows)
