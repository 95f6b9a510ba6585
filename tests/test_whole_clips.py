"""Whole clips with their phones: one by one, altered, and in batches."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from recordings import values
from speech import Speech, Utterance

from datamodules import Crops, Phone, Split
from datamodules.augmentation import Augmentation
from datamodules.crops import Slicer, WholeClips, collate
from lightning_wavenet.data.batch import Batch, Request

HISTORY, FRAME = 200, 100
REQUEST = Request(frozenset({"phones", "transcript", "text"}), history=HISTORY, hop=FRAME, whole_clips=True)
SAMPLES = (1_000, 740, 1_290, 400, 860, 530)
ALTERED = Augmentation(speed=0.2, level_db=6)


def phones(samples: int) -> list[Phone]:
    """a, b and, in clips long enough, a again, with a gap before it."""
    two = [Phone("a", 0, 220), Phone("b", 220, 400)]
    return two if samples < 600 else [*two, Phone("a", 500, samples)]


@pytest.fixture
def data(tmp_path) -> Speech:
    utterances = [Utterance(samples, phones(samples)) for samples in SAMPLES]
    return Speech(tmp_path, utterances, Crops(None), request=REQUEST, batch_size=2)


def whole(data: Speech, **options: object) -> WholeClips:
    return WholeClips(Slicer(data.clips, data.clips_of("train"), data.vocabulary, data.request), **options)


def batch_of(data: Speech, *indices: int) -> Batch:
    clips = whole(data)
    return collate([clips[0, index] for index in indices], clips.slicer.fields)


def test_a_whole_clip_stands_behind_silence_with_its_phones(data):
    clip = whole(data)[0, 1]
    assert clip.id == "u01"
    assert values(clip.waveform).tolist() == [0] * HISTORY + list(range(1, 741))
    assert clip.target_mask.tolist() == [False] * HISTORY + [True] * 740
    # Frames begin at -200, -100, 0, ...; their middles in the clip are at 50, 150, 250, 350, 450 (in the gap), ...
    assert clip.fields["phones"].tolist() == [-1, -1, 0, 0, 1, 1, -1, 0, 0]
    assert clip.fields["transcript"].phones.tolist() == [0, 1, 0]
    data.connect(Request(history=HISTORY, whole_clips=True))
    plain = whole(data)[0, 1]
    assert plain.fields == {}
    np.testing.assert_array_equal(plain.waveform, clip.waveform)


def test_a_clip_depends_on_seed_epoch_and_index_alone(data):
    clips = whole(data, augmentation=ALTERED, seed=3)
    first = [clips[2, index].waveform for index in range(len(clips))]
    np.random.seed(99)  # noqa: NPY002
    torch.manual_seed(99)
    again = pickle.loads(pickle.dumps(whole(data, augmentation=ALTERED, seed=3)))
    for index in reversed(range(len(clips))):
        np.testing.assert_array_equal(again[2, index].waveform, first[index])
    for other in (clips[1, 0], whole(data, augmentation=ALTERED, seed=4)[2, 0]):
        assert not np.array_equal(other.waveform, first[0])
    # A bare index is one of epoch 0.
    np.testing.assert_array_equal(clips[1].waveform, clips[0, 1].waveform)


def test_phones_are_altered_with_the_clip_and_the_history_is_not(data):
    for epoch in range(5):
        clip = whole(data, augmentation=ALTERED)[epoch, 0]
        length = len(clip.waveform) - HISTORY
        assert 1_000 / 1.2 <= length <= 1_000 / 0.8
        assert not clip.waveform[:HISTORY].any()
        assert clip.target_mask.sum() == length
        middles = (np.arange(len(clip.fields["phones"])) * FRAME + FRAME // 2 - HISTORY) * 1_000 / length
        sure = [np.abs(middles - edge).min() > 2 for edge in (0, 220, 400, 500)]
        right = np.select([middles < 0, middles < 220, middles < 400, middles < 500], [-1, 0, 1, -1], 0)
        assert all(sure)
        np.testing.assert_array_equal(clip.fields["phones"], right)
        assert clip.fields["transcript"].phones.tolist() == [0, 1, 0]


def test_every_clip_comes_once_an_epoch_in_another_order(data):
    orders = []
    for epoch in range(3):
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        orders.append([id for batch in loader for id in batch.ids])
        assert sorted(orders[-1]) == data.clips.ids
    assert len({tuple(order) for order in orders}) == 3


def test_training_is_altered_and_evaluation_is_not(tmp_path):
    utterances = [Utterance(600, phones(600), split=split) for split in ("train", "validation", "test")]
    data = Speech(tmp_path, utterances, Crops(None, augmentation=ALTERED), Split(), REQUEST, batch_size=1)
    for loader in (data.val_dataloader(), data.test_dataloader()):
        (batch,) = loader
        assert values(batch.waveform[0, HISTORY:]).tolist() == list(range(1, 601))
    plain = torch.arange(1, 601) / 2**15
    for epoch in range(4):
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        (batch,) = loader
        heard = batch.waveform[0, HISTORY:]
        assert len(heard) != 600 or not torch.equal(heard, plain)


def test_a_limit_takes_clips_from_everywhere(tmp_path):
    data = Speech(tmp_path, [Utterance(100 + n) for n in range(10)], Crops(None))
    for limit in (1, 2, 3, 7, 10, 50):
        clips = whole(data, limit=limit)
        taken = [len(clips[index].waveform) - 100 for index in range(len(clips))]
        assert len(set(taken)) == len(taken) == min(limit, 10)
        # In equal parts of the split, one whose middle lies in each.
        assert [(2 * n + 1) * len(taken) // 20 for n in taken] == list(range(len(taken)))


def test_shorter_clips_of_a_batch_end_in_nothing(data):
    batch = batch_of(data, 3, 2)
    assert batch.ids == ["u03", "u02"]
    assert batch.waveform.shape == batch.target_mask.shape == (2, HISTORY + 1_290)
    assert values(batch.waveform[0]).tolist() == [0] * HISTORY + list(range(1, 401)) + [0] * 890
    assert batch.target_mask.sum(dim=1).tolist() == [400, 1_290]
    assert batch.phones.tolist() == [
        [-1, -1, 0, 0, 1, 1] + [-1] * 8,
        [-1, -1, 0, 0, 1, 1, -1, *[0] * 7],
    ]
    assert batch.transcript.tolist() == [[0, 1, -1], [0, 1, 0]]
    assert batch.optional.dtype == torch.bool
    assert not batch.optional.any()


def test_what_may_be_left_out_is_padded_with_what_may_not(tmp_path):
    data = Speech(tmp_path, [Utterance(300, text="it"), Utterance(300, text="it it")], Crops(None), request=REQUEST)
    batch = batch_of(data, 0, 1)
    ih, t, sil = (data.vocabulary.phones.index(name) for name in ("IH", "T", "sil"))
    assert batch.transcript.tolist() == [[sil, ih, t, sil, -1, -1, -1], [sil, ih, t, sil, ih, t, sil]]
    assert batch.optional.tolist() == [
        [True, False, False, True, False, False, False],
        [True, False, False, True, False, False, True],
    ]
    assert batch.text == ["it", "it it"]
    assert (batch.phones == -1).all()
