"""A session of the native engine, and a context stack's steps in it."""

from __future__ import annotations

import ctypes
import time
import weakref
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from lightning_wavenet.backbone.residual import ResidualStack
from lightning_wavenet.backbone.wavenet import WaveNet
from lightning_wavenet.sampling.native.build import Library, load
from lightning_wavenet.sampling.native.outputs import native_output
from lightning_wavenet.sampling.native.packing import Padding, pack, pack_stack
from lightning_wavenet.sampling.session import ConditionWindow, Start, streams_of

BLOCK_SECONDS = 0.1
"""About how long one call of the engine takes: what Ctrl-C may have to wait for."""


def unsupported_reason(backbone: WaveNet) -> str | None:
    """Why the engine cannot serve a backbone on this machine, in a sentence; None where it can."""
    parameter = next(backbone.parameters())
    if parameter.device.type != "cpu":
        return f"it runs on CPUs, and the net is on {parameter.device}"
    if parameter.dtype != torch.float32:
        return f"it reads float32 weights, and the net's are {str(parameter.dtype).removeprefix('torch.')}"
    if native_output(backbone.distribution, backbone.distribution.sampling()) is None:
        return f"it does not draw from {type(backbone.distribution).__name__}"
    library = load()
    return library if isinstance(library, str) else None


class NativeSession:
    """A session of the native engine; the weights are copied when it begins.

    Args:
        start: Where it begins; `unsupported_reason` says whether its backbone can be served.
        library: The engine; it must have the precision.
        precision: "bfloat16" rounds weights and the inputs of products, and sums in float32.
        threads: How many; none has an effect on the samples.
    """

    def __init__(self, start: Start, library: Library, precision: Literal["float32", "bfloat16"], threads: int) -> None:
        backbone = start.backbone
        output = native_output(backbone.distribution, start.draw)
        assert output is not None
        streams, padding = len(start.history), Padding(library)
        self.strengths = None if start.strengths is None else start.strengths.float()
        dtype = getattr(torch, precision)
        self.window = (
            None if start.local is None else ConditionWindow(start.local, dtype, padding.whole(backbone.local_channels))
        )
        self.threads = threads
        self.done = 0
        self.block = 32
        # The engine reads weights and constants where they lie, as long as the session lives.
        self.packed = pack(backbone, start.global_terms(), output, library, dtype)
        recent = start.recent.int().contiguous()
        past = _past(start.layer_inputs(), padding)
        dilations = torch.tensor(backbone.dilations, dtype=torch.int32, device="cpu")
        options = torch.tensor(output.options, dtype=torch.float64, device="cpu")
        self.handle = library.open(
            ctypes.byref(self.packed.shape),
            _address(dilations, torch.int32),
            precision == "bfloat16",
            _address(self.packed.weights, dtype),
            _address(self.packed.constants, torch.float32),
            _address(options, torch.float64),
            _address(output.constants, torch.float32),
            streams,
            _address(recent, torch.int32),
            _address(past, torch.float32),
            None if self.strengths is None else _address(self.strengths, torch.float32),
        )
        if not self.handle:
            raise MemoryError(f"there is no memory to generate {streams} streams at once")
        self.library = library
        self.streams = streams
        # Not at the interpreter's exit: a thread may still be generating then.
        weakref.finalize(self, library.close, self.handle).atexit = False

    def run(self, uniforms: Tensor) -> Tensor:
        """Generates n samples of every clip: float64 `[B, n]` in [0, 1) to codes int64 `[B, n]`."""
        blocks, steps = [], uniforms.shape[1]
        start = 0
        while start < steps:
            stop = min(start + self.block, steps)
            began = time.perf_counter()
            codes = torch.empty(len(uniforms), stop - start, dtype=torch.long, device="cpu")
            self._run(codes, uniforms[:, start:stop].contiguous(), None)
            blocks.append(codes)
            seconds = (time.perf_counter() - began) / (stop - start)
            self.block = max(1, int(BLOCK_SECONDS / seconds))
            start = stop
        return torch.cat(blocks, dim=1)

    def score(self, codes: Tensor) -> Tensor:
        """Parameters `[B, n, out_channels]` of the next n samples, which are given, int64 `[B, n]`, and not drawn."""
        parameters = torch.empty(*codes.shape, self.packed.shape.out_channels, dtype=torch.float32, device="cpu")
        self._run(codes.contiguous(), None, parameters)
        return parameters

    def _run(self, codes: Tensor, uniforms: Tensor | None, parameters: Tensor | None) -> None:
        steps = codes.shape[1]
        conditions = row = None
        if self.window is not None:
            conditions, index = self.window.of(self.done, self.done + steps)
            first = torch.arange(self.streams, device="cpu").unsqueeze(1) * conditions.shape[1]
            row = (index + first).int().contiguous()
        ran = self.library.run(
            self.handle,
            None if uniforms is None else _address(uniforms, torch.float64),
            None if conditions is None else _address(conditions, self.packed.weights.dtype),
            None if row is None else _address(row, torch.int32),
            _address(codes, torch.long),
            None if parameters is None else _address(parameters, torch.float32),
            steps,
            self.threads,
        )
        if not ran:
            raise MemoryError(f"there is no memory to continue {self.streams} streams")
        self.done += steps

    def keep(self, rows: Tensor) -> None:
        """Drops all clips but those at the given rows, int64 `[kept]`, ascending."""
        rows = streams_of(rows, self.strengths)
        kept = rows.int()
        if not self.library.keep(self.handle, _address(kept, torch.int32), len(kept)):
            raise MemoryError(f"there is no memory to continue {len(kept)} streams")
        self.streams = len(kept)
        if self.window is not None:
            self.window.keep(rows)


