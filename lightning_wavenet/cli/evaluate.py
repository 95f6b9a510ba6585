"""`wavenet evaluate`: how good clips are, beside the recordings of the same sentences."""

# No postponed annotations here: a parser is made of them.
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lightning_wavenet.cli.parsing import verb

if TYPE_CHECKING:
    from lightning_wavenet.evaluation.report import Report
    from lightning_wavenet.metrics.statistics import Mean

Judge = Literal["words", "quality", "voice", "none"]


def evaluate(
    clips: Path,
    /,
    recordings: Path | None = None,
    texts: Path | None = None,
    judges: Sequence[Judge] = ("words", "quality", "voice"),
    recognizer: Path | None = None,
    out: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Tells how far clips are from the recordings of the same sentences, and what judges from outside say of them.

    Mel-cepstral distortion, F0, duration; words that PocketSphinx gets wrong, DNSMOS, Resemblyzer's cosine of voices.
    Each is beside the same of the recordings, before and after 8 bits of mu-law, with a 95 % interval over clips.

    Args:
        clips: Folder that wavenet generate, say or predict wrote, or any folder of audio.
        recordings: Folder of the recordings; a clip's own has the name of what its frames were made of, its id or its
            file, or one that this continues after "_". Without it only judges speak.
        texts: Lines "ID|TEXT", such as LJSpeech's metadata.csv, for clips whose descriptions have no text.
        judges: Which: "words" are counted by PocketSphinx, "quality" is DNSMOS, "voice" Resemblyzer; or "none".
        recognizer: Checkpoint of a recognizer of ARPAbet or TIMIT's phones, trained on recordings of the same corpus:
            counts the phones that are wrong.
        out: Write every clip's figures and the means here too, as JSON.
        overwrite: Replace that file if it exists.

    Raises:
        RequestError: The folders are not what they should be, or the file exists.
    """
    from rich.console import Console
    from rich.progress import track

    from lightning_wavenet.errors import RequestError
    from lightning_wavenet.evaluation.clips import find_clips
    from lightning_wavenet.evaluation.figures import MEASURES, Phones
    from lightning_wavenet.evaluation.report import Report
    from lightning_wavenet.evaluation.report import evaluate as evaluated
    from lightning_wavenet.files.atomic import need_folder, refuse_existing, write_text
    from lightning_wavenet.models import PhoneRecognizer
    from lightning_wavenet.models.checkpoint import load

    if out is not None:
        need_folder(out.parent)
        if out.is_dir():
            raise RequestError(f"{out} is a folder: give a file as --out")
        refuse_existing([out], overwrite)
    given = find_clips(clips, recordings, texts)
    measures = {
        name: measure for name, measure in MEASURES.items() if name in ("spectrum", "pitch", "duration", *judges)
    }
    if recognizer is not None:
        model = load(recognizer)
        if not isinstance(model, PhoneRecognizer):
            raise RequestError(f"{recognizer} holds a {type(model).__name__}, which recognizes no phones")
        measures["phones"] = Phones(model)
    bar = track(evaluated(given, measures), "clips", len(given), transient=True, disable=not Console().is_terminal)
    report = Report(list(bar))
    _tell(report)
    if out is not None:
        write_text(out, json.dumps(report.plain(), indent=2) + "\n")
        print(f"every clip's figures are in {out}")


def _tell(report: "Report") -> None:
    from rich.console import Console
    from rich.table import Table

    from lightning_wavenet.evaluation.figures import TITLES
    from lightning_wavenet.evaluation.report import COLUMNS

    count, own = len(report.clips), sum(one.clip.recording is not None for one in report.clips)
    table = Table(title=f"{count} clips, {own} with a recording", title_justify="left", box=None, pad_edge=False)
    table.add_column("mean ± half of its 95 % interval")
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for name, means in report.means().items():
        title = TITLES[name]
        table.add_row(title.text, *(_shown(means.get(column), title.digits) for column in COLUMNS))
    Console().print(table)
    if (follows := report.follows()) is not None:
        print(
            f"{follows.nearer} of {follows.clips} clips are nearer to the recording of their own sentence than of "
            f"another, by {follows.by_db:.2f} dB in the mean (p = {follows.p:.2g}, signs flipped)"
        )
    for reason, clips in report.left_out().items():
        print(f"left out ({clips} of {count} clips): {reason}")


def _shown(mean: "Mean | None", digits: int) -> str:
    if mean is None:
        return "-"
    if mean.low is None or mean.high is None:
        return f"{mean.mean:.{digits}f}"
    return f"{mean.mean:.{digits}f} ± {(mean.high - mean.low) / 2:.{digits}f}"


main = verb(evaluate, "evaluate")
