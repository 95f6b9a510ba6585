"""What is said in a clip: phones of frames, phones in order, and the phones of a text."""

from __future__ import annotations

import numpy as np
import pytest
from speech import Speech, Utterance
from stand_ins import write_timit_sample

from datamodules import Audio, Crops, Phone, TIMITDataModule
from datamodules.transcripts import SPOKEN, Word, frame_labels, transcript
from lightning_wavenet.data.batch import Request
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError

NAMES = ("a", "b", "c")
PHONES = Request(frozenset({"phones", "transcript"}), hop=10)
TIMED = (Phone("b", 0, 120), Phone("a", 150, 300))


@pytest.mark.parametrize("frame", [1, 2, 7, 10, 160])
@pytest.mark.parametrize("seed", range(4))
def test_a_frame_has_the_phone_at_its_middle(seed, frame):
    rng = np.random.default_rng(seed)
    phones, at = [], 0
    for _ in range(12):
        start = at + int(rng.choice([0, 0, 3, 40]))
        at = start + int(rng.integers(1, 60))
        phones.append(Phone(str(rng.choice(NAMES)), start, at))
    frames = at // frame + 3
    right = []
    for number in range(frames):
        middle = number * frame + frame // 2
        there = [phone.label for phone in phones if phone.start <= middle < phone.end]
        right.append(NAMES.index(there[0]) if there else -1)
    found = frame_labels(phones, NAMES, frames, frame)
    assert found.dtype == np.int64
    assert found.tolist() == right
    assert found[-2:].tolist() == [-1, -1]
    # Those of fewer frames are the first of them.
    assert frame_labels(phones, NAMES, 3, frame).tolist() == right[:3]


def test_nothing_said_is_nothing_known():
    assert frame_labels([], NAMES, 3, 10).tolist() == [-1, -1, -1]


def test_phones_with_times_are_the_transcript_whatever_the_text():
    phones, optional, labels, words = transcript(TIMED, "something else", NAMES)
    assert phones.tolist() == [1, 0]
    assert phones.dtype == np.int64
    assert optional.tolist() == [False, False]
    assert labels == ["b", "a"]
    assert words == []


def test_a_text_is_pronounced_with_silences_that_may_be_left_out():
    phones, optional, labels, words = transcript((), "The cat's asleep!", SPOKEN)
    assert labels == "sil DH AH0 sil K AE1 T S sil AH0 S L IY1 P sil".split()
    assert [SPOKEN[phone] for phone in phones] == "sil DH AH sil K AE T S sil AH S L IY P sil".split()
    assert optional.tolist() == [place in (0, 3, 8, 14) for place in range(15)]
    assert words == [Word("the", 1, 3), Word("cat's", 4, 8), Word("asleep", 9, 14)]


def test_numbers_are_words_and_what_cannot_be_said_is_none():
    said = transcript((), "2 -- ?", SPOKEN)
    assert said.labels == ["sil", "T", "UW1", "sil"]
    assert said.words == [Word("two", 1, 3)]
    nothing = transcript((), "...", SPOKEN)
    assert nothing.labels == ["sil"]
    assert nothing.optional.tolist() == [True]


def test_the_phones_of_texts_are_those_of_english_and_silence():
    assert len(SPOKEN) == 40
    assert list(SPOKEN) == sorted(SPOKEN)
    assert {"AA", "ZH", "sil"} < set(SPOKEN)


def test_a_corpus_has_the_phones_that_occur_or_those_of_english(tmp_path):
    (tmp_path / "timed").mkdir()
    (tmp_path / "texts").mkdir()
    timed = Speech(tmp_path / "timed", [Utterance(300, TIMED, "hi"), Utterance(300, text="hi")], Crops())
    texts = Speech(tmp_path / "texts", [Utterance(300, text="hi")], Crops())
    assert timed.vocabulary == Vocabulary(8_000, phones=("a", "b"))
    assert texts.vocabulary == Vocabulary(8_000, phones=SPOKEN)
    assert timed.clips.value("transcript", 0).phones.tolist() == [1, 0]
    assert texts.clips.value("transcript", 0).labels == ["sil", "HH", "AY1", "sil"]
    # Those of a split are of the clips that a task with phones uses.
    timed.connect(PHONES)
    assert [said.labels for said in timed.transcripts("train")] == [["b", "a"]]
    (tmp_path / "neither").mkdir()
    assert Speech(tmp_path / "neither", [Utterance(300)], Crops()).vocabulary == Vocabulary(8_000)


def test_texts_of_phones_by_hand_are_of_any_language(tmp_path):
    texts = ["{b \u0254\u0303 \u0292 u \u0281}", "{u AH0}, {b}"]
    data = Speech(tmp_path, [Utterance(300, text=text) for text in texts], Crops())
    assert data.vocabulary.phones == ("AH", "b", "sil", "u", "\u0254\u0303", "\u0281", "\u0292")
    assert data.clips.value("transcript", 1).labels == ["sil", "u", "AH0", "sil", "b", "sil"]
    assert data.clips.value("transcript", 1).phones.tolist() == [2, 3, 0, 2, 1, 2]


def test_the_lexicon_of_a_corpus_counts_before_the_dictionary(tmp_path):
    (tmp_path / "own.dict").write_text("ZARN  Z AA1 R N\n")
    (tmp_path / "corpus").mkdir()
    data = Speech(tmp_path / "corpus", [Utterance(300, text="ZARN read")], Crops(), lexicon=tmp_path / "own.dict")
    assert data.clips.value("transcript", 0).labels == "sil Z AA1 R N sil R EH1 D sil".split()
    (tmp_path / "own.dict").write_text("ZARN  Z AX R N\n")
    with pytest.raises(RequestError, match="line 1: 'AX' is none of the phones"):
        Speech(tmp_path / "corpus", [Utterance(300, text="ZARN read")], Crops(), lexicon=tmp_path / "own.dict")


@pytest.mark.parametrize(("phone_set", "size"), [(61, 61), (48, 48), (39, 39)])
def test_timit_has_the_whole_phone_set_whatever_occurs(tmp_path, phone_set, size):
    data = TIMITDataModule(write_timit_sample(tmp_path, ("fvmh0", "mcpm0", "faem0")), phone_set, audio=Audio(16_000))
    data.setup()
    assert 3 <= len({phone.label for phones in data.clips.values("phones") for phone in phones}) <= 5
    names = data.vocabulary.phones
    assert len(set(names)) == len(names) == size
    assert list(names) == sorted(names)
    assert ("h#" in names, "q" in names, "sil" in names) == (
        (True, True, False) if size == 61 else (False, False, True)
    )


def test_clips_of_which_nothing_is_known_are_left_out_where_phones_are_asked_for(tmp_path):
    for name, clips, chosen in (
        ("timed", [Utterance(300, TIMED), Utterance(300, text="hi"), Utterance(300), Utterance(300, TIMED)], [0, 3]),
        ("texts", [Utterance(300, text="hi"), Utterance(300), Utterance(300, text="ho")], [0, 2]),
        ("neither", [Utterance(300), Utterance(300)], []),
    ):
        (tmp_path / name).mkdir()
        data = Speech(tmp_path / name, clips, Crops())
        assert data.clips_of("train").tolist() == list(range(len(clips)))
        data.connect(PHONES)
        assert data.clips_of("train").tolist() == chosen
        assert data.clips_of("test").tolist() == []
