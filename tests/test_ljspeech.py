"""LJSpeech in its layout, and folders with texts and phone times beside the recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from recordings import RATE, opened, write_clips

from datamodules import Audio, Crops, LJSpeechDataModule, Phone, Split
from lightning_wavenet.errors import CorpusError


def write_ljspeech(root: Path, lines: list[str], recordings: list[str], audio: bool = True) -> Path:
    (root / "wavs").mkdir(parents=True)
    (root / "metadata.csv").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    for id in recordings:
        if audio:
            sf.write(root / "wavs" / f"{id}.wav", np.full(500, 1_000, np.int16), RATE)
        else:
            (root / "wavs" / f"{id}.wav").touch()
    return root


def module(root: Path) -> LJSpeechDataModule:
    audio = Audio(RATE, cache_dir=root.parent / "cache")
    return LJSpeechDataModule(root, audio=audio, split=Split(0.2, 0.2))


def test_texts_are_those_in_words_and_quotes_are_letters_like_others(tmp_path):
    lines = [
        'LJ001-0001|He said: "no|He said: "no',
        'LJ001-0002|"In 1800|"In  eighteen hundred',
        "LJ001-0003|only once|",
        'LJ001-0004|a "b", c|a "b", c',
        "LJ001-0005|caf\u00e9|caf\u00e9",
    ]
    root = write_ljspeech(tmp_path / "LJSpeech-1.1", lines, [line[:10] for line in lines])
    data = module(tmp_path)
    listing = data.listing()
    assert not listing.problems
    texts = ['He said: "no', '"In eighteen hundred', "only once", 'a "b", c', "caf\u00e9"]
    assert [record.text for record in listing.records] == texts
    assert {record.split for record in listing.records} == {None}
    assert listing.root == root
    data.setup()
    assert sorted(data.clips.splits) == ["test", "train", "train", "train", "validation"]
    assert data.clips.values("text") == texts


def test_says_what_is_missing(tmp_path):
    lines = ["LJ001-0001|a|a", "LJ001-0002|b|b", "nonsense", "", "LJ001-0004|d|d", "LJ001-0001|again|again"]
    root = write_ljspeech(tmp_path / "corpus", lines, ["LJ001-0001", "LJ001-0003", "LJ001-0004"])
    listing = module(root).listing()
    assert [record.id for record in listing.records] == ["LJ001-0001", "LJ001-0004"]
    assert {problem.id: problem.reason for problem in listing.problems} == {
        "line 3": "line of metadata.csv that is not 'ID|TEXT|TEXT IN WORDS'",
        "LJ001-0001": "listed twice in metadata.csv",
        "LJ001-0002": "text without a recording",
        "LJ001-0003": "recording without a text",
    }
    with pytest.raises(CorpusError, match=r"neither .*none nor a folder in it has metadata\.csv and wavs"):
        module(tmp_path / "none").listing()
    empty = write_ljspeech(tmp_path / "empty", lines, [])
    with pytest.raises(CorpusError, match="none of its 3 texts has a recording"):
        module(empty).listing()


def test_a_hundred_sentences_are_held_out_for_each_and_always_the_same(tmp_path):
    ids = [f"LJ{part:03d}-{number:04d}" for part in range(1, 52) for number in range(1, 281)][:13_100]
    lines = [f"{id}|x|x" for id in ids]
    one = module(write_ljspeech(tmp_path / "one", lines, ids, audio=False)).listing()
    assert not one.problems
    splits = {record.id: record.split for record in one.records}
    counts = {name: list(splits.values()).count(name) for name in ("train", "validation", "test")}
    assert counts == {"train": 12_900, "validation": 100, "test": 100}
    # Spread over the corpus, and not its beginning.
    assert len({id[:5] for id, split in splits.items() if split == "test"}) > 30
    (tmp_path / "one" / "wavs" / f"{ids[-1]}.wav").unlink()
    (tmp_path / "one" / "metadata.csv").write_text("".join(f"{line}\n" for line in reversed(lines[:-1])))
    listing = module(tmp_path / "one").listing()
    assert [problem.reason for problem in listing.problems] == [
        "recordings of 13,100 sentences belong to release 1.1, and this copy has 13,099"
    ]
    moved = [record.id for record in listing.records if record.split != splits[record.id]]
    assert len(moved) <= 2


def test_the_real_sample(real_corpus, tmp_path):
    data = LJSpeechDataModule(real_corpus("LJSpeech-1.1"), audio=Audio(16_000, cache_dir=tmp_path))
    listing = data.listing()
    assert len(listing.records) == 100
    assert not listing.problems
    assert listing.records[0].text.startswith("Printing, in the only sense with which we are at present concerned,")


def test_texts_and_phone_times_beside_recordings_are_read(tmp_path):
    write_clips(tmp_path / "corpus", [np.full(800, 1_000, np.int16)] * 4)
    (tmp_path / "corpus" / "clip_000.txt").write_text(" two\n words ")
    (tmp_path / "corpus" / "clip_000.phn").write_text("0 300 sil\n300 800 a\n")
    (tmp_path / "corpus" / "clip_001.phn").write_text("0 300\n")
    data = opened(tmp_path / "corpus", Crops())
    assert data.clips.values("text") == ["two words", "", ""]
    assert data.clips.values("phones") == [[Phone("sil", 0, 300), Phone("a", 300, 800)], [], []]
    skipped = data.describe().skipped
    assert list(skipped.values()) == [("clip_001.wav",)]
    assert "line 1" in next(iter(skipped))
