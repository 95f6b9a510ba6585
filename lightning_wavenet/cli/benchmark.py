"""`wavenet benchmark generate|train|learn`: engines, forms and recipes against one another on this machine."""

# No postponed annotations here: a parser is made of them.
import json as json_format
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from jsonargparse import ArgumentParser

from lightning_wavenet.cli.parsing import PARSER, call, parse, verb_parser
from lightning_wavenet.errors import RequestError
from lightning_wavenet.files.atomic import need_folder, refuse_existing, write_text

if TYPE_CHECKING:
    from rich.table import Table

    from lightning_wavenet.benchmarks import generation, learning, training

R = TypeVar("R")


def generate(
    net: str = "paper",
    engines: str = "eager,native,cuda",
    batch: str = "1,16",
    threads: str | None = None,
    seconds: float = 3.0,
    rounds: int = 3,
    json: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Runs the sampling engines against one another on nets with random weights, at 16 kHz.

    Every precision that this machine has is measured.

    Args:
        net: "paper" (30 layers, 64 residual, 128 gate, 256 skip channels), "paper-16-bits", "context" (paper with a
            context stack of four seconds), "deepvoice-20-32-128", "deepvoice-40-64-256" (layers, residual, skip),
            "tts" (paper with local conditioning every 5 ms, upsampled by the net), "say" (tts from a sentence on), or
            several joined by commas.
        engines: Joined by commas; those that this machine lacks are left out.
        batch: Streams side by side, several numbers joined by commas.
        threads: Of the CPU, several numbers joined by commas; by default as many as PyTorch takes.
        seconds: How long every measurement generates at least (s).
        rounds: How often everything is measured; the figures are medians.
        json: Write the rows here too.
        overwrite: Replace that file if it exists.

    Raises:
        RequestError: The options do not fit this machine, or the file exists.
    """
    import torch

    from lightning_wavenet.benchmarks import generation
    from lightning_wavenet.benchmarks.nets import NETS

    batches = _numbers("batch", batch)
    counts = [torch.get_num_threads()] if threads is None else _numbers("threads", threads)
    wanted, nets = _parts(engines), _parts(net)
    for what, given, known in (("engine", wanted, ("eager", "native", "cuda")), ("net", nets, tuple(NETS))):
        for one in given:
            if one not in known:
                raise RequestError(f"there is no {what} {one!r}; there are {', '.join(known)}")
    if min(*batches, *counts, rounds) < 1 or seconds <= 0:
        raise RequestError("batch, threads, rounds and seconds must be positive")
    _check(json, overwrite)
    cases = generation.cases(nets, wanted, batches, counts)
    if not cases:
        raise RequestError(f"this machine has none of the engines {', '.join(wanted)}")
    rows = _show(generation.run(cases, seconds, rounds), _generation_table)
    _write(json, rows)


def train(
    crop: int = 8_000,
    batch: int = 1,
    threads: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    seconds: float = 2.0,
    rounds: int = 12,
    json: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Trains the paper's net for a few steps in several forms, against the plain textbook form.

    "reference" and "fused" are the values of `--execution.path`. A step is forward, backward and Adam. How
    fast batches can be loaded is measured too.

    Args:
        crop: Samples of a crop that count in the loss.
        batch: Crops a step.
        threads: Of the CPU; by default as many as PyTorch takes.
        device: "auto" is a GPU where there is one.
        seconds: How long a form trains at least before the next one has its turn (s).
        rounds: How many turns every form has; the figures are medians.
        json: Write the rows here too.
        overwrite: Replace that file if it exists.

    Raises:
        RequestError: The options do not fit this machine, or the file exists.
    """
    import torch

    from lightning_wavenet.benchmarks import training

    threads = torch.get_num_threads() if threads is None else threads
    if min(crop, batch, threads, rounds) < 1 or seconds <= 0:
        raise RequestError("crop, batch, threads, rounds and seconds must be positive")
    if device == "cuda" and not torch.cuda.is_available():
        raise RequestError("there is no GPU on this machine; leave out --device")
    _check(json, overwrite)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    cases = training.cases(crop, batch, threads, device)
    rows = _show(training.run(cases, seconds, rounds), _training_table)
    _write(json, rows)


def learn(
    root: Path,
    net: str = "wavenet",
    optimizer: Literal["muon", "adam"] = "muon",
    lr: float = 0.005,
    schedule: Literal["constant", "cosine", "linear"] = "linear",
    crop: int = 4_000,
    minutes: str = "1,3,10",
    threads: int = 1,
    seed: int = 0,
    json: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Trains the paper's net for so many minutes of a core, and tells the bits per sample of held-out clips.

    The last fifth of a folder's recordings in the order of their names is held out. Minutes are those of the process's
    own computation, so that runs side by side compare on a busy machine too.

    Args:
        root: A folder of recordings, such as a hundred of LJSpeech.
        net: "wavenet", or a Python file whose function `build()` returns another net, from codes `[1, T]` to logits
            `[1, T', 256]`, the last of which follow the last codes.
        optimizer: "muon" for matrices between hidden layers and Adam for the rest, or "adam" for all.
        lr: Learning rate of Adam.
        schedule: Of the learning rate; "cosine" and "linear" rise over the first 2 % and fall to nothing at the end.
        crop: Samples of a crop that count in the loss, one crop a step.
        minutes: When to test, several numbers joined by commas; the last ends the training.
        threads: Of the CPU.
        seed: Decides on weights and crops.
        json: Write the figures here too.
        overwrite: Replace that file if it exists.

    Raises:
        RequestError: The options or the recordings do not fit, or the file exists.
    """
    import torch

    from lightning_wavenet.benchmarks import learning

    try:
        marks = [float(part) for part in _parts(minutes)]
    except ValueError as error:
        raise RequestError(f"--minutes takes numbers joined by commas, got {minutes!r}") from error
    if min(*marks, lr) <= 0 or min(crop, threads) < 1 or marks != sorted(marks):
        raise RequestError("minutes, lr, crop and threads must be positive, and minutes must rise")
    _check(json, overwrite)
    if not root.is_dir():
        raise RequestError(f"there is no folder {root}")
    torch.set_num_threads(threads)
    train_clips, test_clips = learning.load_clips(root)
    torch.manual_seed(seed)
    trained = learning.load_net(net)
    recipe = learning.Recipe(optimizer, lr, schedule, crop)
    rows = []
    for mark in learning.learn(trained, recipe, train_clips, test_clips, marks, seed):
        rows.append(mark)
        print(f"{mark.minutes:g} min, {mark.steps:,} steps: {mark.bits:.3f} bits per sample", flush=True)
    _write(json, rows)


def _parts(text: str) -> list[str]:
    """What commas join; brackets around it, as of a YAML list, mean nothing."""
    return [part.strip() for part in text.strip("[] ").split(",")]


def _numbers(name: str, text: str) -> list[int]:
    try:
        return [int(part) for part in _parts(text)]
    except ValueError as error:
        raise RequestError(f"--{name} takes whole numbers joined by commas, got {text!r}") from error


def _check(json: Path | None, overwrite: bool) -> None:
    """Before anything is measured: whether the figures can be written."""
    if json is None:
        return
    if json.is_dir():
        raise RequestError(f"{json} is a folder; --json takes a file")
    need_folder(json.absolute().parent, "--json")
    refuse_existing([json], overwrite, "--json")


def _show(measurements: Iterator[list[R]], table: "Callable[[list[R]], Table]") -> list[R]:
    """Shows the table as it fills, and returns its last rows."""
    from rich.console import Console
    from rich.live import Live

    rows: list[R] = []
    console = Console(width=None if Console().is_terminal else 132)
    with Live(console=console, transient=True) as live:
        for rows in measurements:
            live.update(table(rows))
    console.print(table(rows))
    return rows


def _generation_table(rows: "list[generation.Row]") -> "Table":
    from rich.table import Table

    nets = list(dict.fromkeys(row.net for row in rows))
    table = Table(title=f"{', '.join(nets)} at 16 kHz, {', '.join(dict.fromkeys(row.device for row in rows))}")
    for name in (*(["net"] if len(nets) > 1 else []), "engine", "precision"):
        table.add_column(name)
    for name in ("batch", "threads", "samples/s", "a stream", "RTF", "x eager", "first (s)", "peak MB", "extra MB"):
        table.add_column(name, justify="right")
    eager: dict[tuple[str, int], float] = {}
    for row in rows:
        if row.engine == "eager":
            eager[row.net, row.batch] = max(row.samples_per_second, eager.get((row.net, row.batch), 0))
    for row in rows:
        reference = eager.get((row.net, row.batch))
        table.add_row(
            *([row.net] if len(nets) > 1 else []),
            *(row.engine, row.precision, str(row.batch), str(row.threads)),
            *(f"{row.samples_per_second:,.0f}", f"{row.samples_per_second_per_stream:,.0f}", f"{row.rtf:.3f}"),
            "" if reference is None else f"{row.samples_per_second / reference:.1f}",
            *(f"{row.first_sample_seconds:.3f}", f"{row.peak_memory_mb:,.0f}", f"{row.extra_memory_mb:,.0f}"),
        )
    return table


def _training_table(rows: "list[training.Row]") -> "Table":
    from rich.table import Table

    table = Table(title=f"the paper's net, batches of {rows[0].batch} x {rows[0].crop:,} samples, {rows[0].device}")
    for name in ("form", "precision", "compiled", "recompute"):
        table.add_column(name)
    for name in ("samples/s", "x textbook", "peak MB", "GFLOP/s", "of peak"):
        table.add_column(name, justify="right")
    textbook = next(row.samples_per_second for row in rows if row.form == "textbook")
    for row in rows:
        table.add_row(
            *(row.form, row.precision, "yes" if row.compiled else "no", "yes" if row.recompute else "no"),
            *(
                f"{row.samples_per_second:,.0f}",
                f"{row.samples_per_second / textbook:.2f}",
                f"{row.peak_memory_mb:,.0f}",
            ),
            *(f"{row.gflops:,.0f}", f"{row.share_of_peak:.0%}") if row.gflops else ("", ""),
        )
    return table


def _write(path: Path | None, rows: "Sequence[generation.Row | training.Row | learning.Mark]") -> None:
    if path is not None:
        write_text(path, json_format.dumps([asdict(row) for row in rows], indent=2) + "\n")


def main(arguments: list[str]) -> None:
    """Parses the options of `wavenet benchmark`, and measures."""
    parser = ArgumentParser(prog="wavenet benchmark", description="Measures on this machine.", **PARSER)
    verbs = parser.add_subcommands(dest="verb", metavar="VERB")
    about: dict[str, tuple[Callable[..., None], str]] = {
        "generate": (generate, "samples a second of the sampling engines"),
        "train": (train, "samples a second of the training step and of the loader"),
        "learn": (learn, "bits per sample of held-out clips after so many minutes of training"),
    }
    for name, (function, text) in about.items():
        verbs.add_subcommand(name, verb_parser(function, arguments), help=text)
    options = parse(parser, arguments)
    call(about[options.verb][0], options[options.verb])
