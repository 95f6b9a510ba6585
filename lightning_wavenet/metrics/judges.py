"""Judges from outside: how clean speech sounds (DNSMOS), whose voice it is (Resemblyzer), what is said (PocketSphinx).

All are small models that others trained on other data and that come within their packages (the extra `judges`); they
read 16 kHz. What they say of a clip stands in for listeners, whom it does not replace.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchaudio.functional import resample

from lightning_wavenet.errors import RequestError

SAMPLE_RATE = 16_000
"""That the judges read (Hz)."""
SHORTEST = 0.25
"""Of speech without its pauses, below which a voice is judged with them (s)."""
INSTALL = 'pip install "lightning-wavenet[judges]" && pip install --no-deps "resemblyzer>=0.1.4"'


class Quality(NamedTuple):
    """DNSMOS P.835 of a clip, 1 to 5 each (arXiv 2110.01763)."""

    overall: float
    signal: float
    background: float


def quality(waveform: Tensor, sample_rate: int) -> Quality:
    """How clean a clip `[T]` sounds; a short one is judged as it sounds repeated for nine seconds.

    Raises:
        RequestError: The judge is not installed.
    """
    found = _package("speechmos.dnsmos").run(_at_16_khz(waveform, sample_rate), SAMPLE_RATE)
    return Quality(*(float(found[name]) for name in ("ovrl_mos", "sig_mos", "bak_mos")))


def voice(waveform: Tensor, sample_rate: int) -> Tensor:
    """The voice of a clip `[T]` without its long pauses, as a vector `[256]` of length 1 (arXiv 1710.10467).

    Raises:
        RequestError: The judge is not installed.
    """
    judge = _package("resemblyzer")
    wave = _at_16_khz(waveform, sample_rate)
    speech = judge.preprocess_wav(wave, SAMPLE_RATE) if wave.any() else wave
    if len(speech) < SHORTEST * SAMPLE_RATE:
        speech = wave
    return torch.from_numpy(_encoder(judge).embed_utterance(speech))


def spoken_words(waveform: Tensor, sample_rate: int) -> list[str]:
    """The English words that PocketSphinx understands of a clip `[T]`, in small letters.

    A clip is normalized by itself; those that were recognized before it have no influence.

    Raises:
        RequestError: The judge is not installed.
    """
    samples = (_at_16_khz(waveform, sample_rate) * 32_767).astype("<i2")
    recognizer = _recognizer(_package("pocketsphinx"))
    recognizer.reinit_feat()  # Otherwise a little of the last clip stays in the filters.
    recognizer.start_utt()
    recognizer.process_raw(samples.tobytes(), full_utt=True)
    recognizer.end_utt()
    found = recognizer.hyp()
    return [] if found is None else found.hypstr.lower().split()


def nearest(voice: Tensor, voices: Mapping[str, Sequence[Tensor]]) -> str:
    """Which speaker a voice is nearest to: the largest cosine with the mean of a speaker's voices.

    Args:
        voice: `[256]`.
        voices: Those of each speaker's recordings; the voice itself does not count among them.
    """
    means = {
        name: torch.stack([one for one in known if one is not voice]).mean(0)
        for name, known in voices.items()
        if any(one is not voice for one in known)
    }
    return max(means, key=lambda name: float(torch.cosine_similarity(means[name], voice, dim=0)))


def _at_16_khz(waveform: Tensor, sample_rate: int) -> NDArray[np.float32]:
    wave = waveform.float() if sample_rate == SAMPLE_RATE else resample(waveform.float(), sample_rate, SAMPLE_RATE)
    samples: NDArray[np.float32] = wave.clamp(-1, 1).numpy()
    return samples


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise RequestError(f"the judges are not installed ({error.name}): {INSTALL}") from error


@lru_cache(maxsize=1)
def _encoder(judge: Any) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):  # It tells where it was loaded to.
        return judge.VoiceEncoder("cpu", verbose=False)


@lru_cache(maxsize=1)
def _recognizer(judge: Any) -> Any:
    return judge.Decoder(samprate=SAMPLE_RATE, cmn="batch", loglevel="FATAL")
