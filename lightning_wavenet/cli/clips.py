"""Clips as they are generated: written piece by piece, with a bar that tells how fast."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from lightning_wavenet.files.audio import clip_writer
from lightning_wavenet.models.clip import ClipDescription
from lightning_wavenet.sampling import Sampler, Stream

AT_ONCE = 32
"""Clips that are written side by side: more would not be faster, and have no end in sight."""


class Made(NamedTuple):
    """How a generation went."""

    rtf: float
    """Seconds of compute a second of audio."""
    arrivals: list[float]
    """When each chunk was there, after its clips were begun (s)."""


def make_clips(
    sampler: Sampler,
    streams: Sequence[Stream],
    about: Sequence[ClipDescription],
    stems: Sequence[Path],
    chunk_samples: int,
    progress: Progress | None = None,
) -> Made:
    """Generates clips and writes them; on Ctrl-C and SIGTERM whole clips alone are left.

    Args:
        sampler: Generates them.
        streams: One a clip.
        about: What is to be known of each.
        stems: Where each goes, without a suffix; none: nothing is written, and all clips are generated side by side.
        chunk_samples: Samples of each clip that are generated at a time.
        progress: Shows the bar, beside those of other devices; by default it has one of its own.
    """
    together, rate = AT_ONCE if stems else len(streams), about[0].sample_rate_hz
    arrivals: list[float] = []
    done, spent, rtf = 0, 0.0, 0.0
    with _ended_by_sigterm(), nullcontext(progress) if progress is not None else bars() as shown:
        bar = shown.add_task("", total=sum(stream.samples for stream in streams), rtf="-")
        for first in range(0, len(streams), together):
            part = slice(first, first + together)
            with ExitStack() as files:
                told = [asdict(one) for one in about[part]]
                clips = [clip_writer(stem, rate, one) for stem, one in zip(stems[part], told, strict=False)]
                writers = [files.enter_context(clip) for clip in clips]
                began = time.monotonic()
                for chunks in sampler.stream(streams[part], chunk_samples):
                    arrivals.append(time.monotonic() - began)
                    for write, chunk in zip(writers, chunks, strict=bool(writers)):
                        write(chunk)
                    done += sum(map(len, chunks))
                    rtf = (spent + arrivals[-1]) / (done / rate)
                    shown.update(bar, completed=done, rtf=f"{rtf:.2f}")
                seconds = sum(stream.samples for stream in streams[part]) / rate
                for one in told:  # It is written when the block ends.
                    one["rtf"] = round(arrivals[-1] / seconds, 4)
                spent += arrivals[-1]
    return Made(rtf, arrivals)


def bars() -> Progress:
    """Of generations, each with its RTF."""
    return Progress(TextColumn("generating"), BarColumn(), TextColumn("RTF {task.fields[rtf]}"), TimeRemainingColumn())


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Lets SIGTERM end the block as Ctrl-C does, so that files that are half written are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
