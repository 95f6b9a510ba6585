"""espeak-ng in a process of its own: text in, speech out, with the sample at which every phone begins and ends.

espeak-ng is licensed under the GPL-3.0, so no process of this project loads it: `Espeak` starts a program
(`datamodules/espeak_process.py`), which alone loads the library and its data from the `espeakng-loader` wheel.

espeak's slow drift of pitch runs on from one utterance to the next, so what it says depends on what it has said
before. A new process that is given the same requests in the same order gives the same samples.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lightning_wavenet.errors import RequestError
from lightning_wavenet.text.phones import Phone

PAUSE = "_"
"""Label of a pause, and of the silence before and after an utterance."""

_CLOSURE = 100
"""Samples (4.5 ms) of zeros that make a silence; espeak's own silences are longer, its sounds hold no such run."""

_GLIDES, _GLIDE = ("l", "r"), 0.4
"""Phones that can be but the end of a vowel, and what part of the vowel that is."""


class Utterance(NamedTuple):
    """A spoken text with its phones, which follow each other without a gap from sample 0 to the last."""

    samples: npt.NDArray[np.int16]
    """`[T]`."""
    sample_rate: int
    """Hz."""
    phones: list[Phone]
    """Labels are espeak's mnemonics without stress marks, such as `tS` or `oU`; `PAUSE` for silence."""


@dataclass(frozen=True)
class Voice:
    """How espeak is to speak.

    Attributes:
        voice: A language and, after a plus, a variant of the speaker, such as `en-us+f1`.
        pitch: Pitch of the voice from 0 (low) to 99 (high).
        pitch_range: Range of its intonation from 0 (monotonous) to 99 (lively).
        rate: Words a minute, 80 to 350.
    """

    voice: str
    pitch: int = 50
    pitch_range: int = 50
    rate: int = 175


class Espeak:
    """One espeak process. Use it in a `with` statement; it is fast enough to keep for any number of utterances.

    Raises:
        RequestError: The wheel that carries espeak-ng is not installed.
    """

    def __init__(self) -> None:
        if find_spec("espeakng_loader") is None:
            raise RequestError(
                'synthetic speech needs espeak-ng, which is not installed: pip install "lightning-wavenet[synthetic]"'
            )
        # By its path, not as a module of the package, which would be imported; -P keeps its folder off the module path.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("espeak_process.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Espeak:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def say(self, text: str, voice: Voice) -> Utterance:
        """Speak a text.

        Raises:
            RequestError: espeak does not know the voice, has nothing to say, or has died.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps({"text": text, **asdict(voice)}).encode() + b"\n")
            stdin.flush()
            answer: dict[str, Any] = json.loads(stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            raise RequestError(f"espeak-ng ended (exit code {self._process.wait()}) at: {text}") from None
        if "error" in answer:
            raise RequestError(f"espeak-ng: {answer['error']}")
        samples = np.frombuffer(stdout.read(2 * answer["samples"]), np.int16)
        return Utterance(samples, answer["sample_rate"], phones_of(samples, answer["events"]))


def phones_of(samples: npt.NDArray[np.int16], events: list[tuple[str, int]]) -> list[Phone]:
    """The phones of an utterance, without a gap from its first sample to its last.

    An event stands where the sound of a phone begins; silence that espeak puts before it is left to the phone before.
    Here such a silence, the closure of a stop, is part of the phone that it precedes, as in a phonetician's labels, or
    of the pause if one precedes or follows. An l after a vowel and before no other vowel (and an r in Scotland) has no
    sound of its own in espeak: it is a glide at the end of the vowel. It gets the last two fifths of the vowel's
    samples, the one boundary here that is a convention: "bell" is longer than "bed" by about as much.

    Args:
        samples: The audio, `[T]`.
        events: Label and first sample of every phone, in order.
    """
    phones: list[Phone] = []
    position = 0  # End of the last phone's sound.
    ends = [start for _, start in events] + [len(samples)]
    for (label, start), end in zip([(PAUSE, 0), *events], ends, strict=True):
        label = PAUSE if label.startswith("_") else label.lstrip("',%=")
        sounding = np.flatnonzero(samples[start:end])
        host = phones[-1] if phones else Phone(PAUSE, 0, 0)
        if label in _GLIDES and not len(sounding) and host.label != PAUSE:
            middle = host.end - round(_GLIDE * (host.end - host.start))
            phones[-1:] = [host._replace(end=middle), Phone(label, middle, host.end)]
            continue
        if label == host.label == PAUSE and phones:
            position = phones.pop().start
        elif label != PAUSE and len(sounding) and end - start - sounding[-1] > _CLOSURE:
            end = start + int(sounding[-1]) + 1
        if end > position:
            phones.append(Phone(label, position, end))
            position = end
    return [*phones[:-1], phones[-1]._replace(end=len(samples))]
