"""`wavenet data synthesize|prepare|describe`: corpora made on the spot, and what a run sees of a corpus."""

# No postponed annotations here: a parser is made of them.
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser

from lightning_wavenet.cli.parsing import PARSER, call, instantiate, parse, verb_parser
from lightning_wavenet.errors import RequestError

if TYPE_CHECKING:
    from datamodules import AudioDataModule
    from datamodules.description import Amount, Spread


def vctk(
    out: Path,
    speakers: int = 4,
    clips: int = 10,
    source: Literal["speech", "digits", "tones"] = "speech",
    seed: int = 0,
    seconds: float = 3.0,
    overwrite: bool = False,
) -> None:
    """Makes a corpus in the layout of VCTK 0.92: 48 kHz FLAC of two microphones, texts, and the times of the phones.

    Args:
        out: Folder that VCTK-Corpus-0.92 is made in.
        speakers: How many, at most 20 with speech and 109 with tones.
        clips: Recordings a speaker; of speech the first quarter, at most 24, is read by all speakers.
        source: Sentences by espeak-ng (the extra "synthetic"), digits by four of its clearest voices, or one tone a
            speaker.
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
    source: Literal["speech", "digits", "tones"] = "speech",
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
        source: Sentences by espeak-ng (the extra "synthetic"), digits by four of its clearest voices, or one tone a
            speaker.
        seed: Decides texts and levels; the same options give the same bytes.
        seconds: About how long a recording is (s).
        sample_rate: Samples a second (Hz); 22050 is espeak's own.
        overwrite: Replace a corpus that was made here before.
    """
    from datamodules.synthetic import synthesize_folder

    made = synthesize_folder(out, speakers, clips, source, seed, seconds, sample_rate, overwrite)
    print(f"{speakers} speakers x {clips} clips of {source} in {made}")


def ljspeech(
    out: Path,
    clips: int = 100,
    source: Literal["speech", "digits", "tones"] = "speech",
    seed: int = 0,
    seconds: float = 3.0,
    sample_rate: int = 22_050,
    overwrite: bool = False,
) -> None:
    """Makes a corpus in the layout of LJSpeech 1.1, by one voice; "phones" in it is a folder for --data.alignments.

    Args:
        out: Folder that LJSpeech-1.1 is made in.
        clips: How many, at most 9999; of fewer than 1000 data.split divides them.
        source: Sentences by espeak-ng (the extra "synthetic"), digits by one of its clearest voices, or tones.
        seed: Decides texts and levels; the same options give the same bytes.
        seconds: About how long a recording is (s).
        sample_rate: Samples a second (Hz); 22050 is LJSpeech's, and espeak's own.
        overwrite: Replace a corpus that was made here before.
    """
    from datamodules.synthetic import synthesize_ljspeech

    made = synthesize_ljspeech(out, clips, source, seed, seconds, sample_rate, overwrite)
    print(f"{clips} clips of {source} in {made}")


def timit(
    out: Path, speakers: int = 5, clips: int = 10, seed: int = 0, seconds: float = 3.0, overwrite: bool = False
) -> None:
    """Makes a corpus in the layout of TIMIT: sentences by American voices at 16 kHz, and the times of the phones.

    Of every five speakers three train, one validates and one tests, by their names.

    Args:
        out: Folder that TIMIT is made in.
        speakers: How many, 3 to 20.
        clips: Recordings a speaker, of which the first two (SA1 and SA2) are in no split, as in TIMIT.
        seed: Decides texts and levels; the same options give the same bytes.
        seconds: About how long a recording is (s).
        overwrite: Replace a corpus that was made here before.
    """
    from datamodules.synthetic import synthesize_timit

    made = synthesize_timit(out, speakers, clips, seed, seconds, overwrite)
    print(f"{speakers} speakers x {clips} clips of speech in {made}")


def music(
    out: Path,
    clips: int = 160,
    seed: int = 0,
    seconds: float = 4.0,
    sample_rate: int = 8_000,
    overwrite: bool = False,
) -> None:
    """Makes a corpus in the layout of MagnaTagATune: instruments and rhythms, with tags that say what they are.

    Args:
        out: Folder that MagnaTagATune is made in.
        clips: How many, 16 to 9999; of every sixteen twelve train, one validates and three test.
        seed: Decides everything; the same options give the same bytes.
        seconds: How long a recording is (s); rhythms repeat after one or two.
        sample_rate: Samples a second (Hz).
        overwrite: Replace a corpus that was made here before.
    """
    from datamodules.synthetic_music import synthesize_music

    made = synthesize_music(out, clips, seed, seconds, sample_rate, overwrite)
    print(f"{clips} clips of music in {made}")


def prepare(data: "AudioDataModule") -> None:
    """Decodes a corpus into its cache and extracts its features, as the first run on it would.

    Args:
        data: The corpus.
    """
    data.prepare_data()
    data.setup()
    about = data.describe()
    print(f"{about.corpus}: {about.total.clips:,} clips, {_hours(about.total)} at {about.sample_rate:,} Hz are ready")


