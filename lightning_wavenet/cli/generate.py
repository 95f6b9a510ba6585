"""`wavenet generate`: audio from a checkpoint alone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser

from lightning_wavenet.cli.parsing import PARSER, add_flag, add_overwrite


def main(arguments: list[str]) -> None:
    """Parses the options and generates."""
    parser = ArgumentParser(
        prog="wavenet generate",
        description="Generates audio from a checkpoint: a 16-bit wav, a spectrogram and a description of each clip.",
        **PARSER,
    )
    parser.add_argument("checkpoint", type=Path, help="a checkpoint that wavenet fit wrote")
    parser.add_function_arguments(generate, skip={"checkpoint", "live_check", "overwrite"})
    add_flag(parser, "--live_check", "write nothing, but tell whether this machine generates as fast as the clips play")
    add_overwrite(parser, "replace clips that exist")
    options = parser.parse_args(arguments)
    generate(**vars(parser.instantiate_classes(options)))


def generate(
    checkpoint: Path,
    out: Path | None = None,
    num: int = 1,
    seconds: float = 3.0,
    speaker: str | None = None,
    prime: Path | None = None,
    seed: int = 0,
    temperature: float = 1.0,
    top_p: float = 1.0,
    engine: Literal["auto", "eager", "native", "cuda"] = "auto",
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    device: str = "auto",
    live_check: bool = False,
    overwrite: bool = False,
) -> None:
    """Generates clips and writes `NAME.wav`, `NAME.png` and `NAME.json` of each.

    Args:
        checkpoint: A checkpoint that wavenet fit wrote.
        out: Folder for the clips; needed for all but a live check.
        num: Clips, of each speaker where the model knows speakers.
        seconds: Length of each clip (s).
        speaker: Whose voice, or several joined by commas; by default every speaker that the model knows.
        prime: Recording to continue; without one a clip begins out of silence.
        seed: Seed of the first clip; the others count on from it.
        temperature: Divides the logits; 1 samples from the model, less is more conservative.
        top_p: Keep only the most probable values that together reach this probability; 1 keeps all.
        engine: "eager" is PyTorch step by step, "native" a C++ loop for CPUs, "cuda" replays CUDA graphs; "auto" takes
            the fastest that fits.
        precision: "bfloat16" is faster where the device multiplies it, and moves the distributions a little; "auto"
            takes it there.
        device: Where to generate: "cpu", "cuda", "cuda:1", ...; "auto" takes a GPU where there is one.
        live_check: Whether to write nothing, but to tell whether this machine generates as fast as the clips play.
        overwrite: Whether clips that exist may be replaced.

    Raises:
        RequestError: The request does not fit the checkpoint, or would overwrite something.
    """
    import time

    import torch
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from lightning_wavenet import __version__
    from lightning_wavenet.audio import read_audio, write_clip
    from lightning_wavenet.batch import Batch
    from lightning_wavenet.checkpoint import load
    from lightning_wavenet.errors import RequestError
    from lightning_wavenet.sampling import Sampler
    from lightning_wavenet.tasks import GenerationTask

    if num < 1 or seconds <= 0 or seed < 0:
        raise RequestError(f"num and seconds must be positive, seed not negative; got {num}, {seconds} and {seed}")
    if (out is None) != live_check:
        raise RequestError("give a folder as --out" if out is None else "--live_check writes nothing: leave out --out")
    if out is not None and out.exists() and not out.is_dir():
        raise RequestError(f"{out} is a file; --out takes a folder")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() and engine != "native" else "cpu"
    task = load(checkpoint, device)
    if not isinstance(task, GenerationTask):
        raise RequestError(f"{checkpoint} holds a {type(task).__name__}, which does not generate")
    vocabulary = task.vocabulary
    if vocabulary is None:
        raise RequestError(f"{checkpoint} was trained without a corpus of this project, so its sample rate is unknown")
    rate = vocabulary.sample_rate
    sampler = Sampler(task.backbone, engine, precision, temperature, top_p)

    voices = list(dict.fromkeys(speaker.split(","))) if speaker is not None else list(vocabulary.speakers)
    indices: list[int | None] = [vocabulary.speaker_index(voice) for voice in voices] or [None]
    names = ["_".join([voice] * bool(voice) + [f"{number:03d}"]) for voice in (voices or [""]) for number in range(num)]
    rows = [index for index in indices for _ in range(num)]
    known = [index for index in rows if index is not None]
    files = [out / f"{name}{suffix}" for name in names for suffix in (".wav", ".png", ".json")] if out else []
    existing = [file for file in files if file.exists()]
    if existing and not overwrite:
        raise RequestError(f"{existing[0]} exists: choose another --out, or say --overwrite")

    recording = read_audio(prime, rate) if prime is not None else torch.zeros(0)
    samples = max(1, round(seconds * rate))
    batch = Batch(
        waveform=recording.expand(len(rows), -1).to(device),
        target_mask=torch.ones(len(rows), len(recording), dtype=torch.bool),
        ids=names,
        speaker=torch.tensor(known, device=device) if known else None,
    )
    streams = task.streams(batch, samples, seed, prime_samples=len(recording))

    columns = (TextColumn("generating"), BarColumn(), TextColumn("RTF {task.fields[rtf]}"), TimeRemainingColumn())
    used, chunk_samples = sampler.engine, max(1, rate // 10)
    chunks, arrivals, done, began = [], [], 0, time.monotonic()
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=samples, rtf="-")
        for chunk in sampler.stream(streams, chunk_samples):
            chunks.append(chunk)
            arrivals.append(time.monotonic() - began)
            done += len(chunk[0])
            rtf = arrivals[-1] / (done / rate * len(streams))
            progress.update(bar, completed=done, rtf=f"{rtf:.2f}")

    clips = "1 clip" if len(names) == 1 else f"{len(names)} clips"
    made = f"{clips} of {samples / rate:g} s at {rate} Hz by the {used.name} engine in {used.precision}"
    if out is None:
        print(f"{made}: {live_verdict(arrivals, chunk_samples / rate)}")
        return
    for row, (name, parts) in enumerate(zip(names, zip(*chunks, strict=True), strict=True)):
        write_clip(
            out / name,
            torch.cat(parts),
            rate,
            {
                "checkpoint": str(checkpoint),
                "task": type(task).__name__,
                "speaker": vocabulary.speakers[known[row]] if known else None,
                "prime": None if prime is None else str(prime),
                "seed": streams[row].seed,
                "seconds": samples / rate,
                "sample_rate_hz": rate,
                "temperature": temperature,
                "top_p": top_p,
                "engine": used.name,
                "precision": used.precision,
                "codec": task.backbone.distribution.codec,
                "version": __version__,
            },
        )
    print(f"{made} in {out}, RTF {rtf:.2f} (seconds of compute a second of audio)")


def live_verdict(arrivals: list[float], chunk_seconds: float) -> str:
    """Whether chunks that arrived at the given times (s) could have been played one after another without a stop."""
    late = max(arrival - number * chunk_seconds for number, arrival in enumerate(arrivals)) - arrivals[0]
    if late <= 0:
        return f"keeps up, playback can begin after {arrivals[0]:.2f} s and never stops"
    return (
        f"does not keep up, playback would stop for {late:.2f} s in all, or has to begin after "
        f"{arrivals[0] + late:.2f} s to go through"
    )
