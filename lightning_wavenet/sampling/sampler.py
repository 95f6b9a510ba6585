"""The front door of generation: streams in, audio out, whole or chunk by chunk."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from lightning_wavenet.backbone.cached import CachedStack, StepsOf
from lightning_wavenet.backbone.distributions import Distribution, Draw
from lightning_wavenet.backbone.distributions.softmax import Softmax
from lightning_wavenet.backbone.local_condition import LocalCondition
from lightning_wavenet.backbone.wavenet import WaveNet
from lightning_wavenet.errors import RequestError
from lightning_wavenet.sampling import native
from lightning_wavenet.sampling.cuda import CudaSession
from lightning_wavenet.sampling.eager import EagerSession
from lightning_wavenet.sampling.session import Session, Start, of_streams, streams_of

EngineName = Literal["auto", "eager", "native", "cuda"]
Precision = Literal["auto", "float32", "bfloat16"]


class Engine(NamedTuple):
    """What generates, and in which precision."""

    name: Literal["eager", "native", "cuda"]
    precision: Literal["float32", "bfloat16"]


class Guidance(NamedTuple):
    """Leads a clip away from another global condition (classifier-free guidance, arXiv 2207.12598)."""

    strength: float
    """1 is the clip's condition alone; more leads further away from the other."""
    away_from: Tensor
    """`[global_channels]`."""


@dataclass(frozen=True, eq=False)
class Stream:
    """One clip to generate.

    Attributes:
        samples: Length in samples.
        seed: Decides every draw of this stream, whatever else is in the batch.
        prime: Recording to continue, float `[P]` in [-1, 1]; without one the clip begins out of silence.
        global_condition: `[global_channels]`.
        frames: Local condition `[F, N]`, from the prime's first sample on: N * hop >= P + samples.
        guidance: Of a net with a global condition and a softmax; of all clips that are generated together, or of none.
    """

    samples: int
    seed: int = 0
    prime: Tensor | None = None
    global_condition: Tensor | None = None
    frames: Tensor | None = None
    guidance: Guidance | None = None

    @property
    def prime_samples(self) -> int:
        """Length of the prime in samples."""
        return 0 if self.prime is None else len(self.prime)

    @property
    def guidance_options(self) -> dict[str, float]:
        """The strength of the guidance; empty without."""
        return {} if self.guidance is None else {"guidance": self.guidance.strength}


