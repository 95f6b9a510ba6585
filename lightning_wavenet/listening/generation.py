"""The clips that the checkpoints of a study make: those that an earlier try left are kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch

from lightning_wavenet.errors import RequestError
from lightning_wavenet.listening.study import Sources, System
from lightning_wavenet.models import TTSModel
from lightning_wavenet.models.clip import ClipDescription
from lightning_wavenet.models.speaking import Speech, one_speaker
from lightning_wavenet.models.tts import FramedClip
from lightning_wavenet.sampling import Sampler, Stream
from lightning_wavenet.text.pronunciation import Lexicon


class Pending(NamedTuple):
    """Clips that are to be generated, as `cli.clips.make_clips` takes them."""

    sampler: Sampler
    streams: Sequence[Stream]
    about: Sequence[ClipDescription]
    stems: Sequence[Path]


def pending(sources: Sources, name: str, devices: Sequence[torch.device]) -> list[Pending]:
    """What is left to generate of a system's sentences, dealt out to devices.

    Args:
        sources: Of the study.
        name: Of a system that is a checkpoint.
        devices: As many parts there are, where there are as many clips.

    Raises:
        RequestError: A text cannot be said, or a voice lacks its models of durations and F0.
    """
    model, system = sources.models[name], sources.checkpoints[name]
    try:
        clips = _framed(sources, model, system)
        sampler = _sampler(model.to(devices[0]), system)
    except RequestError as error:
        raise RequestError(f"systems.{name}: {error}") from error
    batch, streams = model.plan_frames(clips, sources.study.seed)
    about = model.descriptions(batch, streams, sampler)
    stems = [sources.generated / name / clip.id for clip in clips]
    left = [place for place, one in enumerate(about) if not _made(stems[place], one)]
    # The longest first, so that all devices end at about the same time.
    left.sort(key=lambda place: -streams[place].samples)
    parts = []
    for number, device in enumerate(devices[: len(left)]):
        own = left[number :: len(devices)]
        one = sampler if number == 0 else _sampler(deepcopy(model).to(device), system)
        parts.append(
            Pending(
                one, [streams[place] for place in own], [about[place] for place in own], [stems[place] for place in own]
            )
        )
    return parts


def _sampler(model: TTSModel, system: System) -> Sampler:
    return Sampler(model.backbone, temperature=system.temperature, top_p=system.top_p)


def _framed(sources: Sources, model: TTSModel, system: System) -> list[FramedClip]:
    choice = one_speaker(model, system.speaker)
    speaker = choice.get("speaker", "")
    if not model.speaks_from_text:
        recordings = {sentence: sources.recording(sentence) for sentence in sources.sentences}
        return [
            FramedClip(
                sentence,
                model.frames(path, speaker),
                choice,
                {"frames_from": str(path)},
                sources.texts.get(sentence, ""),
            )
            for sentence, path in recordings.items()
        ]
    speech, words = Speech.of(model, None, None), Lexicon.english(None)
    clips = []
    for sentence in sources.sentences:
        text = sources.texts[sentence]
        try:
            spoken = speech.spoken(speech.timing(text, 1.0, words), speaker, 1.0, None)
        except RequestError as error:
            raise RequestError(f"{sentence}: {error}") from error
        clips.append(FramedClip(sentence, spoken.frames, choice, {}, text))
    return clips


def _made(stem: Path, about: ClipDescription) -> bool:
    """Whether a clip is there that was made in the same way."""
    wav, description = (stem.with_name(f"{stem.name}{suffix}") for suffix in (".wav", ".json"))
    if not (wav.is_file() and description.is_file()):
        return False
    there = json.loads(description.read_text("utf-8"))
    same = json.loads(json.dumps(asdict(about)))
    return all(there.get(key) == value for key, value in same.items() if key != "rtf")
