"""The engine for GPUs: a cached step over buffers that never move, replayed as CUDA graphs over blocks of samples.

A step in PyTorch is hundreds of small kernels, whose launches take far longer than they run. A graph launches those of
a whole block at once. What a step can do for all layers at once it does so: past taps are read by one gather and
multiplied by one batched product before the layers begin, since they are known by then.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_wavenet.backbone.distributions.mixtures import Float32Linear
from lightning_wavenet.sampling.session import ConditionWindow, Start, guided, of_streams, streams_of

BLOCK = 32
"""Samples that one graph generates; a rest is generated one by one."""


_CAPTURING = threading.Lock()


class CudaSession:
    """A session of CUDA graphs; the weights are copied when it begins.

    With float32 its codes are those of the other engines as long as PyTorch multiplies float32 as such, which is its
    default (`torch.set_float32_matmul_precision`).

    On a device without graphs the same steps run one after another, slowly: so much can be tested anywhere.

    Args:
        start: Where it begins.
        precision: "bfloat16" rounds weights and products; the signal between the layers stays float32.
    """

    def __init__(self, start: Start, precision: Literal["float32", "bfloat16"]) -> None:
        backbone = start.backbone
        stack, layers = backbone.stack, backbone.stack.residual_layers()
        self.device = start.history.device
        self.dtype = getattr(torch, precision)
        self.draw = start.draw
        self.window = None if start.local is None else ConditionWindow(start.local, torch.float32)
        self.done = 0
        streams = len(start.history)
        clips = streams if start.strengths is None else streams // 2
        self.strengths = start.strengths
        self.rows = torch.arange(clips, device=self.device)

        channels, width = backbone.residual_channels, (backbone.kernel_size - 1) * backbone.residual_channels
        self.past_weights = self._copy(torch.stack([layer.dilated.weight[:, :width].T for layer in layers]))
        self.present_weights = [self._copy(layer.dilated.weight[:, width:]) for layer in layers]
        self.projections = [self._copy_of(layer.projection) for layer in layers]
        self.skip = self._copy_of(stack.skip)
        hidden, output = backbone.head_layers()
        self.hidden = self._copy(hidden.weight), self._copy(hidden.bias)
        exact = torch.float32 if isinstance(output, Float32Linear) else self.dtype
        self.output = output.weight.detach().to(exact, copy=True), output.bias.detach().to(exact, copy=True)
        self.input_layer = copy.deepcopy(backbone.input_layer)
        biases = [layer.dilated.bias if layer.dilated.bias is not None else 0.0 for layer in layers]
        terms = [torch.zeros(streams, backbone.gate_channels, device=self.device) + bias for bias in biases]
        self.fixed_terms = torch.stack(
            [term if extra is None else term + extra for term, extra in zip(terms, start.global_terms(), strict=True)]
        )
        local = [layer.local.weight for layer in layers if layer.local is not None]
        self.local_weights = torch.cat(local).float() if local else None

        # The rings of all layers lie one after another; offsets are those of the taps, oldest first.
        inputs = start.layer_inputs()
        self.rings = torch.cat([past.transpose(0, 1) for past in inputs]).to(self.dtype)
        reaches = torch.tensor([layer.reach for layer in layers], device=self.device).unsqueeze(1)
        self.reaches, self.bases = reaches, reaches.cumsum(0) - reaches
        dilations = torch.tensor(backbone.dilations, device=self.device).unsqueeze(1)
        self.offsets = dilations * torch.arange(backbone.kernel_size - 1, device=self.device)
        self.position = torch.zeros(1, dtype=torch.long, device=self.device)
        self.present = torch.zeros(len(layers), streams, channels, dtype=self.dtype, device=self.device)
        self.recent = start.recent.clone()
        self.uniforms = torch.zeros(clips, BLOCK, dtype=torch.float64, device=self.device)
        self.codes = torch.zeros(clips, BLOCK, dtype=torch.long, device=self.device)
        # Of each step in a block [steps, layers, B, G]; all steps share one where no condition changes.
        self.terms = self.fixed_terms.unsqueeze(0)
        if self.window is not None:
            self.terms = self.terms.repeat(BLOCK, 1, 1, 1)
        self.replays: dict[int, Callable[[], None]] = {}

    def run(self, uniforms: Tensor) -> Tensor:
        """Generates n samples of every clip: float64 `[B, n]` in [0, 1) to codes int64 `[B, n]`."""
        streams = streams_of(self.rows, self.strengths)
        blocks, start, steps = [], 0, uniforms.shape[1]
        uniforms = uniforms.to(self.device)
        while start < steps:
            size = BLOCK if steps - start >= BLOCK else 1
            self.uniforms[self.rows, :size] = uniforms[:, start : start + size]
            if self.window is not None and self.local_weights is not None:
                rows, index = self.window.of(self.done, self.done + size)
                local = rows[torch.arange(len(rows), device=self.device).unsqueeze(1), index] @ self.local_weights.T
                by_layer = local.unflatten(2, (len(self.present), -1)).permute(1, 2, 0, 3)
                self.terms[:size, :, streams] = by_layer + self.fixed_terms[:, streams]
            if size not in self.replays:
                self.replays[size] = self._capture(size)
            self.replays[size]()
            blocks.append(self.codes[self.rows, :size])
            self.done += size
            start += size
        return torch.cat(blocks, dim=1)

    def keep(self, rows: Tensor) -> None:
        """Drops all clips but those at the given rows, int64 `[kept]`.

        Their rows are still computed, which costs a GPU less than graphs of another size.
        """
        self.rows = self.rows[rows.to(self.device)]
        if self.window is not None:
            self.window.keep(streams_of(rows.to(self.device), self.strengths))

    def _copy(self, weight: Tensor) -> Tensor:
        # A copy also where the type stays: the graph reads it where it lies, whatever becomes of the backbone.
        return weight.detach().to(self.dtype, copy=True)

    def _copy_of(self, layer: nn.Linear | None) -> tuple[Tensor, Tensor | None] | None:
        """Weight and bias."""
        if layer is None:
            return None
        return self._copy(layer.weight), None if layer.bias is None else self._copy(layer.bias)

    def _capture(self, steps: int) -> Callable[[], None]:
        """What generates the next steps of the buffers: a graph's replay, or the steps themselves without a GPU."""

        def block() -> None:
            for step in range(steps):
                self._step(step)

        if self.device.type != "cuda":
            return block
        state = (self.rings, self.position, self.recent)
        saved = [buffer.clone() for buffer in state]
        graph, aside = torch.cuda.CUDAGraph(), torch.cuda.Stream(self.device)
        aside.wait_stream(torch.cuda.current_stream(self.device))
        # Libraries allocate at their first calls on a stream, which a capture forbids: the block first runs there once,
        # and is undone. Threads that load data may allocate meanwhile.
        with _CAPTURING, torch.cuda.device(self.device):
            with torch.cuda.stream(aside):
                block()
            with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):
                block()
        torch.cuda.current_stream(self.device).wait_stream(aside)
        for buffer, value in zip(state, saved, strict=True):
            buffer.copy_(value)
        return graph.replay

    def _step(self, step: int) -> None:
        """Generates one sample of every clip, in place."""
        x = self.input_layer(self.recent)[:, 0].float()
        # [layers, taps, B, C], read before the present input takes the oldest one's place.
        past = self.rings[self.bases + (self.position + self.offsets) % self.reaches]
        gates = torch.bmm(past.permute(0, 2, 1, 3).flatten(2), self.past_weights)
        gates = gates.float() + self.terms[step if self.window is not None else 0]
        gated, projected = [], []
        for index, (weight, projection) in enumerate(zip(self.present_weights, self.projections, strict=True)):
            self.present[index] = x
            filtered, gate = (gates[index] + F.linear(self.present[index], weight)).chunk(2, dim=-1)
            z = (torch.tanh(filtered) * torch.sigmoid(gate)).to(self.dtype)
            gated.append(z)
            if projection is not None:
                projected.append(F.linear(z, *projection))
                x = x + projected[-1]
        self.rings.index_copy_(0, (self.bases + self.position % self.reaches).flatten(), self.present)
        skips = torch.stack(projected).sum(0) if self.skip is None else F.linear(torch.cat(gated, dim=-1), *self.skip)
        hidden = F.relu(F.linear(F.relu(skips), *self.hidden))
        parameters = F.linear(hidden.to(self.output[0].dtype), *self.output)
        code = self.draw(guided(parameters.float(), self.strengths), self.uniforms[:, step])
        self.codes[:, step] = code
        drawn = of_streams(code, self.strengths).unsqueeze(1)
        self.recent.copy_(torch.cat([self.recent[:, 1:], drawn], dim=1))
        self.position += 1
