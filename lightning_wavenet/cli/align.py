"""`wavenet align`: when each phone of a corpus is said."""

# No postponed annotations here: a parser is made of them.
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lightning_wavenet.cli.parsing import verb
from lightning_wavenet.errors import RequestError

if TYPE_CHECKING:
    from datamodules import AudioDataModule
    from datamodules.transcripts import Transcript
    from lightning_wavenet.models import TimedPhone

_REPORT = "report.json"


def align(
    ckpt: Path,
    /,
    data: "AudioDataModule",
    out: Path,
    split: Literal["all", "train", "validation", "test"] = "all",
    worst: int = 10,
    device: str = "auto",
    overwrite: bool = False,
) -> None:
    """Writes when each phone of a corpus is said: a TextGrid and a .phn of every utterance, and a report.

    The phones are those that the corpus has, or else those of its texts. What was written can be trained on
    (data.alignments).

    Args:
        ckpt: A checkpoint of a recognizer that wavenet fit wrote.
        data: The corpus.
        out: Folder for ID.TextGrid (phones, and words of a text), ID.phn (samples of the recording) and report.json,
            which has the least certain utterances first.
        split: Which utterances.
        worst: How many of the least certain are listed.
        device: Where to compute: "cpu", "cuda", "cuda:1", ...; "auto" takes a GPU where there is one.
        overwrite: Replace alignments that exist.

    Raises:
        RequestError: The request cannot be done as asked.
    """
    import numpy as np
    import torch
    from rich.progress import track

    from datamodules.phone_times import write_phones
    from datamodules.records import SPLITS
    from lightning_wavenet.files.atomic import (
        need_distinct,
        need_folder,
        refuse_existing,
        write_atomically,
        write_text,
    )
    from lightning_wavenet.files.audio import clip_stem
    from lightning_wavenet.files.textgrid import write_textgrid
    from lightning_wavenet.models import PhoneRecognizer
    from lightning_wavenet.models.checkpoint import load
    from lightning_wavenet.models.plausibility import check, report
    from lightning_wavenet.text.phones import Phone

    need_folder(out)
    refuse_existing([out / _REPORT], overwrite)
    if data.audio.trim_silence_db is not None:
        raise RequestError("times are those of whole recordings: set data.audio.trim_silence_db to null")
    model = load(ckpt, device)
    if not isinstance(model, PhoneRecognizer):
        raise RequestError(f"{ckpt} holds a {type(model).__name__}, which recognizes no phones")
    data.prepare_data()
    data.setup()
    data.connect(model.request)
    model.vocabulary.must_match(data.vocabulary, model.request.fields, "the corpus")
    clips, rate = data.clips, model.vocabulary.sample_rate
    chosen = np.sort(np.concatenate([data.clips_of(name) for name in SPLITS if split in ("all", name)]))
    if not len(chosen):
        raise RequestError(f"there is nothing to align: no utterance of split {split!r} has phones or a text")
    stems = {clip: out / clip_stem(clips.ids[clip]) for clip in chosen.tolist()}
    need_distinct((clips.ids[clip], stem.with_name(f"{stem.name}.TextGrid")) for clip, stem in stems.items())
    suffixes = (".TextGrid", ".phn")
    refuse_existing([stem.with_name(stem.name + suffix) for stem in stems.values() for suffix in suffixes], overwrite)
    shortest = model.shortest * model.hop / rate
    checks, too_short = [], []
    for clip in track(chosen.tolist(), description="aligning"):
        id, said = clips.ids[clip], clips.value("transcript", clip)
        waveform = torch.from_numpy(clips.waveform(clip))
        try:
            aligned = model.align(waveform, said.phones.tolist(), said.optional.tolist())
        except ValueError:
            too_short.append(id)
            continue
        truth = [phone.start / rate for phone in clips.value("phones", clip)] or None
        checks.append(check(id, waveform, rate, aligned, shortest, truth))
        stem = stems[clip]
        phones = [(phone.start, phone.end, said.labels[phone.token]) for phone in aligned]
        tiers = {"words": _words(said, aligned), "phones": phones} if said.words else {"phones": phones}
        write_textgrid(stem.with_name(f"{stem.name}.TextGrid"), len(waveform) / rate, tiers)
        of_file = clips.file_rate(clip)
        in_file = [Phone(label, round(start * of_file), round(end * of_file)) for start, end, label in phones]
        write_atomically(stem.with_name(f"{stem.name}.phn"), partial(write_phones, phones=in_file))
    if not checks:
        raise RequestError(f"all {len(too_short)} utterances are too short for their phones")
    found = report(checks) | {"too_short_for_their_phones": too_short}
    write_text(out / _REPORT, json.dumps(found, indent=2) + "\n")
    _tell(found, worst, out)


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


main = verb(align, "align")
