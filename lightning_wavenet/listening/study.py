"""What a listening test is made of: its systems, its sentences, and the audio of each sentence by each system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lightning_wavenet.errors import RequestError
from lightning_wavenet.evaluation.clips import (
    clip_names,
    find_audio,
    find_by_name,
    find_recordings,
    read_description,
    read_texts,
)
from lightning_wavenet.files.audio import clip_stem
from lightning_wavenet.listening.assignment import NATURAL, Design, Kind, Stimulus
from lightning_wavenet.listening.levels import TARGET_LUFS
from lightning_wavenet.models import TTSModel
from lightning_wavenet.models.checkpoint import CHECKPOINT_KEY, load, read

MULAW = "natural-mulaw"
RECORDED = (NATURAL, MULAW)
"""Systems that are the recordings: as they are, and after 8 bits of mu-law."""


@dataclass
class System:
    """Where the speech of a system comes from: a folder, or a checkpoint."""

    clips: Path | None = None
    """Folder of audio, a file a sentence, such as wavenet generate or say wrote."""
    checkpoint: Path | None = None
    """Voice that says the texts, or vocoder that is given the frames of the recordings."""
    speaker: str | None = None
    """Whose voice, of a checkpoint that knows several."""
    temperature: float | None = None
    """Less than 1 is more conservative; by default 1."""
    top_p: float | None = None
    """Keep only the most probable values that together reach this probability."""


@dataclass
class Study:
    """A listening test.

    Raises:
        RequestError: Options that cannot be together.
    """

    systems: dict[str, System | None]
    """By name. "natural" and "natural-mulaw" are the recordings, and need nothing more."""
    kind: Kind = "mos"
    """"mos": one clip at a time, from 1 (bad) to 5 (excellent); "preference": two of the same sentence."""
    recordings: Path | None = None
    """Folder of the recordings; the names of their files are the sentences' ids."""
    texts: Path | None = None
    """Lines "ID|TEXT", such as LJSpeech's metadata.csv; voices say them."""
    sentences: int | list[str] = 100
    """How many are drawn from those that no checkpoint was trained on, or which."""
    seed: int = 0
    """Decides what is drawn, every order and every name; the same gives the same bytes."""
    design: Design = field(default_factory=Design)
    """How often each is rated, and what a listener is given."""
    loudness: float = TARGET_LUFS
    """Of all clips (LUFS); less where the peak of one would pass -1 dBFS."""
    edge_seconds: float = 0.15
    """Silence before and after every clip (s)."""
    title: str = "Listening test"
    """What the page is called."""
    language: str = "English"
    """That a listener is asked for."""
    url: str | None = None
    """Where the folder "public" will be found, for the links that listeners get."""
    post: str | None = None
    """URL that results are sent to, such as that of wavenet listening serve; null: they are downloaded."""

    def __post_init__(self) -> None:
        if not self.systems:
            raise RequestError("name the systems: --systems.NAME.clips FOLDER, or in the study's file")
        for name, system in self.systems.items():
            given = system or System()
            if name.startswith("mnru-") or not name.strip():
                raise RequestError(f"{name!r} cannot be the name of a system")
            if name in RECORDED:
                if given != System():
                    raise RequestError(f"{name} is the recordings: it has no clips or checkpoint of its own")
            elif (given.clips is None) == (given.checkpoint is None):
                raise RequestError(f"systems.{name} needs either clips, a folder, or a checkpoint")
        if self.seed < 0 or self.edge_seconds < 0:
            raise RequestError("seed and edge_seconds must not be negative")
        if isinstance(self.sentences, int) and self.sentences < 1:
            raise RequestError(f"sentences is {self.sentences}, but must be how many, or a list of ids")

    @property
    def clean(self) -> str:
        """The system whose speech is made noisy in trials that check."""
        return NATURAL if NATURAL in self.systems else next(iter(self.systems))


