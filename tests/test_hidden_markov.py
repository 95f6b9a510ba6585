"""Phones found without any times, in speech whose times are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.sentences import sentences
from datamodules.synthetic import SPEAKERS, Clip, speech
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.features.cepstra import cepstra
from lightning_wavenet.models.hidden_markov import HiddenMarkovAligner, Recording
from lightning_wavenet.text.phones import Phone

RATE = 16_000


def recorded(clip: Clip) -> Tensor:
    return torch.from_numpy(clip.samples.astype(np.float32) / 32768)


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    """Two voices, of which one is ten times as loud."""
    made = []
    for speaker, loudness in zip(SPEAKERS[:2], (1.0, 0.1), strict=True):
        for clip in speech(speaker, sentences(30, seed=1), RATE):
            made.append(clip._replace(samples=(clip.samples * loudness).astype(np.int16), text=speaker.name))
    return made


@pytest.fixture(scope="module")
def names(clips: list[Clip]) -> list[str]:
    return sorted({phone.label for clip in clips for phone in clip.phones})


def with_pauses(phones: list[Phone], every: int) -> tuple[list[str], list[bool]]:
    """The phones as a text would give them: pauses may be left out, and may be where there are none."""
    labels, optional = [], []
    for place, phone in enumerate(phones):
        before = labels[-1] if labels else "_"
        if place % every == 0 and "_" not in (phone.label, before):
            labels.append("_")
            optional.append(True)
        labels.append(phone.label)
        optional.append(phone.label == "_")
    return labels, optional


@pytest.fixture(scope="module")
def aligner(clips: list[Clip], names: list[str]) -> HiddenMarkovAligner:
    found = HiddenMarkovAligner(Vocabulary(RATE, phones=tuple(names)))
    recordings = []
    for clip in clips:
        labels, optional = with_pauses(clip.phones, every=5)
        phones = torch.tensor([names.index(label) for label in labels])
        recordings.append(
            Recording(lambda clip=clip: recorded(clip), len(clip.samples), clip.text, phones, torch.tensor(optional))
        )
    assert len(list(found.learn(recordings))) == 12
    return found


def test_phones_end_where_they_do(clips, names, aligner):
    errors, pauses = [], 0
    for clip in clips:
        labels, optional = with_pauses(clip.phones, every=5)
        timed = aligner.align(recorded(clip), [names.index(label) for label in labels], optional, clip.text)
        assert timed[0].start == 0
        assert timed[-1].end == pytest.approx(len(clip.samples) / RATE)
        assert all(one.end == other.start for one, other in itertools.pairwise(timed))
        assert all(one.end - one.start > 0.0199 for one in timed[:-1])
        # Without pauses on either side: which sounds end when.
        true = [phone for phone in clip.phones if phone.label != "_"]
        said = [phone for phone in timed if phone.label != "_"]
        assert [phone.label for phone in said] == [phone.label for phone in true]
        errors += [abs(one.end - other.end / RATE) for one, other in zip(said, true, strict=True)]
        pauses += sum(phone.label == "_" for phone in timed) - sum(phone.label == "_" for phone in clip.phones)
    assert np.mean(np.array(errors) <= 0.02 + 1e-9) > 0.87
    assert np.median(errors) < 0.008
    # Of several hundred pauses that are none hardly any is heard.
    assert abs(pauses) < 40


def test_too_few_frames_are_refused(aligner):
    with pytest.raises(ValueError, match="7 frames are too few for 2 phones of 4 frames at least"):
        aligner.align(torch.zeros(7 * 80), [0, 1], [False, False])


def test_nothing_is_aligned_by_an_aligner_that_has_not_learned():
    with pytest.raises(RuntimeError, match="nothing is learned yet"):
        HiddenMarkovAligner(Vocabulary(RATE, phones=("a",))).align(torch.zeros(800), [0], [False])


def test_a_speaker_that_was_not_heard_is_aligned_as_well(clips, names, aligner):
    phones = [names.index(phone.label) for phone in clips[0].phones]
    known, unknown = (
        aligner.align(recorded(clips[0]), phones, [False] * len(phones), speaker) for speaker in (clips[0].text, "new")
    )
    near = [abs(one.end - other.end) <= 0.02 for one, other in zip(known, unknown, strict=True)]
    assert np.mean(near) > 0.8


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050])
def test_a_frame_is_what_sounds_around_its_middle(rate):
    """A click in the middle of frame 20: it is loudest there, and as loud one frame before as one after."""
    hop = round(0.005 * rate)
    wave = torch.zeros(40 * hop + 3)
    wave[20 * hop + hop // 2] = 1.0
    frames = cepstra(wave, rate, hop)
    assert frames.shape == (40, 26)
    loudness = frames[:, 0]
    assert loudness.argmax() == 20
    assert loudness[19].item() == pytest.approx(loudness[21].item(), abs=0.02 * float(loudness.max() - loudness.min()))


@pytest.mark.parametrize("samples", [0, 79, 80, 200])
def test_recordings_of_hardly_any_length_have_frames(samples):
    found = cepstra(torch.zeros(samples), RATE, 80)
    assert found.shape == (samples // 80, 26)
    assert torch.isfinite(found).all()
