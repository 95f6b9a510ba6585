"""espeak-ng in a process of its own: text in, speech out, with the sample at which every phone begins and ends.

espeak-ng is licensed under the GPL-3.0, so no process of this project loads it. `Espeak` starts this file as a program
(`python -m datamodules.espeak` runs it too), which alone loads the library and its data from the `espeakng-loader`
wheel, and talks to it over pipes. A request is one line of JSON on stdin:

    {"text": "Good morning.", "voice": "en-us+f1", "pitch": 50, "pitch_range": 50, "rate": 175}

An answer is one line of JSON on stdout, `{"sample_rate": 22050, "samples": N, "events": [["g", 0], ["U", 1024], ...]}`
with the first sample of every phone, followed by N samples of PCM16; or the line `{"error": "what is wrong"}`.

espeak's slow drift of pitch runs on from one utterance to the next, so what it says depends on what it has said
before. A new process that is given the same requests in the same order gives the same samples.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

PAUSE = "_"
"""Label of a pause, and of the silence before and after an utterance."""

_CLOSURE = 100
"""Samples (4.5 ms) of zeros that make a silence; espeak's own silences are longer, its sounds hold no such run."""

_GLIDES, _GLIDE = ("l", "r"), 0.4
"""Phones that can be but the end of a vowel, and what part of the vowel that is."""


class Phone(NamedTuple):
    """A phone and where it stands in the audio."""

    label: str
    """espeak's mnemonic without its stress mark, such as `tS` or `oU`; `PAUSE` for silence."""
    start: int
    """First sample."""
    end: int
    """One past the last sample: where the next phone starts."""


class Utterance(NamedTuple):
    """A spoken text with its phones, which follow each other without a gap from sample 0 to the last."""

    samples: npt.NDArray[np.int16]
    """`[T]`."""
    sample_rate: int
    """Hz."""
    phones: list[Phone]


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
            raise _request_error(
                'synthetic speech needs espeak-ng, which is not installed: pip install "lightning-wavenet[synthetic]"'
            )
        # By its path, not as a module of the package, whose import would take longer than the speech; -P keeps the
        # package's own folder off the module path.
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
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
            raise _request_error(f"espeak-ng ended (exit code {self._process.wait()}) at: {text}") from None
        if "error" in answer:
            raise _request_error(f"espeak-ng: {answer['error']}")
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


def _request_error(message: str) -> Exception:
    # Imported where it is needed: the process that speaks starts without the project.
    from lightning_wavenet.errors import RequestError

    return RequestError(message)


# From here on: the process that speaks. The names and numbers are those of espeak's speak_lib.h.

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_PHONEME_EVENTS, _INITIALIZE_DONT_EXIT = 0x0001, 0x8000
_CHARS_UTF8, _ENDPAUSE = 1, 0x1000
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_EVENT_LIST_TERMINATED, _EVENT_PHONEME = 0, 7
_HALF_VOLUME = 50
"""Percent. At full volume several voices overload, and espeak clips them."""


class _Id(ctypes.Union):
    # The label is an array in the union, zero-terminated unless it fills it, not a pointer to a string.
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_void_p), ("string", ctypes.c_uint8 * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


class _Library:
    """espeak-ng, loaded into this process."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.sample_rate = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS,
            0,
            espeakng_loader.get_data_path().encode(),
            _INITIALIZE_PHONEME_EVENTS | _INITIALIZE_DONT_EXIT,
        )
        if self.sample_rate <= 0:
            raise OSError(f"espeak-ng found no voices in {espeakng_loader.get_data_path()}")
        self._pcm = bytearray()
        self._events: list[tuple[str, int]] = []
        self._callback = _Callback(self._receive)  # Kept: ctypes frees a callback that nothing refers to.
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: int | None, count: int, events: Any) -> int:
        if samples:
            self._pcm += ctypes.string_at(samples, 2 * count)
        for event in events:
            if event.type == _EVENT_LIST_TERMINATED:
                break
            if event.type == _EVENT_PHONEME:
                label = bytes(event.id.string).partition(b"\0")[0].decode()
                self._events.append((label, event.sample))
        return 0

    def say(
        self, text: str, voice: str, pitch: int, pitch_range: int, rate: int
    ) -> tuple[bytes, list[tuple[str, int]]]:
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"unknown voice {voice!r}")
        for parameter, value in ((_RATE, rate), (_VOLUME, _HALF_VOLUME), (_PITCH, pitch), (_RANGE, pitch_range)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._pcm.clear()
        self._events.clear()
        encoded = text.encode()
        flags = _CHARS_UTF8 | _ENDPAUSE
        self._library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded) + 1), 0, 1, 0, flags, None, None)
        if not any(self._pcm):
            raise ValueError(f"nothing to say in {text!r}")
        return bytes(self._pcm), list(self._events)


def _serve() -> None:
    library = _Library()
    header: dict[str, Any]
    for line in sys.stdin:
        try:
            pcm, events = library.say(**json.loads(line))
        except ValueError as error:
            pcm, header = b"", {"error": str(error)}
        else:
            header = {"sample_rate": library.sample_rate, "samples": len(pcm) // 2, "events": events}
        sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + pcm)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _serve()
