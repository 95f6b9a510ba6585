"""Speakers who train, validate and test, by lot and by name."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from recordings import opened, ramps, write_clips

from datamodules import Crops, Split
from datamodules.splits import divide
from lightning_wavenet.errors import CorpusError, RequestError

SPEAKERS = [f"p{number}" for number in range(20) for _ in range(7)]
SENTENCES = [f"{number}" for _ in range(20) for number in range(7)]
NOBODY = [None] * len(SPEAKERS)


def splits_of_speakers(splits: list[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for speaker, name in zip(SPEAKERS, splits, strict=True):
        found.setdefault(speaker, set()).add(name)
    return found


def test_speakers_are_divided_whole_whatever_they_read():
    found = splits_of_speakers(divide(SENTENCES, NOBODY, Split(0.2, 0.1, by="speaker"), SPEAKERS))
    assert all(len(names) == 1 for names in found.values())
    # The first by their hash, which is that of `sha256sum`: published splits must never change.
    ranked = sorted(found, key=lambda name: hashlib.sha256(f"0:{name}".encode()).hexdigest())
    right = ["validation"] * 4 + ["test"] * 2 + ["train"] * 14
    assert [next(iter(found[name])) for name in ranked] == right
    assert found != splits_of_speakers(divide(SENTENCES, NOBODY, Split(0.2, 0.1, 1, "speaker"), SPEAKERS))
    # By sentence every speaker is in all of them.
    assert max(map(len, splits_of_speakers(divide(SENTENCES, NOBODY, Split(0.2, 0.2), SPEAKERS)).values())) == 3


def test_named_speakers_go_where_they_are_sent_and_nobody_else():
    split = Split(0.5, 0.25, by="speaker", validation_speakers=["p3", "p5"], test_speakers=["p4"])
    found = splits_of_speakers(divide(SENTENCES, NOBODY, split, SPEAKERS))
    held_out = {"p3": {"validation"}, "p5": {"validation"}, "p4": {"test"}}
    assert found == {name: held_out.get(name, {"train"}) for name in SPEAKERS}


def test_a_split_whose_speakers_are_not_named_is_filled_by_its_fraction():
    splits = divide(SENTENCES, NOBODY, Split(0.5, 0.2, by="speaker", validation_speakers=["p3"]), SPEAKERS)
    # 0.2 of the 19 others are 4 speakers, of 7 clips each.
    assert Counter(splits) == {"validation": 7, "test": 4 * 7, "train": 15 * 7}
    assert splits_of_speakers(splits)["p3"] == {"validation"}


def test_names_weigh_more_than_the_corpus():
    given = ["test" if name == "p1" else "train" if name == "p2" else None for name in SPEAKERS]
    split = Split(0, 0, by="speaker", validation_speakers=["p1", "p2"])
    found = splits_of_speakers(divide(SENTENCES, given, split, SPEAKERS))
    assert found == {name: {"validation"} if name in ("p1", "p2") else {"train"} for name in SPEAKERS}


def test_by_sentence_a_named_speaker_draws_along_what_others_read_of_the_same():
    keys, speakers = ["x", "y", "x", "z", "y", "z"], ["a", "a", "b", "b", "c", "c"]
    splits = divide(keys, [None] * 6, Split(0, 0, validation_speakers=["a"]), speakers)
    assert splits == ["validation", "validation", "validation", "train", "validation", "train"]


@pytest.mark.parametrize(
    ("split", "speakers", "message"),
    [
        (Split(test_speakers=["p3", "who"]), ["p3", "p4"], "no speaker 'who' among its 2$"),
        (Split(validation_speakers=["p3"]), ["", ""], "no speaker 'p3' among its 0$"),
        (Split(validation_speakers=["p3"]), [], "no speaker 'p3' among its 0$"),
        (Split(by="speaker"), [], r"split\.by is speaker, but the corpus does not say who speaks"),
        (Split(by="speaker"), ["p3", ""], r"split\.by is speaker, but the corpus does not say who speaks"),
    ],
)
def test_speakers_that_the_corpus_does_not_have(split, speakers, message):
    with pytest.raises(RequestError, match=message):
        divide(["a", "b"], [None, None], split, speakers)


def test_nobody_both_validates_and_tests():
    with pytest.raises(RequestError, match="speaker 'p3' cannot both validate and test"):
        Split(validation_speakers=["p1", "p3"], test_speakers=["p3"])


def test_somebody_must_be_left_to_train_on():
    with pytest.raises(CorpusError, match="2 distinct sentences, clips or speakers are too few to hold out 2"):
        divide(["x", "y", "z"], [None] * 3, Split(by="speaker"), ["a", "a", "b"])
    with pytest.raises(CorpusError, match="nothing to train on"):
        divide(["x", "y"], [None] * 2, Split(0, 0, validation_speakers=["a"], test_speakers=["b"]), ["a", "b"])


def test_a_folder_is_divided_by_its_speakers(tmp_path):
    for name in ("ann", "bo", "cy"):
        write_clips(tmp_path / "corpus" / name, ramps([50, 60]))
    split = Split(0, 0, by="speaker", validation_speakers=["bo"], test_speakers=["cy"])
    data = opened(tmp_path / "corpus", Crops(20), split, r"(?P<speaker>\w+)/")
    found = {
        name: {data.clips.value("speaker", clip) for clip in data.clips_of(name)}
        for name in ("train", "validation", "test")
    }
    assert found == {"train": {"ann"}, "validation": {"bo"}, "test": {"cy"}}
