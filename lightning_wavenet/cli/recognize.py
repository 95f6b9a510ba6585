"""`wavenet recognize`: the phones of recordings, with times."""

# No postponed annotations here: a parser is made of them.
import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lightning_wavenet.cli.parsing import verb

if TYPE_CHECKING:
    from lightning_wavenet.models import TimedPhone

Form = Literal["text", "json", "textgrid"]
_SUFFIXES: dict[Form, str] = {"text": ".txt", "json": ".json", "textgrid": ".TextGrid"}


def recognize(
    ckpt: Path,
    files: list[Path],
    /,
    form: Form = "text",
    out: Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> None:
    """Recognizes the phones of recordings, with times, and prints them or writes a file a recording.

    Args:
        ckpt: A checkpoint of a recognizer that wavenet fit wrote.
        files: Recordings of any length and rate: wav, flac, ogg or mp3.
        form: "text" has a line a phone (start and end in seconds, phone), "json" an object a recording, "textgrid" is
            Praat's.
        out: Folder for one file a recording; by default everything is printed, which "textgrid" is not for.
        device: Where to compute: "cpu", "cuda", "cuda:1", ...; "auto" takes a GPU where there is one.
        overwrite: Replace files that exist.

    Raises:
        RequestError: The request cannot be done as asked.
    """
    from lightning_wavenet.errors import RequestError
    from lightning_wavenet.files.atomic import need_distinct, need_folder, refuse_existing, write_text
    from lightning_wavenet.files.audio import read_audio
    from lightning_wavenet.files.reading import printable
    from lightning_wavenet.files.textgrid import write_textgrid
    from lightning_wavenet.models import PhoneRecognizer
    from lightning_wavenet.models.checkpoint import load

    if out is None and form == "textgrid":
        raise RequestError("a TextGrid is a file: give a folder as --out")
    targets = [out / f"{file.stem}{_SUFFIXES[form]}" if out is not None else None for file in files]
    if out is not None:
        need_folder(out)
        need_distinct((str(file), target) for file, target in zip(files, targets, strict=True) if target is not None)
        refuse_existing([target for target in targets if target is not None], overwrite)
    model = load(ckpt, device)
    if not isinstance(model, PhoneRecognizer):
        raise RequestError(f"{ckpt} holds a {type(model).__name__}, which recognizes no phones")
    rate = model.vocabulary.sample_rate
    for file, target in zip(files, targets, strict=True):
        waveform = read_audio(file, rate)
        seconds = len(waveform) / rate
        phones = model.recognize(waveform)
        if form == "textgrid":
            assert target is not None
            tier = [(phone.start, phone.end, phone.label) for phone in phones]
            write_textgrid(target, seconds, {"phones": tier})
            continue
        told = _as_text(phones) if form == "text" else _as_json(file, seconds, phones)
        if target is not None:
            write_text(target, told)
        else:
            # With several recordings, the lines of each follow its name.
            print(f"{printable(file)}\n{told}" if form == "text" and len(files) > 1 else told, end="", flush=True)
    if out is not None:
        print(f"phones of {len(files)} recordings in {out}")


def _as_text(phones: "list[TimedPhone]") -> str:
    return "".join(f"{phone.start:.2f} {phone.end:.2f} {phone.label}\n" for phone in phones)


def _as_json(file: Path, seconds: float, phones: "list[TimedPhone]") -> str:
    said = [
        {
            "phone": phone.label,
            "start": round(phone.start, 3),
            "end": round(phone.end, 3),
            "score": round(phone.score, 4),
        }
        for phone in phones
    ]
    return json.dumps({"file": str(file), "seconds": round(seconds, 3), "phones": said}) + "\n"


main = verb(recognize, "recognize")
