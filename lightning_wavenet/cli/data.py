"""`wavenet data synthesize|prepare|describe`: corpora made on the spot, and what a run sees of a corpus."""

# No postponed annotations here: to resolve those, jsonargparse would import all that is below TYPE_CHECKING.
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser

from lightning_wavenet.cli.parsing import PARSER, add_corpus, add_overwrite, instantiate, parse

if TYPE_CHECKING:
    from datamodules import AudioDataModule
    from datamodules.description import Amount, Spread

_CORPUS_VERBS = {
    "prepare": "decode a corpus into its cache, as the first run on it would",
    "describe": "a corpus in numbers: clips, hours, speakers, levels, splits, and what was skipped and why",
}


def main(arguments: list[str]) -> None:
    """Parses the options and does what they ask for.

    Raises:
        RequestError: The request cannot be done as asked.
        ArgumentError: The options are not what they should be.
    """
    parser = ArgumentParser(prog="wavenet data", description="Makes, prepares and describes corpora.", **PARSER)
    verbs = parser.add_subcommands(dest="verb", metavar="VERB")
    synthesize = ArgumentParser(description="Makes a small corpus, with nothing downloaded.", **PARSER)
    verbs.add_subcommand("synthesize", synthesize, help="make a small corpus, with nothing downloaded")
    layouts = synthesize.add_subcommands(dest="layout", metavar="LAYOUT")
    layouts.add_subcommand("vctk", _layout_parser(vctk), help="that of VCTK 0.92")
    layouts.add_subcommand("folder", _layout_parser(folder), help="a folder of recordings a speaker")
    for verb, text in _CORPUS_VERBS.items():
        # Only when it is needed, because it imports Lightning.
        wanted = arguments[:1] == [verb]
        about = ArgumentParser(description=f"{text[0].upper()}{text[1:]}.", **PARSER)
        if wanted:
            add_corpus(about, arguments)
        verbs.add_subcommand(verb, about, help=text)
    options = parse(parser, arguments)
    if options.verb == "synthesize":
        layout: Literal["vctk", "folder"] = options.synthesize.layout
        make: Callable[..., None] = vctk if layout == "vctk" else folder
        make(**vars(options.synthesize[layout]))
    else:
        {"prepare": prepare, "describe": describe}[options.verb](instantiate(parser, options)[options.verb].data)


def vctk(
    out: Path,
    speakers: int = 4,
    clips: int = 10,
    source: Literal["speech", "tones"] = "speech",
    seed: int = 0,
    seconds: float = 3.0,
    overwrite: bool = False,
) -> None:
    """Makes a corpus in the layout of VCTK 0.92: 48 kHz FLAC of two microphones, texts, and the times of the phones.

    Args:
        out: Folder that VCTK-Corpus-0.92 is made in.
        speakers: How many, at most 20 with speech and 109 with tones.
        clips: Recordings a speaker; of speech the first quarter, at most 24, is read by all speakers.
        source: Speech by espeak-ng (the extra "synthetic"), or one tone a speaker.
        seed: Decides texts and levels; the same options give the same bytes.
        seconds: About how long a recording is (s).
        overwrite: Replace a corpus that was made here before.
    """
    from datamodules.synthetic import synthesize_vctk

    made = synthesize_vctk(out, speakers, clips, source, seed, seconds, overwrite)
    print(f"{speakers} speakers x {clips} clips of {source} in {made}")


def folder(
    out: Path,
    speakers: int = 4,
    clips: int = 10,
    source: Literal["speech", "tones"] = "speech",
    seed: int = 0,
    seconds: float = 3.0,
    sample_rate: int = 22_050,
    overwrite: bool = False,
) -> None:
    """Makes a folder of recordings, SPEAKER/SPEAKER_NNN.wav, with text (.txt) and the times of the phones (.phn).

    AudioFolderDataModule reads it, with the speakers by the pattern "(?P<speaker>[^/]+)/".

    Args:
        out: The folder.
        speakers: How many, at most 20 with speech and 109 with tones.
        clips: Recordings a speaker.
        source: Speech by espeak-ng (the extra "synthetic"), or one tone a speaker.
        seed: Decides texts and levels; the same options give the same bytes.
        seconds: About how long a recording is (s).
        sample_rate: Samples a second (Hz); 22050 is espeak's own.
        overwrite: Replace a corpus that was made here before.
    """
    from datamodules.synthetic import synthesize_folder

    made = synthesize_folder(out, speakers, clips, source, seed, seconds, sample_rate, overwrite)
    print(f"{speakers} speakers x {clips} clips of {source} in {made}")


def prepare(data: "AudioDataModule") -> None:
    """Decodes a corpus into its cache, unless that is done, and says how much it is."""
    data.prepare_data()
    data.setup()
    about = data.describe()
    print(f"{about.corpus}: {about.total.clips:,} clips, {_hours(about.total)} at {about.sample_rate:,} Hz are ready")


def describe(data: "AudioDataModule") -> None:
    """Prints a corpus in numbers, after decoding it into its cache unless that is done."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    data.prepare_data()
    data.setup()
    about = data.describe()
    table = Table(title=f"{about.corpus} at {about.sample_rate:,} Hz", show_header=False)
    table.add_row("clips", _amount(about.total))
    for split, amount in about.splits.items():
        table.add_row(f"  {split}", _amount(amount))
    table.add_row("speakers", str(len(about.speakers) or "not known"))
    for speaker, amount in about.speakers.items():
        table.add_row(f"  {escape(speaker)}", _amount(amount))
    if about.labels:
        table.add_row("labels", str(len(about.labels)))
    for label, amount in about.labels.items():
        table.add_row(f"  {escape(label)}", _amount(amount))
    table.add_row("duration", _spread(about.seconds, "s", 2))
    table.add_row("peak", _spread(about.peak, "dBFS", 1))
    table.add_row("RMS", _spread(about.rms, "dBFS", 1))
    table.add_row("skipped", f"{sum(map(len, about.skipped.values())):,}")
    for reason, ids in about.skipped.items():
        some = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
        table.add_row(f"  {len(ids):,}", escape(f"{reason}: {some}"))
    Console().print(table)
    print("durations and levels: median of the clips (5th to 95th percentile)")


def _layout_parser(make: Callable[..., None]) -> ArgumentParser:
    parser = ArgumentParser(description=(make.__doc__ or "").partition("\n")[0], **PARSER)
    parser.add_function_arguments(make, skip={"overwrite"})
    add_overwrite(parser, "replace a corpus that was made here before")
    return parser


def _amount(amount: "Amount") -> str:
    return f"{amount.clips:,} clips, {_hours(amount)}"


def _hours(amount: "Amount") -> str:
    return f"{amount.hours:.2f} h" if amount.hours >= 1 else f"{60 * amount.hours:.1f} min"


def _spread(spread: "Spread", unit: str, digits: int) -> str:
    return f"{spread.median:.{digits}f} {unit} ({spread.low:.{digits}f} to {spread.high:.{digits}f})"
