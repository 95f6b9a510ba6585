"""The figures of one clip: what each is computed of, and what it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchaudio.functional import resample

from lightning_wavenet.backbone.distributions import MuLawSoftmax
from lightning_wavenet.errors import RequestError
from lightning_wavenet.features.f0 import LogF0
from lightning_wavenet.files.audio import read_audio
from lightning_wavenet.files.reading import DecodingError, read_mono
from lightning_wavenet.metrics import judges
from lightning_wavenet.metrics.cepstral import Cepstra, distances_db, mel_cepstra
from lightning_wavenet.metrics.intelligibility import misread_letters, misread_phones, misread_words
from lightning_wavenet.metrics.prosody import pitch_errors
from lightning_wavenet.metrics.warping import warp
from lightning_wavenet.models import PhoneRecognizer
from lightning_wavenet.text import words
from lightning_wavenet.text.structure import structure
from lightning_wavenet.text.symbols import arpabet

FRAME_SECONDS = 0.005
EQUAL_SECONDS = 0.025
"""Clips whose lengths differ by no more are compared frame by frame too: a vocoder's ends with its last frame."""


@dataclass(frozen=True, eq=False)
class Sound:
    """Audio, and what is found in it once for all comparisons.

    Attributes:
        waveform: float32 `[T]` in [-1, 1].
        rate: In Hz.
    """

    waveform: Tensor
    rate: int

    @classmethod
    def read(cls, path: Path, rate: int | None = None) -> Sound:
        """A file at a rate (Hz), by default its own.

        Raises:
            RequestError: It cannot be read.
        """
        if rate is not None:
            return cls(read_audio(path, rate), rate)
        try:
            wave, rate = read_mono(path)
        except DecodingError as error:
            raise RequestError(f"{path} cannot be used: {error}") from error
        return cls(torch.from_numpy(wave), rate)

    @property
    def seconds(self) -> float:
        """Length (s)."""
        return len(self.waveform) / self.rate

    @property
    def hop(self) -> int:
        """Samples a frame of 5 ms."""
        return max(1, round(FRAME_SECONDS * self.rate))

    @cached_property
    def coded(self) -> Sound:
        """What is left of it after 8 bits of mu-law, all that a net of this output could ever say."""
        codec = MuLawSoftmax()
        return Sound(codec.decode(codec.encode(self.waveform)), self.rate)

    @cached_property
    def cepstra(self) -> Cepstra:
        """Of its frames."""
        return mel_cepstra(self.waveform, self.rate, self.hop)

    @cached_property
    def f0(self) -> NDArray[np.float64]:
        """Of its frames (Hz), 0 where there is none."""
        return LogF0(self.hop).track(self.waveform.numpy(), self.rate)

    @cached_property
    def words(self) -> list[str]:
        """That a recognizer understands."""
        return judges.spoken_words(self.waveform, self.rate)

    @cached_property
    def quality(self) -> judges.Quality:
        """That a judge gives it."""
        return judges.quality(self.waveform, self.rate)

    @cached_property
    def voice(self) -> Tensor:
        """As a vector `[256]`."""
        return judges.voice(self.waveform, self.rate)


class Pairs(NamedTuple):
    """Two sounds frame by frame: P pairs of frames that belong together."""

    own: NDArray[np.int64]
    """Of the one, `[P]`."""
    others: NDArray[np.int64]
    """Of the other, `[P]`."""
    distances: NDArray[np.float32]
    """Between them (dB), `[P]`."""
    sounding: NDArray[np.bool_]
    """Where the other is not silent, `[P]`."""

    @classmethod
    def warped(cls, sound: Sound, other: Sound) -> Pairs:
        """Along the cheapest way through both."""
        matrix = distances_db(sound.cepstra.coefficients, other.cepstra.coefficients).numpy()
        own, others = warp(matrix)
        return cls(own, others, matrix[own, others], other.cepstra.sounding.numpy()[others])

    @classmethod
    def in_step(cls, sound: Sound, other: Sound) -> Pairs:
        """The first with the first, and so on until one of both ends."""
        places = np.arange(min(len(sound.cepstra.level_db), len(other.cepstra.level_db)))
        here, there = (one.cepstra.coefficients[: len(places), None] for one in (sound, other))
        distances = distances_db(here, there).flatten().numpy()
        return cls(places, places, distances, other.cepstra.sounding.numpy()[places])

    @property
    def distance(self) -> float:
        """Mean over the pairs in which the other is not silent (dB)."""
        return float(self.distances[self.sounding].mean())


@dataclass(frozen=True, eq=False)
class Case:
    """A sound, and what it is compared with.

    Attributes:
        sound: At the rate of all others.
        reference: The recording of the same sentence; None where there is none, or where it is the sound itself.
        other: The recording of another sentence.
        text: What is to be said.
        other_text: What is said in another sentence.
        rtf: Seconds of compute a second of audio.
    """

    sound: Sound
    reference: Sound | None = None
    other: Sound | None = None
    text: str | None = None
    other_text: str | None = None
    rtf: float | None = None

    @cached_property
    def warped(self) -> Pairs | None:
        """Frames of sound and reference."""
        return None if self.reference is None else Pairs.warped(self.sound, self.reference)

    @cached_property
    def in_step(self) -> Pairs | None:
        """The same without warping; None where they are not equally long."""
        if self.reference is None or abs(self.sound.seconds - self.reference.seconds) > EQUAL_SECONDS:
            return None
        return Pairs.in_step(self.sound, self.reference)


class Value(NamedTuple):
    """A figure of one clip, with its weight in the mean over clips."""

    value: float
    weight: float = 1.0


Values = dict[str, Value]
"""By the names of `TITLES`; what cannot be said of a clip is not in it."""


