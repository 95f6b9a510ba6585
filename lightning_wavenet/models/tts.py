"""Text to speech and vocoding (section 3.2): audio from frames, of one voice or of many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lightning_wavenet.backbone import Conditions, WaveNet
from lightning_wavenet.data.batch import Batch
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.features import FRAME_SUFFIXES, Extractor, MelSpectrogram, Unusable, Utterance, rebuild
from lightning_wavenet.files.audio import read_audio
from lightning_wavenet.models.clip import Clip
from lightning_wavenet.models.generation import GenerativeModel, Plan, check_amounts
from lightning_wavenet.models.model import Names
from lightning_wavenet.models.voices import Voices
from lightning_wavenet.sampling import Sampler
from lightning_wavenet.sampling.sampler import EngineName, Precision


class FramedClip(NamedTuple):
    """A clip that is to be generated from frames."""

    id: str
    frames: Tensor
    """`[F, N]`."""
    choice: Mapping[str, str]
    """Other conditions by name."""
    about: Mapping[str, Any]
    """What the frames were made of, for the description."""
    text: str = ""
    """What is said."""


class TTSModel(GenerativeModel):
    """p(x | h) of section 2.5 with a local condition h of frames, and a speaker where the backbone has global channels.

    The frames are the features of the vocabulary, one after another: linguistic ones, the paper's (L); those and log F0
    (L+F); or a mel spectrogram, which makes a vocoder.

    Args:
        backbone: The net, with an upsampling of these frames.
        vocabulary: Describes the features, and names the speakers.
        embedding: As `SpeakerModel`, of a backbone with global channels.
    """

    def __init__(self, backbone: WaveNet, vocabulary: Vocabulary, embedding: bool = False) -> None:
        super().__init__(backbone, vocabulary)
        upsampling = backbone.upsampling
        if upsampling is None:
            raise ValueError("the model gives its backbone frames, which it takes none of: set its upsampling")
        if upsampling.hop != vocabulary.hop:
            raise ValueError(
                f"the net takes frames of {upsampling.hop} samples, and data.features have a hop of "
                f"{vocabulary.hop}: set model.upsampling to as many, or data.features"
            )
        if upsampling.frame_channels != vocabulary.frame_channels:
            raise ValueError(
                f"the net takes frames of {upsampling.frame_channels} channels, and the features have "
                f"{vocabulary.frame_channels}"
            )
        self.embedding = embedding
        self.voices = Voices(vocabulary, backbone.global_channels, embedding) if backbone.global_channels else None

    @property
    def fields(self) -> frozenset[str]:
        """The speaker, where the model knows some."""
        return frozenset() if self.voices is None else frozenset({"speaker"})

    @cached_property
    def extractors(self) -> Sequence[Extractor]:
        """What makes its frames, with what was fitted to the corpus that it was trained on."""
        return [rebuild(described) for described in self.vocabulary.features]

    @property
    def speaks_from_text(self) -> bool:
        """Whether its frames are made of a text, and not of a recording."""
        return bool(self._told)

    @property
    def _told(self) -> list[str]:
        """Names of the features that are not those of a recording alone."""
        return [extractor.name for extractor in self.extractors if extractor.reads]

    def condition(self, batch: Batch) -> Conditions:
        """Frames, and the speaker where the model knows some."""
        if batch.frames is None:
            raise RequestError("the model is conditioned on frames, and the batch has none")
        dtype = next(self.parameters()).dtype
        return Conditions(
            None if self.voices is None else self.voices(batch).to(dtype),
            batch.frames.to(dtype),
        )

    def choices(self, given: Mapping[str, str]) -> list[dict[str, str]]:
        """One a speaker: those of `given["speaker"]`, joined by commas, or all that the model knows."""
        if self.voices is None:
            return super().choices(given)
        super().choices({name: value for name, value in given.items() if name != "speaker"})
        return self.voices.choices(given)

    def batch(self, choices: Sequence[Mapping[str, str]], waveform: Tensor) -> Batch:
        """As `GenerativeModel.batch`, with speakers where the model knows some."""
        batch = super().batch(choices, waveform)
        return batch if self.voices is None else batch._replace(speaker=self.voices.indices(choices).to(self.device))

    def names(self, batch: Batch, row: int) -> dict[str, Any]:
        """The speaker's name, and what the frames were made of where that is not the clip itself."""
        names = {} if self.voices is None else {"speaker": self.voices.name(batch, row)}
        about = (batch.others or {}).get("about")
        return names if about is None else names | about[row]

    def named_axes(self) -> Mapping[str, tuple[Names, ...]]:
        """As `SpeakerModel`."""
        return {} if self.voices is None else self.voices.named_axes("voices")

    def frames(self, source: str | Path | Tensor, speaker: str = "") -> Tensor:
        """Frames `[F, N]` of a recording, or those that a text-to-speech front end made for a model of mel frames.

        Args:
            source: A recording, as a file or `[T]` at the model's rate; or a .npy or .pt of mel frames (`read_mel`).
            speaker: Who speaks; empty where that is not known.

        Raises:
            RequestError: The features are not those of a recording alone, or it cannot be read; or mel frames are not
                what the model was trained on.
        """
        rate, hop = self.vocabulary.sample_rate, self.vocabulary.hop
        if self._told:
            raise RequestError(f"{self._told[0]} frames are made of a text, not of a recording: say wavenet say")
        if not isinstance(source, Tensor) and Path(source).suffix.lower() in FRAME_SUFFIXES:
            return self._mel_frames(Path(source), speaker)
        assert hop is not None
        waveform = (source if isinstance(source, Tensor) else read_audio(source, rate)).cpu().numpy()
        utterance = Utterance(np.asarray(waveform, np.float32), rate, (), "")
        count = -(-len(waveform) // hop)
        parts = [one.expand(one.extract(utterance), 0, count, speaker) for one in self.extractors]
        return torch.from_numpy(np.concatenate(parts))

    def _mel_frames(self, path: Path, speaker: str) -> Tensor:
        mel = self.extractors[0]
        if len(self.extractors) > 1 or not isinstance(mel, MelSpectrogram):
            names = " and ".join(extractor.name for extractor in self.extractors)
            raise RequestError(f"{path} holds mel frames, and the model is conditioned on {names}: give recordings")
        if not path.is_file():
            raise RequestError(f"there is no file {path}")
        try:
            frames = mel.read(path)
        except Unusable as error:
            raise RequestError(f"{path} cannot be used: {error}") from error
        return torch.from_numpy(mel.expand(frames, 0, frames.shape[1], speaker))

    def plan(
        self,
        seconds: float | None = None,
        num: int = 1,
        seed: int = 0,
        prime: str | Path | Tensor | None = None,
        frames_from: Sequence[str | Path | Tensor] = (),
        guidance: float | None = None,
        **given: str,
    ) -> Plan:
        """As `GenerativeModel.plan`: for each source of frames `num` clips under each choice, as long as the frames.

        Args:
            seconds: Length of each at most (s); None: as long as the frames.
            num: How many, of each.
            seed: Of the first clip; the others count on from it.
            prime: Recording to continue; frames begin with it.
            frames_from: Recordings whose frames the clips are generated from, or files of mel frames.
            guidance: None; frames cannot be left out.
            given: Conditions by name, such as speaker="p225".

        Raises:
            RequestError: The model cannot do that.
        """
        check_amounts(seconds, num, seed)
        if guidance not in (None, 1.0):
            self.unconditioned()  # Of which there is none, as it says.
        if not frames_from:
            made_of = " and ".join(extractor.name for extractor in self.extractors)
            how = "say wavenet say" if self._told else "say of which recordings with --frames_from"
            raise RequestError(f"this model speaks from frames ({made_of}): {how}")
        clips = []
        for place, source in enumerate(frames_from):
            origin = f"frames_{place:03d}" if isinstance(source, Tensor) else str(source)
            for choice in self.choices(given):
                frames = self.frames(source, choice.get("speaker", ""))
                name = "_".join([Path(origin).stem, *choice.values()])
                ids = [f"{name}_{number:03d}" for number in range(num)] if num > 1 else [name]
                clips += [FramedClip(id, frames, choice, {"frames_from": origin}) for id in ids]
        return self.plan_frames(clips, seed, seconds, prime)

    def plan_frames(
        self,
        clips: Sequence[FramedClip],
        seed: int = 0,
        seconds: float | None = None,
        prime: str | Path | Tensor | None = None,
    ) -> Plan:
        """Clips to generate from frames.

        Args:
            clips: What of.
            seed: Of the first clip; the others count on from it.
            seconds: Length of each at most (s); None: as long as the frames.
            prime: Recording that all continue; the frames begin with it.

        Raises:
            RequestError: The prime is not shorter than the frames.
        """
        rate, hop = self.vocabulary.sample_rate, self.vocabulary.hop
        assert hop is not None
        recording = self.recording(prime)
        if any(clip.frames.shape[1] * hop <= len(recording) for clip in clips):
            raise RequestError("the recording to be continued is as long as the frames: give a shorter prime")
        batch = self.batch([clip.choice for clip in clips], recording.expand(len(clips), -1))
        batch = batch._replace(
            ids=[clip.id for clip in clips],
            frames=pad_sequence([clip.frames.T for clip in clips], batch_first=True).mT.to(self.device),
            text=[clip.text for clip in clips],
            others={"about": [clip.about for clip in clips]},
        )
        most = math.inf if seconds is None else max(1, round(seconds * rate))
        samples = [int(min(most, clip.frames.shape[1] * hop - len(recording))) for clip in clips]
        return Plan(batch, self.streams(batch, samples, range(seed, seed + len(clips)), len(recording)))

    def say(
        self,
        text: str,
        *,
        seed: int = 0,
        temperature: float | None = None,
        top_p: float | None = None,
        engine: EngineName = "auto",
        precision: Precision = "auto",
        **options: Any,
    ) -> Clip:
        """Says a text.

        Args:
            text: English.
            seed: Of the clip.
            temperature: As `GenerativeModel.generate`.
            top_p: As `GenerativeModel.generate`.
            engine: As `Sampler`.
            precision: As `Sampler`.
            options: speaker, rate, pitch, duration_model and f0_model, as those of `speaking.speak`.

        Raises:
            RequestError: The model does not speak from a text, or lacks its models of prosody; or this machine cannot
                do that.
        """
        sampler = Sampler(self.backbone, engine, precision, temperature=temperature, top_p=top_p)
        plan = self._plan_text(text, seed, **options)
        (about,) = self.descriptions(plan.batch, plan.streams, sampler)
        return Clip(sampler.generate(plan.streams)[0], about)

    def say_in_chunks(
        self,
        text: str,
        *,
        chunk_seconds: float = 0.1,
        seed: int = 0,
        temperature: float | None = None,
        top_p: float | None = None,
        engine: EngineName = "auto",
        precision: Precision = "auto",
        **options: Any,
    ) -> Iterator[Tensor]:
        """Says a text, float32 `[samples]` at a time as they are drawn; together they are what `say` gives.

        Args:
            text: English.
            chunk_seconds: Length of a chunk (s); the last may be shorter.
            seed: Of the clip.
            temperature: As `GenerativeModel.generate`.
            top_p: As `GenerativeModel.generate`.
            engine: As `Sampler`.
            precision: As `Sampler`.
            options: As `say`.

        Raises:
            RequestError: As `say`.
        """
        sampler = Sampler(self.backbone, engine, precision, temperature=temperature, top_p=top_p)
        plan = self._plan_text(text, seed, **options)
        chunk = max(1, round(chunk_seconds * self.vocabulary.sample_rate))
        return (chunks[0] for chunks in sampler.stream(plan.streams, chunk))

    def _plan_text(self, text: str, seed: int, **options: Any) -> Plan:
        from lightning_wavenet.models.speaking import speak  # Which loads models, of which this is one.

        return self.plan_frames([speak(self, text, **options)], seed)
