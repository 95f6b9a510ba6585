"""`wavenet say`: a text, spoken."""

# No postponed annotations here: a parser is made of them.
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lightning_wavenet.cli.parsing import verb
from lightning_wavenet.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lightning_wavenet.models.speaking import Speech, Spoken, Timing


def say(
    ckpt: Path,
    /,
    out: Path,
    text: str | None = None,
    speaker: str | None = None,
    rate: float = 1.0,
    pitch: float = 1.0,
    phones: Path | None = None,
    f0: Path | None = None,
    duration_model: Path | None = None,
    f0_model: Path | None = None,
    lexicon: Path | None = None,
    labels: Literal["json", "textgrid"] | None = None,
    seed: int = 0,
    temperature: float | None = None,
    top_p: float | None = None,
    engine: Literal["auto", "eager", "native", "cuda"] = "auto",
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    device: str = "auto",
    overwrite: bool = False,
) -> None:
    """Says a text, or a file of sentences: a 16-bit wav, a spectrogram and a description of each.

    The models of duration and F0 are duration.ckpt and f0.ckpt in the folder of the checkpoint or in its run folder, or
    the best checkpoints of the run folders duration and f0 beside that.

    Args:
        ckpt: A checkpoint of a voice that wavenet fit wrote.
        out: The wav; a folder for a file of sentences.
        text: What to say, or a file with a sentence a line, each of which may begin with its name and "|".
        speaker: Whose voice, of a model that knows several.
        rate: How many times as fast as usual.
        pitch: How many times as high as usual, of a voice that is told its F0.
        phones: A TextGrid or HTS label file that says when each phone is said, in place of the duration model.
        f0: F0 in place of that of the F0 model: a recording, or a .npy file of Hz a frame, 0 where there is no voice.
        duration_model: A checkpoint of the duration model, in place of the one beside the voice.
        f0_model: A checkpoint of the F0 model, likewise.
        lexicon: File of lines "WORD  PH O1 N", as CMUdict has them, whose pronunciations count before its own.
        labels: Write the phones with their times too: NAME.phones.json, or NAME.TextGrid.
        seed: Seed of the first clip; the others count on from it.
        temperature: Less than 1 is more conservative; by default 1, which samples from the model.
        top_p: Keep only the most probable values that together reach this probability; by default 1, which keeps all.
        engine: As of wavenet generate.
        precision: As of wavenet generate.
        device: Where to compute: "cpu", "cuda", "cuda:1", ...; "auto" takes a GPU where there is one.
        overwrite: Replace clips that exist.

    Raises:
        RequestError: The request does not fit the checkpoint, or would overwrite something.
    """
    from lightning_wavenet.cli.clips import make_clips
    from lightning_wavenet.files.atomic import need_distinct, need_folder, refuse_existing
    from lightning_wavenet.files.audio import CLIP_SUFFIXES
    from lightning_wavenet.models import TTSModel
    from lightning_wavenet.models.checkpoint import load
    from lightning_wavenet.models.speaking import Speech, one_speaker
    from lightning_wavenet.models.tts import FramedClip
    from lightning_wavenet.sampling import Sampler
    from lightning_wavenet.text.pronunciation import Lexicon

    if min(rate, pitch) <= 0 or seed < 0:
        raise RequestError(f"rate and pitch must be positive and seed not negative, got {rate:g}, {pitch:g} and {seed}")
    sentences, several = _sentences(text)
    if several and (phones or f0):
        raise RequestError("--phones and --f0 are of one utterance: give its text itself, not a file of sentences")
    stems = [out / id for id in sentences] if several else [out.with_suffix("") if out.suffix == ".wav" else out]
    need_folder(out if several else out.parent)
    suffixes = (*CLIP_SUFFIXES, *(() if labels is None else (_LABELS[labels],)))
    need_distinct((stem.name, stem.with_name(f"{stem.name}.wav")) for stem in stems)
    refuse_existing([stem.with_name(f"{stem.name}{suffix}") for stem in stems for suffix in suffixes], overwrite)

    model = load(ckpt, "cpu" if device == "auto" and engine == "native" else device)
    if not isinstance(model, TTSModel):
        raise RequestError(f"{ckpt} holds a {type(model).__name__}, which does not speak from a text")
    speech = Speech.of(model, duration_model, f0_model)
    choice = one_speaker(model, speaker)
    sampler = Sampler(model.backbone, engine, precision, temperature=temperature, top_p=top_p)
    words = Lexicon.english(lexicon)
    used, sample_rate = sampler.engine, model.vocabulary.sample_rate
    began = time.monotonic()
    hertz = None if f0 is None else _contour(f0, speech)
    utterances = []
    for id, sentence in sentences.items():
        try:
            told = _given(phones, speech, sentence, lexicon) if phones else speech.timing(sentence, rate, words)
            utterances.append(speech.spoken(told, choice.get("speaker", ""), pitch, hertz))
        except RequestError as error:
            raise RequestError(f"{id}: {error}" if several else str(error)) from error
    about = {"rate": rate, "pitch": pitch} | {
        name: str(path) for name, path in (("phones", phones), ("f0", f0)) if path is not None
    }
    clips = [
        FramedClip(stem.name, one.frames, choice, about, sentence)
        for stem, one, sentence in zip(stems, utterances, sentences.values(), strict=True)
    ]
    batch, streams = model.plan_frames(clips, seed)
    prepared = time.monotonic() - began
    described = model.descriptions(batch, streams, sampler)
    made = make_clips(sampler, streams, described, stems, max(1, sample_rate // 10))
    if labels is not None:
        for stem, one, sentence in zip(stems, utterances, sentences.values(), strict=True):
            _write_labels(stem, labels, one, sentence, sample_rate)

    seconds = sum(stream.samples for stream in streams) / sample_rate
    what = f"{len(streams)} sentences" if several else stems[0].with_name(f"{stems[0].name}.wav")
    print(
        f"{what}{f' in {out}' if several else ''}: {seconds:.2f} s at {sample_rate} Hz by the {used.name} engine in "
        f"{used.precision}, RTF {made.rtf + prepared / seconds:.2f} (seconds of compute a second of audio), "
        f"first audio after {prepared + made.arrivals[0]:.2f} s"
    )


_LABELS = {"json": ".phones.json", "textgrid": ".TextGrid"}
_LONGEST_NAME = 255
"""Bytes of a file's name; a longer text is none."""


def _sentences(text: str | None) -> tuple[dict[str, str], bool]:
    """What to say under its name, and whether it is a file of sentences."""
    if text is None or not text.strip():
        raise RequestError("say what is to be said, or a file of sentences, with --text")
    path = Path(text) if len(os.fsencode(text)) <= _LONGEST_NAME else None
    if path is None or not path.is_file():
        return {"speech": text}, False
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is not UTF-8: {error}") from error
    sentences: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, bar, said = line.partition("|")
        id = name.strip() if bar else f"{number:04d}"
        if not id or id in sentences or Path(id).name != id:
            raise RequestError(f"{path}: line {number} has the name {id!r}, which is not a new name of a file")
        sentences[id] = said.rpartition("|")[2].strip() if bar else line
    if not sentences:
        raise RequestError(f"{path} has no sentence in it")
    return sentences, True


def _given(phones: Path, speech: "Speech", text: str, lexicon: Path | None) -> "Timing":
    """When each phone is said, from a file."""
    from datamodules.phone_times import read_alignment
    from lightning_wavenet.text.phones import Phone

    if not phones.is_file():
        raise RequestError(f"there is no file {phones}")
    try:
        said = read_alignment(phones)
    except ValueError as error:
        raise RequestError(f"{phones} cannot be read: {error}") from error
    if said.rate is None:
        raise RequestError(f"{phones} has times in samples of its recording: give a TextGrid or HTS labels instead")
    scale = speech.vocabulary.sample_rate / said.rate
    placed = [Phone(label, round(start * scale), round(end * scale)) for label, start, end in said.phones]
    return speech.timing_of(placed, said.labels, text, lexicon)


def _contour(f0: Path, speech: "Speech") -> "NDArray[np.float64]":
    """F0 of every frame (Hz), from a recording or an array."""
    import numpy as np

    from lightning_wavenet.features import LogF0
    from lightning_wavenet.files.audio import read_audio

    rate = speech.vocabulary.sample_rate
    if f0.suffix != ".npy":
        tracker = speech.log_f0 or LogF0(speech.linguistic.hop)
        return tracker.track(read_audio(f0, rate).numpy(), rate)
    try:
        values = np.load(f0, allow_pickle=False).astype(np.float64)
    except (OSError, ValueError) as error:
        raise RequestError(f"{f0} cannot be read: {error}") from error
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
        raise RequestError(
            f"{f0} must have one F0 (Hz) a frame, 0 where there is none; its shape is {list(values.shape)}"
        )
    return values


def _write_labels(stem: Path, kind: Literal["json", "textgrid"], spoken: "Spoken", text: str, sample_rate: int) -> None:
    from lightning_wavenet.files.atomic import write_text
    from lightning_wavenet.files.textgrid import write_textgrid

    path = stem.with_name(f"{stem.name}{_LABELS[kind]}")
    phones = [(start / sample_rate, end / sample_rate, label) for label, start, end in spoken.phones]
    if kind == "textgrid":
        write_textgrid(path, phones[-1][1], {"phones": phones})
    else:
        rows = [{"phone": label, "start": start, "end": end} for start, end, label in phones]
        write_text(path, json.dumps({"text": text, "phones": rows}, indent=2) + "\n")


main = verb(say, "say")
