"""`wavenet align`: when each phone of a corpus is said."""

# No postponed annotations here: to resolve those, jsonargparse would import all that is below TYPE_CHECKING.
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import ArgumentParser

from lightning_wavenet.cli.parsing import PARSER, add_overwrite, take_corpus
from lightning_wavenet.errors import RequestError

if TYPE_CHECKING:
    from datamodules import AudioDataModule
    from datamodules.transcripts import Transcript
    from lightning_wavenet.transcription import TimedPhone
    from lightning_wavenet.vocabulary import Vocabulary

_REPORT = "report.json"


def main(arguments: list[str]) -> None:
    """Parses the options and aligns.

    Raises:
        RequestError: The request cannot be done as asked.
        ArgumentError: The options are not what they should be.
    """
    parser = ArgumentParser(
        prog="wavenet align",
        description="Writes when each phone of a corpus is said: a TextGrid and a .phn of every utterance, and a "
        "report with the least certain first.",
        **PARSER,
    )
    parser.add_argument("checkpoint", type=Path, help="a checkpoint of a recogniser that wavenet fit wrote")
    parser.add_argument("--config", help="an experiment, of which only the section data is used")
    parser.add_argument("--data", help="the corpus, or with --data.OPTION an option of it, as in wavenet fit")
    parser.add_function_arguments(align, skip={"checkpoint", "data", "overwrite"})
    add_overwrite(parser, "replace alignments that exist")
    if {"-h", "--help"} & set(arguments):
        parser.parse_args(arguments)
    data, others = take_corpus(arguments)
    options = vars(parser.parse_args(others))
    align(data=data, **{name: value for name, value in options.items() if name not in ("config", "data")})


def align(
    checkpoint: Path,
    data: "AudioDataModule",
    out: Path,
    split: Literal["all", "train", "validation", "test"] = "all",
    worst: int = 10,
    device: str = "cpu",
    overwrite: bool = False,
) -> None:
    """Aligns the utterances of a corpus with the phones that it has, or else with those of its texts.

    Args:
        checkpoint: A checkpoint of a recogniser that wavenet fit wrote.
        data: The corpus.
        out: Folder for ID.TextGrid (phones, and words of a text), ID.phn (samples of the recording) and report.json.
        split: Which utterances.
        worst: How many of the least certain are listed.
        device: Where to compute: "cpu", "cuda", "cuda:1", ...
        overwrite: Whether alignments that exist may be replaced.

    Raises:
        RequestError: The request cannot be done as asked.
    """
    import numpy as np
    import soundfile
    import torch
    from rich.progress import track

    from datamodules.decoding import FULL_SCALE
    from datamodules.phone_times import write_phones
    from datamodules.records import SPLITS, Phone
    from lightning_wavenet.alignment import check, report
    from lightning_wavenet.files import write_whole
    from lightning_wavenet.textgrid import write_textgrid
    from lightning_wavenet.transcription import Recognizer

    if (out / _REPORT).exists() and not overwrite:
        raise RequestError(f"{out / _REPORT} exists: choose another --out, or say --overwrite")
    if data.audio.trim_silence_db is not None:
        raise RequestError("times are those of whole recordings: set data.audio.trim_silence_db to null")
    recognizer = Recognizer.from_checkpoint(checkpoint, device)
    rate = recognizer.vocabulary.sample_rate
    data.prepare_data()
    data.setup()
    data.frame = recognizer.task.frame
    _compare(data, recognizer.vocabulary)
    clips = data.clips
    chosen = np.sort(np.concatenate([data.clips_of(name) for name in SPLITS if split in ("all", name)]))
    if not len(chosen):
        raise RequestError(f"there is nothing to align: no utterance of split {split!r} has phones or a text")
    paths = {record.id: record.path for record in data.listing().records}
    shortest = recognizer.task.shortest * recognizer.task.frame / rate
    checks, too_short = [], []
    for clip in track(chosen.tolist(), description="aligning"):
        id, said = clips.ids[clip], data.transcript(clip)
        waveform = torch.from_numpy(clips.read(clip, 0, int(clips.frames[clip])).astype(np.float32) / FULL_SCALE)
        try:
            aligned = recognizer.align(waveform, said.phones.tolist(), said.optional.tolist())
        except ValueError:
            too_short.append(id)
            continue
        truth = [phone.start / rate for phone in clips.phones[clip]] or None
        checks.append(check(id, waveform, rate, aligned, shortest, truth))
        stem = out / Path(id).with_suffix("")
        stem.parent.mkdir(parents=True, exist_ok=True)
        phones = [(phone.start, phone.end, said.labels[phone.token]) for phone in aligned]
        tiers = {"words": _words(said, aligned), "phones": phones} if said.words else {"phones": phones}
        write_textgrid(stem.with_name(f"{stem.name}.TextGrid"), len(waveform) / rate, tiers)
        of_file = soundfile.info(paths[id]).samplerate
        in_file = [Phone(label, round(start * of_file), round(end * of_file)) for start, end, label in phones]
        write_whole(stem.with_name(f"{stem.name}.phn"), partial(write_phones, phones=in_file))
    if not checks:
        raise RequestError(f"all {len(too_short)} utterances are too short for their phones")
    found = report(checks) | {"too_short_for_their_phones": too_short}
    write_whole(out / _REPORT, lambda path: path.write_text(json.dumps(found, indent=2) + "\n"))
    _tell(found, worst, out)


def _compare(data: "AudioDataModule", vocabulary: "Vocabulary") -> None:
    """Refuses a corpus that does not fit the model."""
    if data.audio.sample_rate != vocabulary.sample_rate:
        raise RequestError(f"the model was trained at {vocabulary.sample_rate} Hz: set data.audio.sample_rate to it")
    if data.phone_names() != vocabulary.phones:
        theirs, ours = set(data.phone_names()), set(vocabulary.phones)
        strange = ", ".join(sorted(theirs - ours)[:10]) or "none"
        lacking = ", ".join(sorted(ours - theirs)[:10]) or "none"
        raise RequestError(
            f"the corpus and the model have different phones: only the corpus has {strange}; only the model {lacking}"
        )


def _words(said: "Transcript", aligned: "list[TimedPhone]") -> list[tuple[float, float, str]]:
    """The words of an aligned utterance: start and end (s), and the word."""
    times = {phone.token: phone for phone in aligned}
    return [(times[start].start, times[end - 1].end, text) for text, start, end in said.words]


def _tell(found: dict[str, Any], worst: int, out: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="the least certain", title_justify="left")
    for column in ("utterance", "score", "doubts"):
        table.add_column(column)
    for row in found["worst_first"][:worst]:
        table.add_row(escape(row["id"]), f"{row['score']:.2f}", "; ".join(row["doubts"]))
    if worst > 0:
        Console().print(table)
    level = "" if found["silence_db"] is None else f", silences at {found['silence_db']:.0f} dB of the speech"
    print(
        f"{found['utterances']:,} utterances aligned in {out}, {found['plausible']:,} of them plausible: mean score "
        f"{found['score']:.2f}, {found['phones_a_second']:.1f} phones a second{level}"
    )
    if found["boundaries"] is not None:
        errors = found["boundaries"]
        print(
            f"{errors['count']:,} boundaries: median error {errors['median_ms']:.1f} ms, within 20 ms "
            f"{errors['within_20_ms']:.1%}, within 50 ms {errors['within_50_ms']:.1%}"
        )
    if skipped := found["too_short_for_their_phones"]:
        print(f"{len(skipped):,} utterances are too short for their phones, and left out: {', '.join(skipped[:3])} ...")
