"""From a text to the frames that a voice speaks it from (section 3.2): phones, durations, log F0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.features import Extractor, Linguistic, LogF0, Utterance, rebuild
from lightning_wavenet.features.linguistic import Timed
from lightning_wavenet.models.checkpoint import load
from lightning_wavenet.models.model import Model
from lightning_wavenet.models.prosody import DurationPredictor, LogF0Predictor
from lightning_wavenet.models.tts import FramedClip, TTSModel
from lightning_wavenet.text.matching import Mismatch
from lightning_wavenet.text.phones import Phone
from lightning_wavenet.text.pronunciation import Lexicon
from lightning_wavenet.text.structure import Place, Structure, structure

_OF_RUN = (Path("checkpoints", "best.ckpt"), Path("checkpoints", "last.ckpt"))
"""The checkpoint of a run: the best, or the last where there was no validation."""


class Timing(NamedTuple):
    """What is said in an utterance and when; given, or made of a text by a duration model."""

    timed: Timed
    length: int
    """Of the audio (samples)."""


class Spoken(NamedTuple):
    """An utterance, ready to be spoken."""

    phones: list[Phone]
    """In samples."""
    frames: Tensor
    """`[F, N]`."""
    f0: NDArray[np.float64] | None
    """F0 in Hz, `[N]`, 0 where there is none; None for a voice that is not told its F0."""


class Speech:
    """Makes the frames of a voice out of texts.

    Args:
        vocabulary: Of the voice: its rate, and the features that it speaks from.
        durations: Tells how long phones last; None: utterances come with their times.
        f0: Tells log F0; None: utterances come with their F0, or the voice is not told any.

    Raises:
        RequestError: The voice does not speak from what is said, or the models of prosody are not made for its frames.
    """

    def __init__(
        self, vocabulary: Vocabulary, durations: DurationPredictor | None = None, f0: LogF0Predictor | None = None
    ) -> None:
        self.vocabulary = vocabulary
        self.extractors: list[Extractor] = [rebuild(described) for described in vocabulary.features]
        found = [one for one in self.extractors if isinstance(one, Linguistic)]
        if not found or not all(isinstance(one, Linguistic | LogF0) for one in self.extractors):
            names = " and ".join(extractor.name for extractor in self.extractors)
            raise RequestError(
                f"this model speaks from {names} frames, not from a text: say wavenet generate --frames_from"
            )
        self.linguistic = found[0]
        self.log_f0 = next((one for one in self.extractors if isinstance(one, LogF0)), None)
        for model in (durations, f0):
            if model is not None:
                _must_fit(model, vocabulary)
        self.durations = durations
        self.f0 = f0

    @classmethod
    def of(
        cls,
        model: TTSModel,
        duration_model: str | Path | DurationPredictor | None = None,
        f0_model: str | Path | LogF0Predictor | None = None,
    ) -> Speech:
        """Of a voice with its models of prosody, those beside its checkpoint where none is given.

        Raises:
            RequestError: As above.
        """
        durations = find_prosody(DurationPredictor, duration_model, model)
        told = any(feature["name"] == LogF0.name for feature in model.vocabulary.features)
        return cls(model.vocabulary, durations, find_prosody(LogF0Predictor, f0_model, model) if told else None)

    def timing(self, text: str, rate: float = 1.0, lexicon: Lexicon | None = None) -> Timing:
        """When each phone of a text is said; pauses are where its phrases meet.

        Args:
            text: English.
            rate: How many times as fast as usual.
            lexicon: How words are said; None: the CMU Pronouncing Dictionary.

        Raises:
            RequestError: There is nothing to say in it, or there is no duration model.
        """
        if self.durations is None:
            raise RequestError("there is no duration model: say which with --duration_model, or give --phones")
        said = at_phrases(structure(text, lexicon))
        hop = self.linguistic.hop
        once = len(said.segments) * hop  # Of which nothing is asked but what does not depend on durations.
        contexts = self.linguistic.frames(self.linguistic.spoken(said, [hop] * len(said.segments)), once)
        contexts = contexts[: self.linguistic.context_channels].T
        frames = self.durations.predict(torch.from_numpy(np.ascontiguousarray(contexts))).double() / rate
        # Ends are rounded, so that errors do not add up.
        durations = frames.cumsum(0).round().diff(prepend=frames.new_zeros(1)).clamp(min=1).long() * hop
        timed = self.linguistic.spoken(said, durations.tolist())
        return Timing(timed, int(durations.sum()))

    def timing_of(self, alignment: Sequence[Phone], labels: Sequence[str], text: str, lexicon: Path | None) -> Timing:
        """When each phone is said, as an alignment has it.

        Args:
            alignment: Phones in samples, in order.
            labels: A full-context label for each, or none.
            text: Whose words they are, where there are no such labels.
            lexicon: The user's pronunciations of its words.

        Raises:
            RequestError: The alignment is not that of the text.
        """
        length = alignment[-1].end
        silence = np.zeros(length, np.float32)
        utterance = Utterance(silence, self.vocabulary.sample_rate, alignment, text, labels, lexicon)
        try:
            return Timing(self.linguistic.timed(utterance), length)
        except Mismatch as error:
            raise RequestError(str(error)) from error

    def spoken(
        self,
        timing: Timing,
        speaker: str = "",
        pitch: float = 1.0,
        hertz: NDArray[np.floating[Any]] | None = None,
    ) -> Spoken:
        """The frames of an utterance.

        Args:
            timing: What is said when.
            speaker: Who says it; empty where the voice knows none.
            pitch: How many times as high as usual F0 is.
            hertz: F0 of every frame (Hz), 0 where there is none, `[N]`; None: that of the F0 model.

        Raises:
            RequestError: The voice is told its F0, and there is neither that nor a model; or it is not of this length.
        """
        hop = self.linguistic.hop
        linguistic = self.linguistic.frames(*timing)
        count = linguistic.shape[1]
        frames, track = {self.linguistic.name: linguistic}, None
        if self.log_f0 is not None:
            track = pitch * (self._told(linguistic, speaker) if hertz is None else _of_length(hertz, count))
            frames[self.log_f0.name] = self.log_f0.expand(self.log_f0.keep(track), 0, count, speaker)
        elif pitch != 1.0 or hertz is not None:
            raise RequestError("this model is not told its F0, only what is said: leave out --pitch and --f0")
        starts = [0, *timing.timed.ends[:-1].tolist()]
        labels = [str(context["p3"]) for context in timing.timed.contexts]
        ends = [*timing.timed.ends[:-1].tolist(), timing.length]
        phones = [Phone(label, start, end) for label, start, end in zip(labels, starts, ends, strict=True)]
        made = np.concatenate([frames[extractor.name] for extractor in self.extractors])
        assert made.shape[1] == -(-timing.length // hop)
        return Spoken(phones, torch.from_numpy(made), track)

    def _told(self, linguistic: NDArray[np.float32], speaker: str) -> NDArray[np.float64]:
        """F0 by the model (Hz)."""
        if self.f0 is None:
            raise RequestError("there is no F0 model: say which with --f0_model, or give --f0")
        told = self.f0.generate(torch.from_numpy(linguistic)[None], torch.tensor([linguistic.shape[1]]))[0]
        return self.f0.extractors[1].hertz(told.cpu().numpy(), speaker)


def at_phrases(said: Structure) -> Structure:
    """An utterance with silences at its ends and between its phrases alone."""
    places = [segment.place for segment in said.segments]
    silences = [at for at, place in enumerate(places) if place is None and 0 < at < len(places) - 1]
    within = [at for at in silences if _phrase(places[at - 1]) == _phrase(places[at + 1])]
    return said.without(within)


def _phrase(place: Place | None) -> int | None:
    return None if place is None else place.phrase


def _of_length(hertz: NDArray[np.floating[Any]], count: int) -> NDArray[np.float64]:
    """F0 of as many frames as an utterance has; one more or less is rounding."""
    if hertz.ndim != 1 or abs(len(hertz) - count) > 1:
        raise RequestError(
            f"F0 has the shape {list(hertz.shape)}, and the utterance {count:,} frames: give as many values"
        )
    return np.pad(np.asarray(hertz, np.float64), (0, 1), mode="edge")[:count]


def _must_fit(model: DurationPredictor | LogF0Predictor, voice: Vocabulary) -> None:
    """Refuses a model of prosody that was made for other frames than those of a voice."""
    kind = "duration" if isinstance(model, DurationPredictor) else "F0"
    name = f"the {kind} model" + (f" {model.checkpoint}" if model.checkpoint else "")
    ours, theirs = (_linguistic(vocabulary) for vocabulary in (voice, model.vocabulary))
    rates = voice.sample_rate, model.vocabulary.sample_rate
    if (ours["init_args"]["hop"], rates[0]) != (theirs["init_args"]["hop"], rates[1]):
        raise RequestError(
            f"{name} is for frames of {theirs['init_args']['hop']} samples at {rates[1]} Hz, and the voice has "
            f"{ours['init_args']['hop']} at {rates[0]} Hz: train it on the voice's features"
        )
    phones = [list(one["fitted"]["phones"]) for one in (ours, theirs)]
    if phones[0] != phones[1]:
        some = ", ".join(sorted(set(phones[0]) ^ set(phones[1]))[:5])
        raise RequestError(f"only one of {name} and the voice knows {some}: train it on the voice's phones")
    if ours["version"] != theirs["version"]:
        raise RequestError(f"{name} was trained on features of another version: train it again")


def _linguistic(vocabulary: Vocabulary) -> Mapping[str, Any]:
    """What a vocabulary says of its linguistic features."""
    return next(feature for feature in vocabulary.features if feature["name"] == Linguistic.name)


def speak(
    model: TTSModel,
    text: str,
    id: str = "speech",
    speaker: str | None = None,
    rate: float = 1.0,
    pitch: float = 1.0,
    duration_model: str | Path | DurationPredictor | None = None,
    f0_model: str | Path | LogF0Predictor | None = None,
) -> FramedClip:
    """A text as a clip that is to be generated.

    Args:
        model: The voice.
        text: English.
        id: Name of the clip.
        speaker: Whose voice, of a model that knows several.
        rate: How many times as fast as usual.
        pitch: How many times as high as usual.
        duration_model: Or its checkpoint; None: the one beside the model's.
        f0_model: Or its checkpoint; None: the one beside the model's, of a model that is told F0.

    Raises:
        RequestError: The model does not speak from a text, or lacks its models of prosody.
    """
    speech = Speech.of(model, duration_model, f0_model)
    choice = one_speaker(model, speaker)
    spoken = speech.spoken(speech.timing(text, rate), choice.get("speaker", ""), pitch)
    return FramedClip(id, spoken.frames, choice, {"rate": rate, "pitch": pitch}, text)


def one_speaker(model: TTSModel, speaker: str | None) -> dict[str, str]:
    """The conditions of a clip by one speaker.

    Raises:
        RequestError: The model knows several, or not the one.
    """
    choices = model.choices({} if speaker is None else {"speaker": speaker})
    if len(choices) > 1:
        names = [choice["speaker"] for choice in choices]
        raise RequestError(f"say with --speaker which of {len(names)} speakers: {', '.join(names[:10])}")
    return choices[0]


_M = TypeVar("_M", DurationPredictor, LogF0Predictor)


def find_prosody(kind: type[_M], given: str | Path | _M | None, voice: TTSModel) -> _M | None:
    """The duration or F0 model that was given, or else the one beside a voice; None where there is none.

    Beside a voice RUN/checkpoints/NAME.ckpt are duration.ckpt in the same folder or in RUN, and the best checkpoint of
    the run folder duration next to RUN; f0 likewise. Beside a voice elsewhere is what lies in its folder.

    Args:
        kind: Which of them.
        given: The model, or its checkpoint.
        voice: Which it is for.

    Raises:
        RequestError: The checkpoint holds something else.
    """
    if isinstance(given, kind):
        return given
    name = "duration" if kind is DurationPredictor else "f0"
    path = next((one for one in _beside(voice.checkpoint, name) if one.is_file()), None)
    if isinstance(given, str | Path):
        path = Path(given)
    if path is None:
        return None
    model: Model = load(path, voice.device)
    if not isinstance(model, kind):
        raise RequestError(
            f"{path} holds a {type(model).__name__}: give a checkpoint of the {name} model (--{name}_model)"
        )
    return model


def _beside(voice: Path | None, name: str) -> Sequence[Path]:
    if voice is None:
        return []
    folder = voice.resolve().parent
    found = [folder / f"{name}.ckpt"]
    if folder.name == "checkpoints":
        found += [folder.parent / f"{name}.ckpt", *(folder.parent.parent / name / own for own in _OF_RUN)]
    return found
