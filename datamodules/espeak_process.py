"""The program that speaks: the only one that loads espeak-ng, which is licensed under the GPL-3.0.

`datamodules.espeak` starts it by its path and talks to it over pipes. A request is one line of JSON on stdin:

    {"text": "Good morning.", "voice": "en-us+f1", "pitch": 50, "pitch_range": 50, "rate": 175}

An answer is one line of JSON on stdout, `{"sample_rate": 22050, "samples": N, "events": [["g", 0], ["U", 1024], ...]}`
with the first sample of every phone, followed by N samples of PCM16; or the line `{"error": "what is wrong"}`.

It imports nothing of the project, whose import would take longer than the speech. The names and numbers are those of
espeak's speak_lib.h.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

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
