"""The front door of generation: streams in, audio out, whole or chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lightning_wavenet.backbone.wavenet import WaveNet
from lightning_wavenet.errors import RequestError
from lightning_wavenet.sampling.eager import EagerSession


@dataclass(frozen=True, eq=False)
class Stream:
    """One clip to generate.

    Attributes:
        samples: Length in samples.
        seed: Decides every draw of this stream, whatever else is in the batch.
        prime: Recording to continue, float `[P]` in [-1, 1]; without one the clip begins out of silence.
        vector: Global condition `[global_channels]`.
        frames: Local condition `[F, N]`, from the prime's first sample on: N * hop >= P + samples.
    """

    samples: int
    seed: int = 0
    prime: Tensor | None = None
    vector: Tensor | None = None
    frames: Tensor | None = None

    @property
    def prime_samples(self) -> int:
        """Length of the prime in samples."""
        return 0 if self.prime is None else len(self.prime)


class Sampler:
    """Generates audio from a backbone.

    A stream's samples depend on its own seed, prime and conditions only: not on the batch it is generated in, nor on
    the size of the chunks. Each sample is drawn by inverse CDF from one uniform number, the same for all engines.

    Args:
        backbone: The net; generation runs on its device, with the weights it has then.
        engine: "eager" is PyTorch on any device; "auto" the fastest engine that fits.
        temperature: Divides the logits; 1 samples from the model.
        top_p: Keep only the most probable codes that together reach this probability; 1 keeps all.
    """

    def __init__(
        self,
        backbone: WaveNet,
        engine: Literal["auto", "eager"] = "auto",
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> None:
        if temperature <= 0:
            raise RequestError(f"temperature must be above 0, got {temperature}")
        if not 0 < top_p <= 1:
            raise RequestError(f"top_p must be above 0 and at most 1, got {top_p}")
        self.backbone = backbone
        self.engine = "eager" if engine == "auto" else engine
        self.temperature = temperature
        self.top_p = top_p

    def generate(self, streams: Sequence[Stream], chunk: int = 4096) -> list[Tensor]:
        """Whole clips: float32 `[samples]` of each stream, on the CPU, without its prime."""
        chunks = list(self.stream(streams, chunk))
        return [torch.cat([torch.empty(0), *parts]) for parts in zip(*chunks, strict=True)] or [
            torch.empty(0) for _ in streams
        ]

    @torch.inference_mode()
    def stream(self, streams: Sequence[Stream], chunk: int) -> Iterator[list[Tensor]]:
        """Chunk by chunk.

        Args:
            streams: The clips to generate, side by side.
            chunk: Samples a chunk.

        Yields:
            For each stream its next float32 samples on the CPU: `chunk` of them, fewer at its end, none after it.

        Raises:
            RequestError: A stream's conditions do not fit the backbone.
        """
        if chunk < 1:
            raise RequestError(f"chunk must be at least 1 sample, got {chunk}")
        for stream in streams:
            self._check(stream)
        live = [index for index, stream in enumerate(streams) if stream.samples > 0]
        if not live:
            return
        draws = [np.random.default_rng(stream.seed) for stream in streams]
        session = self._start([streams[index] for index in live])
        done = 0
        while live:
            parts: list[list[Tensor]] = [[] for _ in streams]
            chunk_end = done + chunk
            while live and done < chunk_end:
                # Runs end where a stream does, so that no step is spent on streams that are finished.
                stop = min(chunk_end, *(streams[index].samples for index in live))
                uniforms = torch.from_numpy(np.stack([draws[index].random(stop - done) for index in live]))
                local = self._local([streams[index] for index in live], done, stop)
                waveform = self.backbone.distribution.decode(session.run(uniforms.to(self._device), local)).cpu()
                for row, index in enumerate(live):
                    parts[index].append(waveform[row])
                done = stop
                rows = [row for row, index in enumerate(live) if streams[index].samples > done]
                if len(rows) < len(live):
                    live = [live[row] for row in rows]
                    session.keep(torch.tensor(rows, dtype=torch.long, device=self._device))
            yield [torch.cat([torch.empty(0), *part]) for part in parts]

    @property
    def _device(self) -> torch.device:
        return next(self.backbone.parameters()).device

    def _check(self, stream: Stream) -> None:
        if stream.samples < 0 or stream.seed < 0:
            raise RequestError(f"samples and seed must not be negative, got {stream.samples} and {stream.seed}")
        width = 0 if stream.vector is None else len(stream.vector)
        if width != self.backbone.global_channels:
            raise RequestError(
                f"the net takes a global condition of {self.backbone.global_channels} channels, the stream has {width}"
            )
        if (stream.frames is None) != (self.backbone.upsampling is None):
            raise RequestError("the net takes conditioning frames" if stream.frames is None else "it takes no frames")
        if stream.frames is not None and self.backbone.upsampling is not None:
            hop = self.backbone.upsampling.hop
            needed, covered = stream.prime_samples + stream.samples, stream.frames.shape[-1] * hop
            if covered < needed:
                raise RequestError(
                    f"{stream.frames.shape[-1]} conditioning frames of {hop} samples cover {covered} samples, but the "
                    f"clip has {needed} with its prime"
                )

    def _start(self, streams: list[Stream]) -> EagerSession:
        """A session whose next sample is the first of every stream."""
        field = self.backbone.receptive_field
        distribution = self.backbone.distribution
        context = torch.full((len(streams), field), distribution.silence, device=self._device)
        for row, stream in enumerate(streams):
            if stream.prime is not None and len(stream.prime):
                codes = distribution.encode(stream.prime[-field:])
                context[row, -len(codes) :] = codes
        vectors = [stream.vector for stream in streams if stream.vector is not None]
        vector = torch.stack(vectors).to(self._device) if vectors else None
        local = self._local(streams, 1 - field, 0)
        return EagerSession(self.backbone, context, vector, local, self.temperature, self.top_p)

    def _local(self, streams: list[Stream], start: int, stop: int) -> Tensor | None:
        """Local condition `[B, stop - start, C]` of samples start to stop - 1 after each stream's prime."""
        if self.backbone.upsampling is None:
            return None
        rows = []
        for stream in streams:
            assert stream.frames is not None
            first, last = stream.prime_samples + start, stream.prime_samples + stop
            rows.append(local_condition(self.backbone, stream.frames.to(self._device), first, last))
        return torch.cat(rows)


def local_condition(backbone: WaveNet, frames: Tensor, start: int, stop: int) -> Tensor:
    """Samples start to stop - 1 of one clip's upsampled frames `[F, N]`, as `[1, stop - start, C]`.

    Only the frames that those samples depend on are upsampled. Before the clip (negative samples) frames are zero.
    """
    upsampling = backbone.upsampling
    assert upsampling is not None
    first = start // upsampling.hop - upsampling.context_frames
    last = -(-stop // upsampling.hop)
    before = frames.new_zeros(frames.shape[0], max(0, min(last, 0) - first))
    window = torch.cat([before, frames[:, max(first, 0) : max(last, 0)]], dim=1)
    offset = start - first * upsampling.hop
    return backbone.upsample(window.unsqueeze(0))[:, offset : offset + stop - start]