def spectrum(case: Case) -> Values:
    """How far the spectra are from the reference's, and from those of another sentence."""
    found = {}
    if case.warped is not None:
        found["mcd_db"] = Value(case.warped.distance)
    if case.in_step is not None:
        found["mcd_in_step_db"] = Value(case.in_step.distance)
    if case.other is not None:
        found["mcd_of_other_db"] = Value(Pairs.warped(case.sound, case.other).distance)
    return found


def pitch(case: Case) -> Values:
    """How far F0 is from the reference's, frame by frame where they are equally long, along the warping elsewhere."""
    pairs = case.in_step or case.warped
    if case.reference is None or pairs is None:
        return {}
    errors = pitch_errors(case.sound.f0[pairs.own], case.reference.f0[pairs.others])
    named = {
        "f0_rmse_hz": errors.rmse_hz,
        "f0_correlation": errors.correlation,
        "voicing_wrong_percent": errors.voicing_percent,
    }
    return {name: Value(value) for name, value in named.items() if value is not None}


def duration(case: Case) -> Values:
    """How long it is beside the reference, and how long it took."""
    found = {} if case.rtf is None else {"rtf": Value(case.rtf)}
    if case.reference is not None:
        found["duration_ratio"] = Value(case.sound.seconds / case.reference.seconds)
        found["duration_difference_s"] = Value(case.sound.seconds - case.reference.seconds)
    return found


def intelligibility(case: Case) -> Values:
    """Words and letters that a recognizer gets wrong, against the text and against another one.

    Raises:
        RequestError: There is no text, or none that can be read; the judge or the extra `text` is not installed.
    """
    found = {}
    for text, which in ((needed_text(case), ""), (case.other_text, "of_other_")):
        if text is None:
            continue
        said = [word for word in words(text) if not word.startswith("{")]  # Phones by hand have no letters.
        if said:
            for unit, misread in (("words", misread_words), ("letters", misread_letters)):
                wrong = misread(case.sound.words, said)
                found[f"{unit}_{which}wrong_percent"] = Value(wrong.percent, wrong.of)
    return found


def needed_text(case: Case) -> str:
    """What is to be said.

    Raises:
        RequestError: That is not known.
    """
    if case.text is None:
        raise RequestError("the clip has no text: give --texts")
    return case.text


def quality(case: Case) -> Values:
    """How clean it sounds."""
    return {f"dnsmos_{name}": Value(score) for name, score in case.sound.quality._asdict().items()}


def voice(case: Case) -> Values:
    """How near its voice is to the reference's."""
    if case.reference is None:
        return {}
    return {"voice_cosine": Value(float(torch.dot(case.sound.voice, case.reference.voice)))}


class Phones:
    """Phones that a recognizer of one's own gets wrong, against those that the text is pronounced with.

    Silences and closures are left out of both, and two pairs count as one phone each, as with TIMIT's 39 phones.

    Args:
        recognizer: Which knows ARPAbet, or TIMIT's phones.

    Raises:
        RequestError: It knows others.
    """

    def __init__(self, recognizer: PhoneRecognizer) -> None:
        if others := [phone for phone in recognizer.vocabulary.phones if arpabet(phone) is None]:
            raise RequestError(f"the recognizer has phones that are no ARPAbet, such as {others[0]}: give another")
        self.recognizer = recognizer

    def __call__(self, case: Case) -> Values:
        """Against the text and against another one.

        Raises:
            RequestError: There is no text; the extra `text` is not installed.
        """
        texts = {"": needed_text(case), "of_other_": case.other_text}
        waveform, rate = case.sound.waveform, self.recognizer.vocabulary.sample_rate
        if rate != case.sound.rate:
            waveform = resample(waveform, case.sound.rate, rate)
        recognized = [phone.label for phone in self.recognizer.recognize(waveform)]
        found = {}
        for which, text in texts.items():
            if text is not None:
                wrong = misread_phones(recognized, [segment.label for segment in structure(text).segments])
                found[f"phones_{which}wrong_percent"] = Value(wrong.percent, wrong.of)
        return found


Measure = Callable[[Case], Values]
MEASURES: Mapping[str, Measure] = {
    "spectrum": spectrum,
    "pitch": pitch,
    "duration": duration,
    "words": intelligibility,
    "quality": quality,
    "voice": voice,
}
"""The last three are judges from outside."""


class Title(NamedTuple):
    """What a figure is called in a table, and its digits after the point."""

    text: str
    digits: int


TITLES: Mapping[str, Title] = {
    "mcd_db": Title("mel-cepstral distortion (dB)", 2),
    "mcd_in_step_db": Title("  frame by frame", 2),
    "mcd_of_other_db": Title("  of another sentence", 2),
    "f0_rmse_hz": Title("F0, RMSE (Hz)", 1),
    "f0_correlation": Title("  correlation", 3),
    "voicing_wrong_percent": Title("V/UV wrong (%)", 1),
    "duration_ratio": Title("duration, ratio", 3),
    "duration_difference_s": Title("  difference (s)", 2),
    "rtf": Title("RTF", 2),
    "words_wrong_percent": Title("words wrong (%)", 1),
    "words_of_other_wrong_percent": Title("  of another sentence", 1),
    "letters_wrong_percent": Title("letters wrong (%)", 1),
    "letters_of_other_wrong_percent": Title("  of another sentence", 1),
    "phones_wrong_percent": Title("phones wrong (%)", 1),
    "phones_of_other_wrong_percent": Title("  of another sentence", 1),
    "dnsmos_overall": Title("DNSMOS, overall", 2),
    "dnsmos_signal": Title("  signal", 2),
    "dnsmos_background": Title("  background", 2),
    "voice_cosine": Title("voice, cosine", 3),
}
"""By name, in the order of the table."""