def describe(
    data: "AudioDataModule",
    json: Path | None = None,
    utterance: str | None = None,
    picture: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Prints a corpus in numbers: clips, hours, speakers, levels, splits, and what was skipped and why.

    Args:
        data: The corpus.
        json: File for the same clip by clip, for programs: clips (id, seconds, split, speaker, text, tags,
            phones) and skipped (id, reason).
        utterance: Id of an utterance; prints its words, syllables, phones with times, F0 and features instead.
        picture: File for a picture (PNG) of that utterance: the same below its spectrogram.
        overwrite: Replace those files if they exist.

    Raises:
        RequestError: There is no such utterance.
    """
    from json import dumps

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from lightning_wavenet.cli.utterance import draw, tell, view
    from lightning_wavenet.files.atomic import refuse_existing, write_text

    if picture is not None and utterance is None:
        raise RequestError("--picture is of one utterance: say which with --utterance")
    if json is not None:
        refuse_existing([json], overwrite, "--json")
    if picture is not None:
        refuse_existing([picture], overwrite, "--picture")
    data.prepare_data()
    data.setup()
    if utterance is not None:
        seen = view(data, utterance)
        if picture is not None:
            draw(seen, picture)
        tell(seen)
    if json is not None:
        write_text(json, dumps(data.for_programs(), indent=2, ensure_ascii=False) + "\n")
    if utterance is not None:
        return
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
    if about.tags:
        table.add_row("tags", f"{len(about.tags)} (clips of the training split)")
    for tag, amount in about.tags.items():
        table.add_row(f"  {escape(tag)}", _amount(amount))
    table.add_row("duration", _spread(about.seconds, "s", 2))
    table.add_row("peak", _spread(about.peak, "dBFS", 1))
    table.add_row("RMS", _spread(about.rms, "dBFS", 1))
    table.add_row("skipped", f"{sum(map(len, about.skipped.values())):,}")
    for reason, ids in about.skipped.items():
        some = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
        table.add_row(f"  {len(ids):,}", escape(f"{reason}: {some}"))
    if about.wordless:
        some = ", ".join(about.wordless[:3]) + (", ..." if len(about.wordless) > 3 else "")
        table.add_row("no words", escape(f"{len(about.wordless):,} texts that cannot be pronounced: {some}"))
    Console().print(table)
    print("durations and levels: median of the clips (5th to 95th percentile)")


def _amount(amount: "Amount") -> str:
    return f"{amount.clips:,} clips, {_hours(amount)}"


def _hours(amount: "Amount") -> str:
    return f"{amount.hours:.2f} h" if amount.hours >= 1 else f"{60 * amount.hours:.1f} min"


def _spread(spread: "Spread", unit: str, digits: int) -> str:
    return f"{spread.median:.{digits}f} {unit} ({spread.low:.{digits}f} to {spread.high:.{digits}f})"


_VERBS: dict[str, tuple[Callable[..., None], str]] = {
    "prepare": (prepare, "decode a corpus into its cache, as the first run on it would"),
    "describe": (describe, "a corpus in numbers, and what was skipped and why"),
}
_LAYOUTS: dict[str, tuple[Callable[..., None], str]] = {
    "vctk": (vctk, "that of VCTK 0.92"),
    "folder": (folder, "a folder of recordings a speaker"),
    "ljspeech": (ljspeech, "that of LJSpeech 1.1, one voice"),
    "timit": (timit, "that of TIMIT"),
    "music": (music, "that of MagnaTagATune, with instruments and rhythms"),
}


def main(arguments: list[str]) -> None:
    """Parses the options of `wavenet data`, and does what they ask for."""
    parser = ArgumentParser(prog="wavenet data", description="Makes, prepares and describes corpora.", **PARSER)
    verbs = parser.add_subcommands(dest="verb", metavar="VERB")
    synthesize = ArgumentParser(description="Makes a small corpus, with nothing downloaded.", **PARSER)
    verbs.add_subcommand("synthesize", synthesize, help="make a small corpus, with nothing downloaded")
    layouts = synthesize.add_subcommands(dest="layout", metavar="LAYOUT")
    for name, (make, text) in _LAYOUTS.items():
        layouts.add_subcommand(name, verb_parser(make, arguments), help=text)
    for name, (function, text) in _VERBS.items():
        # The parser of a corpus only when it is needed, because it imports Lightning.
        wanted = arguments[:1] == [name]
        verbs.add_subcommand(name, verb_parser(function, arguments) if wanted else ArgumentParser(), help=text)
    options = instantiate(parser, parse(parser, arguments))
    chosen = options[options.verb]
    if options.verb == "synthesize":
        call(_LAYOUTS[chosen.layout][0], chosen[chosen.layout])
    else:
        call(_VERBS[options.verb][0], chosen)
