"""Durations and log F0: what is read off frames, what is generated, and what is counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lightning_wavenet.data.batch import Batch
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.features import Linguistic, LogF0
from lightning_wavenet.features.linguistic import frames_of_phone
from lightning_wavenet.models import DurationPredictor, LogF0Predictor
from lightning_wavenet.models.speaking import Speech, at_phrases
from lightning_wavenet.tasks import DurationModel, LogF0Model
from lightning_wavenet.text.structure import structure

RATE, HOP = 16_000, 80
LINGUISTIC = Linguistic(HOP)
MELODY = LogF0(HOP).with_fitted(speakers={"": [5.0, 0.25]})


def vocabulary(*extractors, rate: int = RATE) -> Vocabulary:
    features = tuple(extractor.describe() for extractor in extractors)
    return Vocabulary(rate, hop=HOP, frame_channels=sum(one.channels for one in extractors), features=features)


LISTENING, SINGING = vocabulary(LINGUISTIC), vocabulary(LINGUISTIC, MELODY)


def said(text: str, durations: list[int]) -> tuple[np.ndarray, list[str]]:
    """Frames of a text whose segments, but for silences between words, last so many frames; and their phones."""
    spoken = at_phrases(structure(text))
    timed = LINGUISTIC.spoken(spoken, [HOP * one for one in durations])
    labels = [segment.label for segment, one in zip(spoken.segments, durations, strict=True) if one]
    return LINGUISTIC.frames(timed, HOP * sum(durations)), labels


def batch(*frames: np.ndarray, speaker: torch.Tensor | None = None) -> Batch:
    longest = max(one.shape[1] for one in frames)
    padded = torch.zeros(len(frames), len(frames[0]), longest)
    mask = torch.zeros(len(frames), longest, dtype=torch.bool)
    for row, one in enumerate(frames):
        padded[row, :, : one.shape[1]] = torch.from_numpy(one)
        mask[row, : one.shape[1]] = True
    return Batch(None, mask, [f"u{row}" for row in range(len(frames))], speaker, frames=padded)


def lasting(frames: float) -> DurationPredictor:
    """A model for which every phone lasts as long."""
    model = DurationPredictor(LISTENING, channels=4).eval()
    torch.nn.init.zeros_(model.leave.weight)
    torch.nn.init.constant_(model.leave.bias, math.log1p(frames) / 5)
    return model


def singing(value: float, voiced: float) -> LogF0Predictor:
    """A model with the same log F0 and V/UV in every frame."""
    model = LogF0Predictor(SINGING, channels=4, layers=1).eval()
    torch.nn.init.zeros_(model.leave.weight)
    model.leave.bias.data = torch.tensor([value, voiced])
    return model


# Durations


def test_phones_and_their_durations_are_read_off_the_frames():
    """sil HH AH L OW sil lasts 3, 2, 4, 1, 7, 5 frames; sil AY sil 2, 9, 1."""
    model = lasting(1)
    first, second = said("Hello.", [3, 2, 4, 1, 7, 5]), said("I.", [2, 9, 1])
    series = model.phones(batch(first[0], second[0]))
    assert series.counts.tolist() == [6, 3]
    assert frames_of_phone(series.durations[0]).tolist() == pytest.approx([3, 2, 4, 1, 7, 5], abs=1e-4)
    assert frames_of_phone(series.durations[1, :3]).tolist() == pytest.approx([2, 9, 1], abs=1e-4)
    assert [LINGUISTIC.phones[label] for label in model.labels(series.contexts[0])] == first[1]
    assert series.inside.tolist() == [[True] * 6, [True] * 3 + [False] * 3]
    # What the model is told does not tell how long a phone lasts.
    longer = model.phones(batch(said("Hello.", [1, 5, 2, 6, 3, 2])[0]))
    assert torch.equal(series.contexts[0], longer.contexts[0])


def test_means_by_phone():
    """AH lasts 4 and 6 frames, silences 4, 3, 2 and 3; a phone that was not met lasts 22 / 6, as all together."""
    model = lasting(1)
    for durations in ([4, 4, 3], [2, 6, 3]):
        frames, labels = said("Uh.", durations)
        assert labels == ["sil", "AH", "sil"]
        model.add(model.counted(model.phones(batch(frames))))
    names = list(LINGUISTIC.phones)
    asked = torch.tensor([names.index(name) for name in ("AH", "sil", "ZH")])
    assert model.mean_frames(asked).tolist() == pytest.approx([5, 3, 22 / 6])


def test_figures_of_durations_leave_silences_out():
    """HH AH L OW last 2, 4, 1, 7 frames of 5 ms and are told 4 each: errors 10, 0, 15, 15 ms."""
    task = DurationModel(channels=4)
    task.model = lasting(4)
    measures = task.measures()
    task.update(measures, batch(said("Hello.", [30, 2, 4, 1, 7, 50])[0]))
    assert float(measures["rmse_ms"].compute()) == pytest.approx(math.sqrt((100 + 0 + 225 + 225) / 4), rel=1e-4)


def test_durations_are_learned_from_what_is_around_a_phone():
    """HH lasts 8 frames before AH and 3 before IY; the mean by phone, 5.5, cannot tell, and errs by 12.5 ms."""
    torch.manual_seed(0)
    task = DurationModel(channels=8, dropout=0.0)
    task.model = task.build(SINGING)
    assert task.model.vocabulary.frame_channels == LINGUISTIC.channels
    data = batch(said("Huh.", [4, 8, 5, 4])[0], said("He.", [4, 3, 5, 4])[0])
    optimizer = torch.optim.Adam(task.model.parameters(), 0.02)
    for _ in range(150):
        optimizer.zero_grad()
        task.loss(data).backward()
        optimizer.step()
    task.model.add(task.model.counted(task.model.phones(data)))
    measures = task.measures()
    task.update(measures, data)
    assert float(measures["rmse_ms_of_means"].compute()) == pytest.approx(math.sqrt(12.5**2 / 2), rel=1e-3)
    assert float(measures["rmse_ms"].compute()) < 1.5


# log F0


def test_generated_log_f0_is_that_of_the_training_pass_over_its_own_past():
    torch.manual_seed(0)
    model = LogF0Predictor(SINGING, channels=8, layers=2, kernel_size=3, past=5).eval()
    for parameter in (model.leave.weight, model.read_past.weight):
        parameter.data.mul_(3)
    frames = [torch.from_numpy(said(text, durations)[0]) for text, durations in (("I.", [4, 9, 3]), ("Uh.", [2, 7, 2]))]
    lengths = torch.tensor([16, 11])
    linguistic = torch.nn.utils.rnn.pad_sequence([one.T for one in frames], batch_first=True).mT
    generated = model.generate(linguistic, lengths)
    assert generated.shape == (2, 2, 16)
    assert set(generated[:, 1].unique().tolist()) <= {0.0, 1.0}
    assert generated[0, 0].std() > 0.01
    with torch.no_grad():
        again = model(linguistic, generated, lengths)
    for row, length in enumerate(lengths.tolist()):
        assert torch.allclose(again[row, 0, :length], generated[row, 0, :length], atol=1e-5)
        assert torch.equal(again[row, 1, :length] >= 0.5, generated[row, 1, :length] > 0.5)


def test_log_f0_sees_no_present():
    """What is told of a frame does not depend on its own F0, nor on that of later frames."""
    torch.manual_seed(0)
    model = LogF0Predictor(SINGING, channels=8, layers=1, past=4).eval()
    linguistic = torch.from_numpy(said("I.", [4, 9, 3])[0])[None]
    f0 = torch.randn(1, 2, 16)
    changed = f0.clone()
    changed[..., 7:] = torch.randn(1, 2, 9)
    with torch.no_grad():
        told, other = (model(linguistic, one, torch.tensor([16])) for one in (f0, changed))
    assert torch.equal(told[..., :8], other[..., :8])
    assert not torch.allclose(told[..., 8], other[..., 8])


def test_figures_of_log_f0():
    """Spoken: 100 Hz in 2 frames of 4, then 200 Hz; told: e^5 = 148.4 Hz and voiced everywhere."""
    task = LogF0Model(channels=4)
    task.model = singing(0.0, 1.0)
    linguistic, _ = said("I.", [1, 5, 2])
    hertz = np.array([0, 0, 100, 100, 200, 200, 0, 0])
    f0 = MELODY.expand(MELODY.keep(hertz), 0, 8)
    measures = task.measures()
    task.update(measures, batch(np.concatenate([linguistic, f0])))
    mean = math.exp(5)
    wrong = math.sqrt(((mean - 100) ** 2 + (mean - 200) ** 2) / 2)
    assert float(measures["rmse_hz"].compute()) == pytest.approx(wrong, rel=1e-4)
    assert float(measures["rmse_hz_of_mean"].compute()) == pytest.approx(wrong, rel=1e-4)
    assert float(measures["vuv_error"].compute()) == pytest.approx(50)


# Speaking


def test_a_text_becomes_phones_of_the_durations_that_are_told():
    """Ten frames of 5 ms each; the only pauses are at the ends and at the comma."""
    speech = Speech(SINGING, lasting(10), singing(1.0, 1.0))
    timing = speech.timing("Hello there, you.")
    spoken = speech.spoken(timing)
    labels = "sil HH AH L OW DH EH R sil Y UW sil".split()
    assert [phone.label for phone in spoken.phones] == labels
    assert [phone.end - phone.start for phone in spoken.phones] == [10 * HOP] * 12
    assert timing.length == 12 * 10 * HOP
    assert np.array_equal(spoken.frames[: LINGUISTIC.channels], LINGUISTIC.frames(*timing))
    # One deviation above the mean: e^5.25 = 190.6 Hz.
    assert spoken.f0 == pytest.approx(np.full(120, math.exp(5.25)), rel=1e-5)
    assert spoken.frames[-2].tolist() == pytest.approx([1.0] * 120, abs=1e-4)
    assert spoken.frames[-1].tolist() == [1.0] * 120


def test_rate_and_pitch_scale():
    """Twice as fast: 5 frames a phone; a fifth lower: 0.8 times F0, log 0.8 / 0.25 deviations less."""
    speech = Speech(SINGING, lasting(10), singing(0.0, 1.0))
    assert speech.timing("Hello.", rate=2.0).length == 6 * 5 * HOP
    spoken = speech.spoken(speech.timing("Hello."), pitch=0.8)
    assert spoken.f0 == pytest.approx(np.full(60, 0.8 * math.exp(5)), rel=1e-5)
    assert spoken.frames[-2].tolist() == pytest.approx([math.log(0.8) / 0.25] * 60, abs=1e-4)


def test_a_contour_that_is_given_counts_in_place_of_the_model():
    speech = Speech(SINGING, lasting(10))
    hertz = np.linspace(100, 200, 60)
    spoken = speech.spoken(speech.timing("Hello."), hertz=hertz)
    assert np.array_equal(spoken.f0, hertz)
    assert spoken.frames[-2].numpy() == pytest.approx((np.log(hertz) - 5) / 0.25, abs=1e-4)
    with pytest.raises(RequestError, match=r"F0 has the shape \[50\], and the utterance 60 frames"):
        speech.spoken(speech.timing("Hello."), hertz=hertz[:50])


def test_what_lacks_or_does_not_fit_is_told_in_one_line():
    with pytest.raises(RequestError, match="there is no duration model: say which with --duration_model"):
        Speech(SINGING).timing("Hello.")
    with pytest.raises(RequestError, match="there is no F0 model: say which with --f0_model"):
        Speech(SINGING, lasting(10)).spoken(Speech(SINGING, lasting(10)).timing("Hello."))
    with pytest.raises(RequestError, match="not told its F0, only what is said: leave out --pitch"):
        Speech(LISTENING, lasting(10)).spoken(Speech(LISTENING, lasting(10)).timing("Hello."), pitch=2.0)
    other = DurationPredictor(vocabulary(LINGUISTIC, rate=8_000), channels=4)
    with pytest.raises(RequestError, match="frames of 80 samples at 8000 Hz, and the voice has 80 at 16000 Hz"):
        Speech(SINGING, other)
    named = [Linguistic(HOP, "other").with_fitted(phones=phones) for phones in (["a", "sil"], ["a", "b", "sil"])]
    with pytest.raises(RequestError, match="only one of the duration model and the voice knows b"):
        Speech(vocabulary(named[0]), DurationPredictor(vocabulary(named[1]), channels=4))


def test_models_that_are_told_too_little_are_refused():
    with pytest.raises(ValueError, match="durations are told by linguistic features, and these are of f0"):
        DurationPredictor(vocabulary(MELODY))
    with pytest.raises(ValueError, match="from the features linguistic and f0 in this order, not from linguistic"):
        LogF0Predictor(LISTENING)
