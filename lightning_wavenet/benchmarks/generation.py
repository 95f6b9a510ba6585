"""How fast the sampling engines are, in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Literal

import torch
from torch import Tensor

from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.benchmarks.nets import FEATURES, NETS, SAMPLE_RATE
from lightning_wavenet.benchmarks.rounds import device_name, forget_peak_memory, in_turn, peak_memory_mb
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.features import Linguistic
from lightning_wavenet.models import DurationPredictor, LogF0Predictor, TTSModel
from lightning_wavenet.models.speaking import speak
from lightning_wavenet.sampling import Sampler, Stream, native

TIMED_CHUNKS = 3
"""At least so many chunks are timed."""

_SENTENCE = "The front of the house is narrow, and its back is round."


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
        net: One of `nets.NETS`.
        engine: Sampling engine.
        precision: Of weights and products.
        batch: Streams side by side.
        threads: Of the CPU.
    """

    net: str
    engine: Literal["eager", "native", "cuda"]
    precision: Literal["float32", "bfloat16"]
    batch: int
    threads: int


@dataclass(frozen=True)
class Row(Case):
    """A case and its figures, medians over all rounds.

    Attributes:
        samples_per_second: In all streams.
        samples_per_second_per_stream: In each of them.
        rtf: Seconds of compute a second of audio, of all streams together.
        first_sample_seconds: From the request to the first sample of every stream; with "say" from a sentence.
        peak_memory_mb: Of the process (MB); on a GPU what PyTorch allocated there.
        extra_memory_mb: Of that, what generation added to the process with its net.
        device: CPU or GPU.
    """

    samples_per_second: float
    samples_per_second_per_stream: float
    rtf: float
    first_sample_seconds: float
    peak_memory_mb: float
    extra_memory_mb: float
    device: str


@dataclass(frozen=True)
class Measurement:
    """What one round found of a case."""

    samples_per_second: float
    first_sample_seconds: float
    peak_memory_mb: float
    extra_memory_mb: float


def cases(nets: Sequence[str], engines: Sequence[str], batches: Sequence[int], threads: Sequence[int]) -> list[Case]:
    """Every net by every engine in every precision of this machine, with every batch size and number of threads."""
    found = []
    library = native.load()
    for net, batch in product(nets, batches):
        for count in threads:
            if "eager" in engines:
                found.append(Case(net, "eager", "float32", batch, count))
            if "native" in engines and isinstance(library, native.Library):
                found.append(Case(net, "native", "float32", batch, count))
                if library.bfloat16:
                    found.append(Case(net, "native", "bfloat16", batch, count))
        if "cuda" in engines and torch.cuda.is_available():
            found.append(Case(net, "cuda", "float32", batch, threads[0]))
            if torch.cuda.is_bf16_supported(including_emulation=False):
                found.append(Case(net, "cuda", "bfloat16", batch, threads[0]))
    return found


def run(wanted: Sequence[Case], seconds: float, rounds: int) -> Iterator[list[Row]]:
    """Measures.

    Args:
        wanted: The cases.
        seconds: For how long a round generates at least, after warming up (s).
        rounds: How often every case is measured.

    Yields:
        After every measurement the rows so far, medians over their rounds.

    Raises:
        MemoryError: The system ended a measurement.
    """
    for measurements in in_turn(measure, wanted, seconds, rounds):
        yield [_row(case, found) for case, found in measurements.items()]


def measure(case: Case, seconds: float) -> Measurement:
    """Measures one case once, in this process."""
    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    device = _device(case)
    net = NETS[case.net]().eval().to(device)
    sampler = Sampler(net, case.engine, case.precision)
    streams = [_stream(net, seed) for seed in range(case.batch)]
    spoken = _speaker(net) if case.net == "say" else None
    forget_peak_memory(device)
    before = peak_memory_mb(device)

    began = time.perf_counter()
    next(sampler.stream(streams if spoken is None else spoken(case.batch), chunk=1))
    first = time.perf_counter() - began

    chunk = SAMPLE_RATE // 10
    chunks = _endless(sampler, streams, chunk)
    next(chunks)
    done = 0
    began = time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds or done < TIMED_CHUNKS:
        next(chunks)
        done += 1
    peak = peak_memory_mb(device)
    return Measurement(done * chunk * case.batch / spent, first, peak, peak - before)


def _endless(sampler: Sampler, streams: list[Stream], chunk: int) -> Iterator[list[Tensor]]:
    """Chunks of the streams, which begin again when they have ended."""
    while True:
        yield from sampler.stream(streams, chunk)


def _device(case: Case) -> torch.device:
    return torch.device("cuda" if case.engine == "cuda" else "cpu")


def _stream(net: WaveNet, seed: int) -> Stream:
    """A minute out of silence, with random conditions."""
    samples = 60 * SAMPLE_RATE
    if net.upsampling is None:
        return Stream(samples, seed)
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randn(net.upsampling.frame_channels, samples // net.upsampling.hop, generator=generator)
    return Stream(samples, seed, frames=frames)


def _speaker(net: WaveNet) -> Callable[[int], list[Stream]]:
    """What makes streams of a sentence, with models of duration and F0 of the usual size that know nothing."""
    features = tuple(extractor.describe() for extractor in FEATURES)
    assert net.upsampling is not None
    vocabulary = Vocabulary(
        SAMPLE_RATE, hop=net.upsampling.hop, frame_channels=net.upsampling.frame_channels, features=features
    )
    model = TTSModel(net, vocabulary)
    durations = DurationPredictor(vocabulary.with_features([Linguistic.name])).eval()
    f0 = LogF0Predictor(vocabulary).eval()
    speak(model, _SENTENCE, duration_model=durations, f0_model=f0)  # Reads the dictionary.

    def streams(count: int) -> list[Stream]:
        clips = [speak(model, _SENTENCE, duration_model=durations, f0_model=f0) for _ in range(count)]
        return model.plan_frames(clips).streams

    return streams


def _row(case: Case, found: list[Measurement]) -> Row:
    rate = statistics.median(measurement.samples_per_second for measurement in found)
    return Row(
        **asdict(case),
        samples_per_second=rate,
        samples_per_second_per_stream=rate / case.batch,
        rtf=SAMPLE_RATE / rate,
        first_sample_seconds=statistics.median(measurement.first_sample_seconds for measurement in found),
        peak_memory_mb=statistics.median(measurement.peak_memory_mb for measurement in found),
        extra_memory_mb=statistics.median(measurement.extra_memory_mb for measurement in found),
        device=device_name(_device(case)),
    )
