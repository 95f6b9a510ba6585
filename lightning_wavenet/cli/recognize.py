"""`wavenet recognize`: the phones of recordings, with times."""

# No postponed annotations here: to resolve those, jsonargparse would import all that is below TYPE_CHECKING.
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser

from lightning_wavenet.cli.parsing import PARSER, add_overwrite

if TYPE_CHECKING:
    from lightning_wavenet.transcription import TimedPhone

Form = Literal["text", "json", "textgrid"]
_SUFFIXES: dict[Form, str] = {"text": ".txt", "json": ".json", "textgrid": ".TextGrid"}


def main(arguments: list[str]) -> None:
    """Parses the options and recognises."""
    parser = ArgumentParser(
        prog="wavenet recognize",
        description="Writes the phones of recordings, with times, as a trained recogniser hears them.",
        **PARSER,
    )
    parser.add_argument("checkpoint", type=Path, help="a checkpoint of a recogniser that wavenet fit wrote")
    parser.add_argument("files", type=Path, nargs="+", help="recordings of any length and rate: wav, flac, ogg or mp3")
    parser.add_function_arguments(recognize, skip={"checkpoint", "files", "overwrite"})
    add_overwrite(parser, "replace files that exist")
    recognize(**vars(parser.parse_args(arguments)))


def recognize(
    checkpoint: Path,
    files: list[Path],
    form: Form = "text",
    out: Path | None = None,
    device: str = "cpu",
    overwrite: bool = False,
) -> None:
    """Recognises the phones of recordings, and prints them or writes a file a recording.

    Args:
        checkpoint: A checkpoint of a recogniser that wavenet fit wrote.
        files: Recordings of any length and rate.
        form: "text" has a line a phone (start and end in seconds, phone), "json" an object a recording, "textgrid" is
            Praat's.
        out: Folder for one file a recording; by default everything is printed, which "textgrid" is not for.
        device: Where to compute: "cpu", "cuda", "cuda:1", ...
        overwrite: Whether files that exist may be replaced.

    Raises:
        RequestError: The request cannot be done as asked.
    """
    from lightning_wavenet.audio import read_audio
    from lightning_wavenet.errors import RequestError
    from lightning_wavenet.files import write_whole
    from lightning_wavenet.textgrid import write_textgrid
    from lightning_wavenet.transcription import Recognizer

    if out is None and form == "textgrid":
        raise RequestError("a TextGrid is a file: give a folder as --out")
    if out is not None and out.exists() and not out.is_dir():
        raise RequestError(f"{out} is a file; --out takes a folder")
    targets = [out / f"{file.stem}{_SUFFIXES[form]}" if out is not None else None for file in files]
    if out is not None and len(set(targets)) < len(files):
        raise RequestError("two of the recordings have the same name, so that one would replace the other's phones")
    for target in targets:
        if target is not None and target.exists() and not overwrite:
            raise RequestError(f"{target} exists: choose another --out, or say --overwrite")
    recognizer = Recognizer.from_checkpoint(checkpoint, device)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    for file, target in zip(files, targets, strict=True):
        waveform = read_audio(file, recognizer.vocabulary.sample_rate)
        seconds = len(waveform) / recognizer.vocabulary.sample_rate
        phones = recognizer.recognize(waveform)
        if form == "textgrid":
            assert target is not None
            tier = [(phone.start, phone.end, phone.label) for phone in phones]
            write_textgrid(target, seconds, {"phones": tier})
            continue
        told = _as_text(phones) if form == "text" else _as_json(file, seconds, phones)
        if target is not None:
            write_whole(target, partial(_write_text, text=told))
        else:
            # With several recordings, the lines of each follow its name.
            print(f"{file}\n{told}" if form == "text" and len(files) > 1 else told, end="", flush=True)
    if out is not None:
        print(f"phones of {len(files)} recordings in {out}")


def _write_text(path: Path, text: str) -> None:
    path.write_text(text)


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