class Sampler:
    """Generates audio from a backbone.

    A stream's samples depend on its own seed, prime and conditions only: not on the batch it is generated in, the size
    of the chunks, or the number of threads (`torch.set_num_threads` says how many). Each sample is drawn by inverse
    CDF from one uniform number; the engines draw the same codes from the same numbers in float32.

    Args:
        backbone: The net; generation runs on its device. It must stay as it is until a generation ends.
        engine: "eager" is PyTorch step by step on any device, "native" a C++ loop for CPUs that is compiled at first
            use, "cuda" replays CUDA graphs; "auto" is the fastest that fits.
        precision: Of weights and products: "bfloat16" moves the distributions a little, and is faster where the
            device multiplies it; "auto" takes it there.
        options: Of the draws, such as temperature=0.8: those of the `sampling` of the backbone's distribution. None
            leaves one at its default.

    Raises:
        RequestError: An option is out of range, or the distribution does not have it.
    """

    def __init__(
        self,
        backbone: WaveNet,
        engine: EngineName = "auto",
        precision: Precision = "auto",
        **options: float | None,
    ) -> None:
        for name, value, known in (("engine", engine, EngineName), ("precision", precision, Precision)):
            if value not in get_args(known):
                raise RequestError(f"there is no {name} {value!r}; there are {', '.join(get_args(known))}")
        self.draw = _draw(backbone.distribution, options)
        self.backbone = backbone
        self.wanted_engine: EngineName = engine
        self.wanted_precision: Precision = precision

    @property
    def engine(self) -> Engine:
        """What generates, the backbone being what and where it now is.

        Raises:
            RequestError: The engine or the precision asked for does not fit the backbone or this machine.
        """
        name = self._engine_name()
        precise: Literal["float32", "bfloat16"] = "float32"
        if self.wanted_precision != "float32":
            lacking = self._no_bfloat16_reason(name)
            if lacking is None:
                precise = "bfloat16"
            elif self.wanted_precision == "bfloat16":
                raise RequestError(f"the {name} engine cannot generate in bfloat16: {lacking}; use float32")
        return Engine(name, precise)

    def _engine_name(self) -> Literal["eager", "native", "cuda"]:
        if self.wanted_engine == "eager":
            return "eager"
        if self.wanted_engine == "cuda" or (self.wanted_engine == "auto" and self._device.type == "cuda"):
            if self._device.type != "cuda":
                raise RequestError(f"the cuda engine needs the net on a GPU; it is on {self._device}")
            return "cuda"
        lacking = native.unsupported_reason(self.backbone)
        if lacking is None:
            return "native"
        if self.wanted_engine == "native":
            raise RequestError(f"the native engine cannot generate here: {lacking}")
        if self._device.type == "cpu":
            _notify(f"generating with the eager engine, many times slower than the native one: {lacking}")
        return "eager"

    def _no_bfloat16_reason(self, engine: Literal["eager", "native", "cuda"]) -> str | None:
        if engine == "eager":
            return "it computes in the precision of the weights"
        if engine == "native":
            library = native.load()
            return None if isinstance(library, native.Library) and library.bfloat16 else "this CPU does not multiply it"
        with torch.cuda.device(self._device):
            supported = torch.cuda.is_bf16_supported(including_emulation=False)
        return None if supported else "this GPU does not multiply it"

    def generate(self, streams: Sequence[Stream], chunk: int = 4096) -> list[Tensor]:
        """Whole clips: float32 `[samples]` of each stream, on the CPU, without its prime."""
        chunks = list(self.stream(streams, chunk))
        return [torch.cat([torch.empty(0), *parts]) for parts in zip(*chunks, strict=True)] or [
            torch.empty(0) for _ in streams
        ]

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
        if len({stream.guidance is None for stream in streams}) > 1:
            raise RequestError("clips that are generated together are all guided, or none is")
        live = [index for index, stream in enumerate(streams) if stream.samples > 0]
        if not live:
            return
        draws = [np.random.default_rng(stream.seed) for stream in streams]
        with torch.inference_mode(), torch.autocast(self._device.type, enabled=False):
            session, local, strengths = self._start([streams[index] for index in live])
        done = 0
        while live:
            parts: list[list[Tensor]] = [[] for _ in streams]
            chunk_end = done + chunk
            while live and done < chunk_end:
                # Runs end where a stream does, so that no step is spent on streams that are finished, and where the
                # local condition is not known yet.
                stop = min(chunk_end, *(streams[index].samples for index in live))
                if local is not None:
                    stop = min(stop, local.known)
                    assert stop > done, "a local condition is known for one sample more at least"
                uniforms = torch.from_numpy(np.stack([draws[index].random(stop - done) for index in live]))
                # Not over the whole generator: a caller's own operations run between its chunks.
                with torch.inference_mode(), torch.autocast(self._device.type, enabled=False):
                    codes = session.run(uniforms)
                    if local is not None:
                        local.take(of_streams(codes, strengths))
                    waveform = self.backbone.distribution.decode(codes).cpu()
                for row, index in enumerate(live):
                    parts[index].append(waveform[row])
                done = stop
                rows = [row for row, index in enumerate(live) if streams[index].samples > done]
                if len(rows) < len(live):
                    live = [live[row] for row in rows]
                    kept = torch.tensor(rows, dtype=torch.long)
                    session.keep(kept)
                    if local is not None:
                        local.keep(streams_of(kept, strengths))
            yield [torch.cat([torch.empty(0), *part]) for part in parts]

    @property
    def _device(self) -> torch.device:
        return next(self.backbone.parameters()).device

    def _check(self, stream: Stream) -> None:
        if stream.samples < 0 or stream.seed < 0:
            raise RequestError(f"samples and seed must not be negative, got {stream.samples} and {stream.seed}")
        width = 0 if stream.global_condition is None else len(stream.global_condition)
        if width != self.backbone.global_channels:
            raise RequestError(
                f"the net takes a global condition of {self.backbone.global_channels} channels, the stream has {width}"
            )
        if stream.guidance is not None:
            if not math.isfinite(stream.guidance.strength):
                raise RequestError(f"the strength of guidance must be a finite number, got {stream.guidance.strength}")
            if len(stream.guidance.away_from) != width or not width:
                raise RequestError("guidance leads away from another global condition of a net that takes one")
            if not isinstance(self.backbone.distribution, Softmax):
                raise RequestError(
                    f"guidance combines logits, and {type(self.backbone.distribution).__name__} has none"
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

    def _start(self, streams: list[Stream]) -> tuple[Session, LocalCondition | None, Tensor | None]:
        """A session whose next sample is the first of every clip, its local condition, and the strengths of guidance.

        With guidance every clip is two streams.
        """
        guidance = [stream.guidance for stream in streams if stream.guidance is not None]
        strengths = torch.tensor([one.strength for one in guidance], device=self._device) if guidance else None
        distribution, length = self.backbone.distribution, self.backbone.history
        history = torch.full((len(streams), length), distribution.silence, device=self._device)
        for row, stream in enumerate(streams):
            if stream.prime is not None and len(stream.prime):
                codes = distribution.encode(stream.prime[-length:])
                history[row, -len(codes) :] = codes
        history = of_streams(history, strengths)
        conditions = [
            condition
            for stream in streams
            for condition in (stream.global_condition, stream.guidance and stream.guidance.away_from)
            if condition is not None
        ]
        global_condition = torch.stack(conditions).to(self._device) if conditions else None
        twice = 1 if strengths is None else 2
        frames = [
            stream.frames.to(self._device) for stream in streams if stream.frames is not None for _ in range(twice)
        ]
        primes = [stream.prime_samples for stream in streams for _ in range(twice)]
        engine = self.engine
        library = native.load() if engine.name == "native" else None
        assert not isinstance(library, str)
        steps: StepsOf = CachedStack if library is None else partial(native.NativeSteps, library=library)
        local = self.backbone.begin_local_condition(history, frames, primes, steps)
        start = Start(self.backbone, history, self.draw, global_condition, local, strengths)
        session: Session
        if library is not None:
            session = native.NativeSession(start, library, engine.precision, torch.get_num_threads())
        elif engine.name == "cuda":
            session = CudaSession(start, engine.precision)
        else:
            session = EagerSession(start)
        return session, local, strengths


def _draw(distribution: Distribution, options: Mapping[str, float | None]) -> Draw:
    """What draws from a distribution under these options."""
    known = inspect.signature(distribution.sampling).parameters
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in known:
            raise RequestError(
                f"{type(distribution).__name__} takes no {name} in sampling; it takes {', '.join(known) or 'nothing'}"
            )
    try:
        return distribution.sampling(**given)
    except ValueError as error:
        raise RequestError(str(error)) from error


@cache
def _notify(message: str) -> None:
    """Says something once."""
    logging.getLogger("lightning_wavenet").warning(message)