class Sources:
    """The audio of every sentence by every system; that of checkpoints is yet to be generated.

    Args:
        study: The options.
        generated: Folder of the clips that checkpoints make.

    Raises:
        RequestError: Files that are missing, or do not belong together.
    """

    def __init__(self, study: Study, generated: Path) -> None:
        self.study = study
        self.generated = generated
        self.texts = {} if study.texts is None else read_texts(study.texts)
        self.recordings = {} if study.recordings is None else find_recordings(study.recordings)
        self.checkpoints = {
            name: system for name, system in study.systems.items() if system is not None and system.checkpoint
        }
        self.models: dict[str, TTSModel] = {}
        for name, system in self.checkpoints.items():
            assert system.checkpoint is not None
            model = load(system.checkpoint)
            if not isinstance(model, TTSModel):
                raise RequestError(
                    f"systems.{name}: {system.checkpoint} holds a {type(model).__name__}, which says no sentences: "
                    "give the folder of its clips instead"
                )
            self.models[name] = model
        self._clips: dict[str, dict[str, Path]] = {}
        for name, one in study.systems.items():
            if one is not None and one.clips is not None:
                self._clips[name] = self._named(one.clips)
        if any(name in RECORDED for name in study.systems) and not self.recordings:
            raise RequestError(f"{NATURAL} speech needs the recordings: give their folder as recordings")
        self.sentences = self._chosen()

    @cached_property
    def _known(self) -> Mapping[str, Any]:
        """Ids of the sentences there may be."""
        return self.recordings or self.texts

    def _named(self, folder: Path) -> dict[str, Path]:
        """The clips of a folder by sentence."""
        if not folder.is_dir():
            raise RequestError(f"there is no folder {folder}")
        found: dict[str, Path] = {}
        known = self._known or (next(iter(self._clips.values())) if self._clips else {})
        for _, path in find_audio(folder):
            about = read_description(path)
            names = list(clip_names(about, path))
            stem = clip_stem(path.name).name
            sentence = find_by_name(names, {id: id for id in known}) if known else stem
            if sentence is not None:
                if sentence in found:
                    raise RequestError(f"{found[sentence]} and {path} are the same sentence, {sentence}: remove one")
                found[sentence] = path
            if about.get("text") and sentence is not None:
                self.texts.setdefault(sentence, about["text"])
        return found

    def _has(self, name: str) -> set[str]:
        """The sentences of a system."""
        if name in self._clips:
            return set(self._clips[name])
        if name in self.models and self.models[name].speaks_from_text:
            return set(self.texts)
        return set(self.recordings)

    def _chosen(self) -> list[str]:
        study = self.study
        available = {name: self._has(name) for name in study.systems}
        trained = self.trained_on()
        if not isinstance(study.sentences, int):
            for sentence in study.sentences:
                for name, has in available.items():
                    if sentence not in has:
                        raise RequestError(f"{name} has no sentence {sentence}")
                for origin, ids in trained.items():
                    if sentence in ids:
                        raise RequestError(f"{origin} was trained on {sentence}: choose sentences that were held out")
            if len(set(study.sentences)) < len(study.sentences):
                raise RequestError("sentences names one of them twice")
            return list(study.sentences)
        common = set.intersection(*available.values())
        held_out = sorted(common.difference(*trained.values()))
        if len(held_out) < study.sentences:
            raise RequestError(
                f"{study.sentences} sentences were asked for: {len(common)} are there by every system, and of those "
                f"{len(held_out)} are in no checkpoint's training split"
            )
        drawn = np.random.default_rng([study.seed, 1]).choice(len(held_out), study.sentences, replace=False)
        return [held_out[place] for place in sorted(drawn)]

    def trained_on(self) -> dict[str, set[str]]:
        """The ids that each checkpoint was trained on, of the systems' own and of those that made their clips."""
        files: dict[str, Path] = {}
        for system in self.study.systems.values():
            if system is not None and system.checkpoint is not None:
                files[str(system.checkpoint)] = system.checkpoint
        for clips in self._clips.values():
            for path in clips.values():
                origin = read_description(path).get("checkpoint")
                if origin and Path(origin).is_file():
                    files[str(origin)] = Path(origin)
        return {origin: _trained(path) for origin, path in files.items()}

    def path(self, stimulus: Stimulus) -> Path:
        """The audio of a sentence by a system."""
        if stimulus.system in RECORDED:
            return self.recording(stimulus.sentence)
        if stimulus.system in self._clips:
            return self._clips[stimulus.system][stimulus.sentence]
        return self.generated / stimulus.system / f"{stimulus.sentence}.wav"

    def recording(self, sentence: str) -> Path:
        """The recording of a sentence.

        Raises:
            RequestError: There are two.
        """
        found = self.recordings[sentence]
        if len(found) > 1:
            raise RequestError(f"{found[0]} and {found[1]} may both be the recording of {sentence}: rename one of them")
        return found[0]


def _trained(path: Path) -> set[str]:
    saved = read(path).get(CHECKPOINT_KEY) or {}
    ids: Sequence[str] = (saved.get("trained_on") or {}).get("ids") or ()
    return {clip_stem(id).name for id in ids}