class NativeSteps:
    """A residual stack without conditions step by step in the engine (`StackSteps`); the weights are copied.

    What a stream's sums are does not depend on the other streams.

    Args:
        stack: The stack.
        past: Every layer's inputs before the first step, `[B, reach, C]` each.
        library: The engine.
    """

    def __init__(self, stack: ResidualStack, past: Sequence[Tensor], library: Library) -> None:
        padding = Padding(library)
        self.padding = padding
        self.skip_channels = stack.skip_channels
        self.packed = pack_stack(stack, library)
        inputs = _past(past, padding)
        dilations = torch.tensor(stack.dilations, dtype=torch.int32, device="cpu")
        self.handle = library.open_stack(
            ctypes.byref(self.packed.shape),
            _address(dilations, torch.int32),
            _address(self.packed.weights, torch.float32),
            _address(self.packed.constants, torch.float32),
            inputs.shape[1],
            _address(inputs, torch.float32),
        )
        if not self.handle:
            raise MemoryError(f"there is no memory for the context of {inputs.shape[1]} streams")
        self.library = library
        weakref.finalize(self, library.close_stack, self.handle).atexit = False

    def step(self, x: Tensor) -> Tensor:
        """The skip sum `[B, S]` of one step, from the stack's input `[B, C]`."""
        signal = self.padding.pad(x).contiguous()
        sums = torch.empty(len(x), self.packed.shape.skip, dtype=torch.float32, device="cpu")
        self.library.step_stack(self.handle, _address(signal, torch.float32), _address(sums, torch.float32))
        return sums[:, : self.skip_channels]

    def keep(self, rows: Tensor) -> None:
        """Drops all streams but those at the given rows, int64 `[kept]`, ascending."""
        kept = rows.int()
        if not self.library.keep_stack(self.handle, _address(kept, torch.int32), len(kept)):
            raise MemoryError(f"there is no memory to continue {len(kept)} streams")


def _past(inputs: Sequence[Tensor], padding: Padding) -> Tensor:
    """The inputs of all layers `[B, reach, C]` as the engine reads them, `[reach of all, B, channels]`."""
    return padding.pad(torch.cat(list(inputs), dim=1).transpose(0, 1)).contiguous()


def _address(tensor: Tensor, dtype: torch.dtype) -> int:
    """Where a tensor lies, which must be what the engine takes it for."""
    assert (tensor.dtype, tensor.device.type, tensor.is_contiguous()) == (dtype, "cpu", True)
    return tensor.data_ptr()
