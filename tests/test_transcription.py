"""A recognizer at work: in chunks as in one, and times of what it hears and of what it is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from nets import build, set_up
from runs import stopped
from torch import Tensor

import lightning_wavenet as lw
from lightning_wavenet.data.batch import Batch
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.decoding import BestPath, PrefixBeam
from lightning_wavenet.models import PhoneRecognizer, TimedPhone, recognition
from lightning_wavenet.models.encoders import ConvolutionalEncoder, RecurrentEncoder
from lightning_wavenet.tasks import BaseTask, PhoneCriterion, RecognitionWaveNet, UnconditionalWaveNet

RATE, FRAME = 1_000, 10
NAMES = ("a", "b", "sil")
A, B, SIL, BLANK = range(4)
SURE = pytest.approx(np.log(0.9), abs=1e-5)


def recognizer(encoder: ConvolutionalEncoder | RecurrentEncoder | None = None, **options: object) -> PhoneRecognizer:
    torch.manual_seed(0)
    encoder = encoder or ConvolutionalEncoder(8, layers=2, kernel_size=3)
    model = PhoneRecognizer(build(), encoder, Vocabulary(RATE, phones=NAMES), FRAME, **options)
    with torch.no_grad():
        # So that what is heard matters.
        for parameter in (model.enter.weight, model.classify.weight):
            parameter.mul_(3)
    return model.eval()


def recording(samples: int) -> Tensor:
    return torch.rand(samples, generator=torch.Generator().manual_seed(samples)) - 0.5


def likely(frames: str, classes: str = "abs") -> Tensor:
    """Log-probabilities of frames of which each is likeliest the class that its letter stands for."""
    at = torch.tensor([[letter == name for name in classes] for letter in frames])
    return torch.where(at, 0.9, 0.1 / (len(classes) - 1)).log()


def hearing(monkeypatch, log: Tensor, **options: object) -> tuple[PhoneRecognizer, Tensor]:
    """One that hears what it is told, in a recording that has half a frame more."""
    one = recognizer(**options)
    monkeypatch.setattr(one, "log_probabilities", lambda waveform: log)
    return one, torch.zeros(len(log) * FRAME + FRAME // 2)


def plain(phones: list[TimedPhone]) -> list[tuple[str, float, float, int]]:
    """Without scores, in whole milliseconds."""
    return [(phone.label, round(1_000 * phone.start), round(1_000 * phone.end), phone.token) for phone in phones]


class TestParts:
    @pytest.mark.parametrize("layers", [ConvolutionalEncoder, RecurrentEncoder])
    def test_are_heard_as_the_whole_is(self, monkeypatch, layers):
        one = recognizer(layers(8))
        for samples in (10, 49, 50, 137, 500, 733):
            waveform = recording(samples)
            whole = one.log_probabilities(waveform)
            assert whole.shape == (samples // FRAME, 3)
            assert whole.dtype == torch.float32
            torch.testing.assert_close(whole.exp().sum(-1), torch.ones(len(whole)))
            for part in (1, 5, 7):
                monkeypatch.setattr(recognition, "_PART_SECONDS", part * FRAME / RATE)
                torch.testing.assert_close(one.log_probabilities(waveform), whole, rtol=1e-5, atol=1e-5)
            monkeypatch.undo()

    def test_hear_what_a_batch_hears(self):
        for options in ({}, {"blank": True}):
            one = recognizer(**options)
            lengths = (233, 90)
            waveform = torch.zeros(2, one.history + max(lengths))
            mask = torch.zeros_like(waveform, dtype=torch.bool)
            for row, samples in enumerate(lengths):
                waveform[row, one.history : one.history + samples] = recording(samples)
                mask[row, one.history : one.history + samples] = True
            with torch.inference_mode():
                heard = one(Batch(waveform, mask, ["", ""]))
            assert heard.lengths.tolist() == [23, 9]
            for row, samples in enumerate(lengths):
                right = heard.logits[row, : samples // FRAME].log_softmax(-1)
                torch.testing.assert_close(one.log_probabilities(recording(samples)), right, rtol=1e-5, atol=1e-5)

    def test_of_less_than_a_frame_have_nothing(self):
        assert recognizer().log_probabilities(recording(9)).shape == (0, 3)
        assert recognizer(blank=True).log_probabilities(recording(0)).shape == (0, 4)
        assert recognizer().recognize(recording(9)) == []
        assert recognizer(blank=True).recognize(recording(9)) == []


class TestRecognition:
    def test_phones_have_the_times_of_their_frames(self, monkeypatch):
        one, waveform = hearing(monkeypatch, likely("sssaaaabbbbss"))
        found = one.recognize(waveform)
        assert plain(found) == [("sil", 0, 30, 0), ("a", 30, 70, 1), ("b", 70, 100, 2), ("sil", 100, 130, 3)]
        # One frame that sounds like b is silence, for a phone lasts three.
        missed = (2 * np.log(0.9) + np.log(0.05)) / 3
        assert [phone.score for phone in found] == [SURE, SURE, SURE, pytest.approx(missed, abs=1e-5)]

    def test_a_blank_is_nothing(self, monkeypatch):
        one, waveform = hearing(monkeypatch, likely("--aa-a--b-", "abs-"), blank=True)
        found = one.recognize(waveform)
        assert plain(found) == [("a", 20, 40, 0), ("a", 50, 60, 1), ("b", 80, 90, 2)]
        assert [phone.score for phone in found] == [SURE] * 3

    def test_is_by_the_decoder_of_the_net(self, monkeypatch):
        one, waveform = hearing(monkeypatch, likely("aab"), decoder=BestPath())
        assert plain(one.recognize(waveform)) == [("a", 0, 20, 0), ("b", 20, 30, 1)]
        # The blank is the likeliest in both frames; all paths to an `a` together are likelier.
        log = torch.tensor([[0.4, 0.0, 0.0, 0.6], [0.45, 0.0, 0.0, 0.55]]).clamp(min=1e-9).log()
        one, waveform = hearing(monkeypatch, log, blank=True, decoder=PrefixBeam(weight=0))
        assert plain(one.recognize(waveform)) == [("a", 10, 20, 0)]


class TestAlignment:
    OPTIONAL = (True, False, True, False, True)

    def test_covers_the_recording_to_its_end(self, monkeypatch):
        one, waveform = hearing(monkeypatch, likely("ssaaasbbs"))
        found = one.align(waveform, [SIL, A, SIL, B, SIL], self.OPTIONAL)
        right = [("sil", 0, 20, 0), ("a", 20, 50, 1), ("sil", 50, 60, 2), ("b", 60, 80, 3), ("sil", 80, 95, 4)]
        assert plain(found) == right
        assert [phone.score for phone in found] == [SURE] * 5

    def test_leaves_out_silences_that_are_not_there(self, monkeypatch):
        one, waveform = hearing(monkeypatch, likely("aaabb"))
        assert plain(one.align(waveform, [SIL, A, SIL, B, SIL], self.OPTIONAL)) == [("a", 0, 30, 1), ("b", 30, 55, 3)]
        # One that must be there takes what costs least.
        found = one.align(waveform, [SIL, A, B], [False] * 3)
        assert plain(found) == [("sil", 0, 10, 0), ("a", 10, 30, 1), ("b", 30, 55, 2)]
        assert found[0].score == pytest.approx(np.log(0.05), abs=1e-5)

    def test_phones_last_as_long_as_they_must(self, monkeypatch):
        one, waveform = hearing(monkeypatch, likely("aaaaaab"), shortest=3)
        found = one.align(waveform, [A, B], [False, False])
        assert plain(found) == [("a", 0, 40, 0), ("b", 40, 75, 1)]
        assert found[1].score == pytest.approx((2 * np.log(0.05) + np.log(0.9)) / 3, abs=1e-5)
        with pytest.raises(ValueError, match="7 frames are too few for 3 phones of 3 frames"):
            one.align(waveform, [A, B, A], [False] * 3)

    def test_weighs_the_prior_and_scores_without_it(self, monkeypatch):
        # In the frame between, a is likelier than b, but less likely than it is elsewhere.
        log = torch.tensor([[0.9, 0.05, 0.05], [0.55, 0.4, 0.05], [0.05, 0.9, 0.05]]).log()
        for weight, cut in [(0.0, 20), (1.0, 10)]:
            one, waveform = hearing(monkeypatch, log, prior_weight=weight)
            one.prior.copy_(torch.tensor([0.8, 0.1, 0.1]))
            found = one.align(waveform, [A, B], [False, False])
            assert plain(found) == [("a", 0, cut, 0), ("b", cut, 35, 1)]
        assert found[1].score == pytest.approx((np.log(0.4) + np.log(0.9)) / 2, abs=1e-5)

    def test_with_a_blank_cuts_in_the_middle_of_blanks(self, monkeypatch):
        one, waveform = hearing(monkeypatch, likely("--aa---b--", "abs-"), blank=True)
        found = one.align(waveform, [SIL, A, SIL, B, SIL], self.OPTIONAL)
        # Blanks from 40 to 70 ms, of which the middle one goes with the first phone; silences are no phones here.
        assert plain(found) == [("a", 20, 60, 1), ("b", 60, 80, 3)]
        assert [phone.score for phone in found] == [SURE] * 2
        one, waveform = hearing(monkeypatch, likely("a----b", "abs-"), blank=True)
        assert plain(one.align(waveform, [A, B], [False] * 2)) == [("a", 0, 30, 0), ("b", 30, 60, 1)]
        one, waveform = hearing(monkeypatch, likely("aab", "abs-"), blank=True)
        assert plain(one.align(waveform, [A, B], [False] * 2)) == [("a", 0, 20, 0), ("b", 20, 30, 1)]

    def test_with_a_blank_equal_phones_are_parted(self, monkeypatch):
        one, waveform = hearing(monkeypatch, likely("aa-aa", "abs-"), blank=True)
        assert plain(one.align(waveform, [A, A], [False] * 2)) == [("a", 0, 30, 0), ("a", 30, 50, 1)]
        with pytest.raises(ValueError, match="5 frames are too few"):
            one.align(waveform, [A, A, A, A], [False] * 4)

    def test_of_nothing_but_silences(self, monkeypatch):
        one, waveform = hearing(monkeypatch, likely("sss"))
        assert plain(one.align(waveform, [SIL], [True])) == [("sil", 0, 35, 0)]
        one, waveform = hearing(monkeypatch, likely("---", "abs-"), blank=True)
        with pytest.raises(ValueError, match="no phones to align"):
            one.align(waveform, [SIL], [True])


def save(task: BaseTask, path: Path) -> None:
    checkpoint = {"state_dict": task.state_dict()}
    task.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)


def test_a_checkpoint_is_all_that_it_takes(tmp_path):
    one, waveform = recognizer(), recording(300)
    one.prior.copy_(torch.tensor([0.5, 0.3, 0.2]))
    task = RecognitionWaveNet(criterion=PhoneCriterion(ctc_weight=1))
    task.model = one
    save(task, tmp_path / "some.ckpt")
    again = lw.load(tmp_path / "some.ckpt", "cpu")
    assert isinstance(again, PhoneRecognizer)
    assert again.vocabulary == Vocabulary(RATE, phones=NAMES)
    assert torch.equal(again.log_probabilities(waveform), one.log_probabilities(waveform))
    assert again.recognize(waveform) == one.recognize(waveform)


def test_checkpoints_that_recognize_nothing_are_refused(tmp_path, capsys):
    task = UnconditionalWaveNet(build)
    set_up(task, Vocabulary(RATE))
    save(task, tmp_path / "sounds.ckpt")
    assert stopped(["recognize", str(tmp_path / "sounds.ckpt"), "some.wav"]) == 2
    assert "holds a UnconditionalModel, which recognizes no phones" in capsys.readouterr().err
