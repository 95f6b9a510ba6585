"""A field and a feature that a test defines, from files on disk through the cache to batches."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from speech import Speech, Utterance

import datamodules.cache
from datamodules import FIELDS, Crops, Field, Listing, Phone, Split
from lightning_wavenet.data.batch import Request
from lightning_wavenet.errors import RequestError
from lightning_wavenet.features import Extractor, MelSpectrogram
from lightning_wavenet.features import Utterance as Seen

HOP = 4


class Angle(Field):
    """A number a clip."""

    name = "angle"
    kind = datasets.Value("float64")

    def collate(self, values):
        return {self.name: torch.tensor(values, dtype=torch.float32)}


class FirstSample(Extractor):
    """The first sample of every frame as PCM16, and how many characters the text has."""

    name = "first"
    channels = 2
    reads = frozenset({"text"})

    def __init__(self, hop: int = HOP, gain: float = 1.0) -> None:
        self.hop = hop
        self.gain = gain

    def extract(self, utterance: Seen):
        first = utterance.waveform[:: self.hop] * 2**15 * self.gain
        return np.stack([first, np.full(len(first), len(utterance.text))])


class Broken(FirstSample):
    """Fails."""

    name = "broken"

    def extract(self, utterance: Seen):
        return 1 / 0


class WithoutText(FirstSample):
    """The same of the audio alone."""

    name = "audio"
    reads = frozenset()

    def extract(self, utterance: Seen):
        assert utterance.text == ""
        return super().extract(utterance)


class Mood(Field):
    """A name a clip."""

    name = "mood"
    named = True

    def cut(self, value, window):
        return window.names.index(value)


class Angled(Speech):
    """Utterances with an angle each."""

    fields = (*FIELDS, Angle(), Mood())

    def listing(self) -> Listing:
        listing = super().listing()
        records = [
            replace(record, others={"angle": n / 2, "mood": "ab"[n % 2]}) for n, record in enumerate(listing.records)
        ]
        return replace(listing, records=tuple(records))


UTTERANCES = [Utterance(41, text="ab"), Utterance(30, text="abc"), Utterance(57, text="a")]


def angled(root: Path, request: Request, utterances=UTTERANCES, samples: int | None = 8, **options) -> Angled:
    """The corpus, every crop of which is a batch."""
    return Angled(root, utterances, Crops(samples), request=request, batch_size=1, **options)


def batches(data: Angled) -> list:
    return list(data.train_dataloader())


def pcm(batch) -> np.ndarray:
    return np.round(batch.waveform[0].numpy() * 2**15).astype(int)


def test_a_field_and_a_feature_reach_every_crop_in_step_with_its_samples(tmp_path):
    request = Request(frozenset({"angle", "frames"}), history=12, hop=HOP, left_frames=2)
    data = angled(tmp_path, request, features=[FirstSample()])
    assert (data.vocabulary.hop, data.vocabulary.frame_channels) == (HOP, 2)
    seen = batches(data)
    assert len(seen) == 16  # of 128 samples
    for batch in seen:
        number, samples = int(batch.ids[0][1:]), pcm(batch)
        assert batch.others["angle"].tolist() == [number / 2]
        assert batch.speaker is batch.text is None
        frames = batch.frames[0].numpy()
        assert frames.shape == (2, 2 + (12 + 8) // HOP)
        # Samples count on from 1, so a frame says where it stands; before the clip, and after it, frames are zero.
        assert frames[0, 2:].tolist() == samples[::HOP].tolist()
        first = int(samples[12]) - 1 - 12
        assert first % HOP == 0
        before = [first - 2 * HOP, first - HOP]
        assert frames[0, :2].tolist() == [at + 1 if at >= 0 else 0 for at in before]
        inside = (np.arange(first - 2 * HOP, first + 20, HOP) >= 0) & (
            np.arange(first - 2 * HOP, first + 20, HOP) < UTTERANCES[number].samples
        )
        assert frames[1].tolist() == (inside * len(UTTERANCES[number].text)).tolist()


def test_names_of_a_field_of_ones_own_are_compared(tmp_path):
    data = angled(tmp_path, Request(frozenset({"mood"})))
    assert data.vocabulary.others == {"mood": ("a", "b")}
    assert [batch.others["mood"] == [int(batch.ids[0][1:]) % 2] for batch in batches(data)] == [True] * 16
    other = replace(data.vocabulary, others={"mood": ("b",)})
    with pytest.raises(RequestError, match=r"different mood \(2 and 1\): only the model has a, only the corpus none"):
        data.vocabulary.must_match(other, {"mood"}, "the corpus")
    data.vocabulary.must_match(other, {"speaker"}, "the corpus")


def test_an_extractor_that_fails_says_so_in_one_line(tmp_path):
    with pytest.raises(RequestError, match=r"^mel: bands from 0 to 9000 Hz do not fit audio at 8000 Hz$"):
        angled(tmp_path, Request(), features=[MelSpectrogram(HOP, high_hz=9_000)])
    with pytest.raises(RequestError, match=r"making broken frames failed: ZeroDivisionError"):
        angled(tmp_path, Request(), features=[Broken()])


@pytest.mark.parametrize("hop", [1, 4, 7])
def test_every_sample_is_the_target_of_some_crop_at_any_hop(tmp_path, hop):
    data = angled(tmp_path, Request(hop=hop, history=2 * hop), samples=9)
    targets: dict[str, set[int]] = {}
    for epoch in range(40):
        crops = data.train_dataloader().dataset
        for index in range(len(crops)):
            excerpt = crops[epoch, index]
            values = np.round(excerpt.waveform * 2**15).astype(int)
            start = values[2 * hop] - 1
            assert start % hop == 0
            targets.setdefault(excerpt.id, set()).update(values[excerpt.target_mask].tolist())
    for number, utterance in enumerate(UTTERANCES):
        assert targets[f"u{number:02d}"] == set(range(1, utterance.samples + 1))


def test_windows_of_the_evaluation_are_whole_hops_and_hold_every_sample_once(tmp_path):
    split = Split(validation=0, test=0)
    data = angled(tmp_path, Request(hop=4, history=8), samples=9, split=split)
    data.clips.splits[:] = ["test"] * 3
    seen = [pcm(batch)[batch.target_mask[0].numpy()].tolist() for batch in data.test_dataloader()]
    assert sorted(value for window in seen for value in window) == sorted(
        value for utterance in UTTERANCES for value in range(1, utterance.samples + 1)
    )
    assert {len(window) for window in seen} <= {12, 41 % 12, 30 % 12, 57 % 12}


def test_without_a_waveform_masks_are_over_frames(tmp_path):
    request = Request(frozenset({"frames"}), history=8, hop=HOP, left_frames=1, waveform=False)
    batch = batches(angled(tmp_path, request, features=[FirstSample()]))[0]
    assert batch.waveform is None
    assert batch.target_mask.tolist() == [[False, False, True, True]]
    assert batch.frames.shape == (1, 2, 1 + 4)
    with pytest.raises(ValueError, match="no waveform"):
        batch.audio  # noqa: B018


def test_what_a_corpus_cannot_give_is_refused_in_one_line(tmp_path):
    for request, options, message in [
        (Request(frozenset({"color"})), {}, "asks for color, which speech does not know"),
        (Request(frozenset({"frames"}), hop=4), {}, r"say with data\.features what makes them"),
        (Request(frozenset({"frames"}), hop=5), {"features": [FirstSample()]}, "frames of 5 samples.*a hop of 4"),
        (Request(frozenset({"phones"}), phone_times=True), {}, "does not say when its phones are spoken"),
    ]:
        with pytest.raises(RequestError, match=message):
            angled(tmp_path, request, **options)
    with pytest.raises(RequestError, match="one hop"):
        angled(tmp_path, Request(), features=[FirstSample(4), MelSpectrogram(5)])


@pytest.fixture
def counted(monkeypatch) -> dict[str, int]:
    """How often files were decoded and features extracted."""
    counts = {"decoded": 0, "extracted": 0}
    decode, extract = datamodules.cache.decode, FirstSample.extract

    def counting_decode(*arguments):
        counts["decoded"] += 1
        return decode(*arguments)

    def counting_extract(self, utterance):
        counts["extracted"] += 1
        return extract(self, utterance)

    monkeypatch.setattr(datamodules.cache, "decode", counting_decode)
    monkeypatch.setattr(FirstSample, "extract", counting_extract)
    return counts


def test_audio_labels_and_features_are_each_made_once_and_again_only_where_they_change(tmp_path, counted, monkeypatch):
    request = Request(frozenset({"text", "frames"}), hop=HOP)

    def made(utterances=UTTERANCES, **options) -> tuple[int, int]:
        """How many clips were decoded, and of how many features extracted, and whether batches are right."""
        before = dict(counted)
        extractor = FirstSample(**options)
        data = angled(tmp_path, request, utterances, features=[extractor])
        batch = batches(data)[0]
        text = utterances[int(batch.ids[0][1:])].text
        assert batch.text == [text]
        assert float(batch.frames[0, 0, 0]) == extractor.gain * pcm(batch)[0]
        assert float(batch.frames[0, 1, 0]) == len(text)
        return counted["decoded"] - before["decoded"], counted["extracted"] - before["extracted"]

    # Recordings are written anew by the stand-in, unless their times are kept.
    keep_recordings(monkeypatch, tmp_path)
    assert made() == (3, 3)
    assert made() == (0, 0)
    assert made(gain=2.0) == (0, 3)
    assert made() == (0, 0)
    # Another text: labels and what reads them, but no audio.
    assert made([Utterance(41, text="abcd"), *UTTERANCES[1:]]) == (0, 3)
    monkeypatch.setattr(FirstSample, "version", 2)
    assert made() == (0, 3)

    def with_text(text: str) -> int:
        """How many features that read no text are extracted beside a text."""
        before = counted["extracted"]
        angled(tmp_path, request, [Utterance(41, text=text), *UTTERANCES[1:]], features=[WithoutText()])
        return counted["extracted"] - before

    assert [with_text("ab"), with_text("longer")] == [3, 0]


def keep_recordings(monkeypatch, root: Path) -> None:
    """Lets files that are there be as they are when a stand-in would write them again."""
    import soundfile

    write = soundfile.write

    def once(path, *arguments, **options):
        if not Path(path).exists():
            write(path, *arguments, **options)

    monkeypatch.setattr(soundfile, "write", once)


@pytest.mark.parametrize("after", [1, 2])
def test_an_extraction_that_is_killed_leaves_nothing_that_passes_for_a_whole_one(tmp_path, after):
    request = Request(frozenset({"frames"}), hop=HOP)
    process = os.fork()
    if not process:
        seen = 0
        extract = FirstSample.extract

        def deadly(self, utterance):
            nonlocal seen
            seen += 1
            if seen > after:
                os.kill(os.getpid(), signal.SIGKILL)
            return extract(self, utterance)

        FirstSample.extract = deadly
        angled(tmp_path, request, features=[FirstSample()])
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    data = angled(tmp_path, request, features=[FirstSample()])
    for batch in batches(data):
        assert batch.frames[0, 0].tolist() == pcm(batch)[::HOP].tolist()


def test_crops_carry_phones_as_whole_clips_do(tmp_path):
    """Frames of 10 samples, with a phone that begins in the middle of one."""
    phones = [Phone("a", 0, 25), Phone("b", 25, 80), Phone("a", 80, 100)]
    whole = ["a", "a", "b", "b", "b", "b", "b", "b", "a", "a"]  # Middles 5, 15, 25, ...
    request = Request(frozenset({"phones", "transcript"}), history=20, hop=10)
    data = Speech(tmp_path, [Utterance(100, phones)], Crops(30), request=request, batch_size=1)
    assert data.vocabulary.phones == ("a", "b")
    seen = set()
    for epoch in range(10):
        crops = data.train_dataloader().dataset
        for index in range(len(crops)):
            excerpt = crops[epoch, index]
            start = int(np.round(excerpt.waveform[20] * 2**15)) - 1
            frames = [(start - 20) // 10 + frame for frame in range(5)]
            expected = [data.vocabulary.phones.index(whole[frame]) if 0 <= frame < 10 else -1 for frame in frames]
            assert excerpt.fields["phones"].tolist() == expected
            assert excerpt.fields["transcript"].phones.tolist() == [0, 1, 0]
            seen.add(start)
    assert len(seen) > 3
