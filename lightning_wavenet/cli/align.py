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
    from lightning_wavenet.models import PhoneRecognizer, TimedPhone
    from lightning_wavenet.models.hidden_markov import HiddenMarkovAligner

_REPORT = "report.json"
_SUFFIXES = (".TextGrid", ".phn")


def align(
    ckpt: Path | None = None,
    /,
    *,
    data: "AudioDataModule",
    out: Path,
    split: Literal["all", "train", "validation", "test"] = "all",
    worst: int = 10,
    device: str = "auto",
    overwrite: bool = False,
) -> None:
    """Writes when each phone of a corpus is said: a TextGrid and a .phn of every utterance, and a report.

    The phones are those that the corpus has, or else those of its texts. Without a checkpoint their sounds are learned
    from the corpus itself, which takes seconds. What was written can be trained on (data.alignments).

    Args:
        ckpt: A checkpoint of a recognizer that wavenet fit wrote, to align by it.
        data: The corpus.
        out: Folder for ID.TextGrid (phones, and words of a text), ID.phn (samples of the recording) and report.json,
            which has the least certain utterances first.
        split: Which utterances.
        worst: How many of the least certain are listed.
        device: Where a recognizer computes: "cpu", "cuda", "cuda:1", ...; "auto" takes a GPU where there is one.
        overwrite: Replace alignments that exist.

    Raises:
        RequestError: The request cannot be done as asked.
    """
    import numpy as np

    from datamodules.records import SPLITS
    from lightning_wavenet.files.atomic import need_distinct, need_folder, refuse_existing
    from lightning_wavenet.files.audio import clip_stem

    need_folder(out)
    refuse_existing([out / _REPORT], overwrite)
    if data.audio.trim_silence_db is not None:
        raise RequestError("times are those of whole recordings: set data.audio.trim_silence_db to null")
    recognizer = _recognizer(ckpt, device) if ckpt else None
    data.prepare_data()
    data.setup()
    _connect(data, recognizer)
    ids = data.clips.ids
    chosen = np.sort(np.concatenate([data.clips_of(name) for name in SPLITS if split in ("all", name)])).tolist()
    if not chosen:
        raise RequestError(f"there is nothing to align: no utterance of split {split!r} has phones or a text")
    stems = {clip: out / clip_stem(ids[clip]) for clip in chosen}
    need_distinct((ids[clip], stem.with_name(f"{stem.name}.TextGrid")) for clip, stem in stems.items())
    refuse_existing([stem.with_name(stem.name + end) for stem in stems.values() for end in _SUFFIXES], overwrite)
    _tell(_aligned(data, stems, recognizer or _hidden_markov(data), out), worst, out)


def _recognizer(ckpt: Path, device: str) -> "PhoneRecognizer":
    from lightning_wavenet.models import PhoneRecognizer
    from lightning_wavenet.models.checkpoint import load

    model = load(ckpt, device)
    if not isinstance(model, PhoneRecognizer):
        raise RequestError(f"{ckpt} holds a {type(model).__name__}, which recognizes no phones")
    return model


def _connect(data: "AudioDataModule", recognizer: "PhoneRecognizer | None") -> None:
    """Asks the corpus for what is aligned."""
    from lightning_wavenet.data.batch import Request

    if recognizer is None:
        data.connect(Request(frozenset({"phones", "transcript"}), whole_clips=True))
        return
    data.connect(recognizer.request)
    recognizer.vocabulary.must_match(data.vocabulary, recognizer.request.fields, "the corpus")


def _hidden_markov(data: "AudioDataModule") -> "HiddenMarkovAligner":
    """Learned from the whole corpus, whichever split is aligned."""
    import numpy as np
    import torch
    from rich.progress import track

    from datamodules.records import SPLITS
    from lightning_wavenet.models.hidden_markov import ROUNDS, HiddenMarkovAligner, Recording

    clips = data.clips

    def read(clip: int) -> torch.Tensor:
        return torch.from_numpy(clips.waveform(clip))

    known = np.sort(np.concatenate([data.clips_of(name) for name in SPLITS]))
    recordings = [
        Recording(
            partial(read, clip),
            int(clips.lengths[clip]),
            clips.value("speaker", clip),
            *(torch.from_numpy(part) for part in clips.value("transcript", clip)[:2]),
        )
        for clip in known.tolist()
    ]
    aligner = HiddenMarkovAligner(data.vocabulary)
    for _ in track(aligner.learn(recordings), description="learning phones", total=ROUNDS):
        pass
    return aligner


def _aligned(
    data: "AudioDataModule", stems: dict[int, Path], aligner: "PhoneRecognizer | HiddenMarkovAligner", out: Path
) -> dict[str, Any]:
    """Writes the alignments of some clips, and the report, which it gives."""
    import torch
    from rich.progress import track

    from datamodules.phone_times import write_phones
    from lightning_wavenet.files.atomic import write_atomically, write_text
    from lightning_wavenet.files.textgrid import write_textgrid
    from lightning_wavenet.models.plausibility import check, report
    from lightning_wavenet.text.phones import Phone

    clips, rate = data.clips, data.audio.sample_rate
    checks, too_short = [], []
    for clip, stem in track(stems.items(), description="aligning"):
        id, said = clips.ids[clip], clips.value("transcript", clip)
        waveform = torch.from_numpy(clips.waveform(clip))
        try:
            times = aligner.align(waveform, said.phones.tolist(), said.optional.tolist(), clips.value("speaker", clip))
        except ValueError:
            too_short.append(id)
            continue
        truth = [phone.start / rate for phone in clips.value("phones", clip)] or None
        checks.append(check(id, waveform, rate, times, aligner.shortest * aligner.hop / rate, truth))
        phones = [(phone.start, phone.end, said.labels[phone.token]) for phone in times]
        tiers = {"words": _words(said, times), "phones": phones} if said.words else {"phones": phones}
        write_textgrid(stem.with_name(f"{stem.name}.TextGrid"), len(waveform) / rate, tiers)
        of_file = clips.file_rate(clip)
        in_file = [Phone(label, round(start * of_file), round(end * of_file)) for start, end, label in phones]
        write_atomically(stem.with_name(f"{stem.name}.phn"), partial(write_phones, phones=in_file))
    if not checks:
        raise RequestError(f"all {len(too_short)} utterances are too short for their phones")
    found = report(checks) | {"too_short_for_their_phones": too_short}
    write_text(out / _REPORT, json.dumps(found, indent=2) + "\n")
    return found


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
