"""Texts without a word that can be pronounced, and results that would replace one another."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from jsonargparse import ArgumentError
from recordings import RATE, opened, write_clips

from datamodules import Crops, Split
from datamodules.transcripts import has_words
from lightning_wavenet.cli.data import main as data_main
from lightning_wavenet.data.batch import Request
from lightning_wavenet.errors import RequestError
from lightning_wavenet.files.atomic import need_distinct

SPOKEN = Request(frozenset({"phones", "transcript"}), hop=80, history=80, whole_clips=True)


def corpus(root: Path, texts: list[str]) -> Path:
    write_clips(root, [np.full(800, 1_000, np.int16)] * len(texts))
    for number, text in enumerate(texts):
        (root / f"clip_{number:03d}.txt").write_text(text, "utf-8")
    return root


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("你好", False),
        ("Привет!", False),
        ("...", False),
        ("\u2019", False),
        ("Γεια —", False),
        ("é", True),
        ("7", True),
        ("Hi", True),
        ("Æ", True),
        ("Say привет", False),
        ("See {below}", False),
        ("{b õ}", True),
    ],
)
def test_words_are_told_from_other_scripts(text: str, spoken: bool) -> None:
    assert has_words(text) == spoken


@pytest.mark.parametrize("texts", [["\u4f60\u597d"] * 3, ["\u0393\u03b5\u03b9\u03b1", "...", ""]])
def test_a_corpus_without_a_word_is_refused_where_phones_are_asked_for(tmp_path: Path, texts: list[str]) -> None:
    root = corpus(tmp_path / "corpus", texts)
    opened(root, Crops(100))  # Its audio can be trained on.
    with pytest.raises(RequestError, match=r"^none of the \d texts of folder has a word .* clip_000\.wav: '.*data\.al"):
        opened(root, Crops(None), request=SPOKEN)


def test_clips_without_a_word_are_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = corpus(tmp_path / "corpus", ["one", "\u0434\u0432\u0430", "two", "?!"])
    with caplog.at_level(logging.WARNING, "datamodules"):
        data = opened(root, Crops(None), request=SPOKEN)
    message = "folder: left out 2 (clip_001.wav, clip_003.wav): text without a word that can be pronounced"
    assert caplog.messages == [message]
    assert data.train_ids == ["clip_000.wav", "clip_002.wav"]
    assert data.describe().wordless == ("clip_001.wav", "clip_003.wav")
    (root / "clip_000.phn").write_text("0 800 a\n")
    assert opened(root, Crops(None), request=SPOKEN).describe().wordless == ()  # Times count, and texts do not.


def test_results_that_would_replace_one_another_are_refused_before_work() -> None:
    need_distinct([("a.wav", Path("out/a.phn")), ("a.b", Path("out/a.b.phn"))])
    with pytest.raises(RequestError, match=r"^a\.wav and a\.flac would both be written to out/a\.phn: rename one"):
        need_distinct([("b", Path("out/b.phn")), ("a.wav", Path("out/a.phn")), ("a.flac", Path("out/a.phn"))])


def test_predictions_of_recordings_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("x.wav", "x.flac", "y.wav"):
        write_clips(tmp_path / "corpus", [np.full(800, 1_000, np.int16)], name)
    data = opened(tmp_path / "corpus", Crops(100), pattern="(?P<test>x)|y")
    with pytest.raises(RequestError, match=r"^x\.flac and x\.wav would both be written to x\.wav"):
        data.predict_dataloader()


def test_a_description_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "corpus"
    for name, seconds in (("ann/1", 0.5), ("bo/2", 1.25), ("bo/3", 2)):
        write_clips(root / name[:-2], [np.full(round(seconds * RATE), 1_000, np.int16)], f"{name[-1]}.wav")
    (root / "ann" / "1.txt").write_text("\u00c9t\u00e9")
    (root / "ann" / "1.phn").write_text(f"0 {RATE // 4} a\n{RATE // 4} {RATE // 2} b\n")
    (root / "bo" / "4.wav").touch()
    told = tmp_path / "new" / "told.json"
    arguments = [
        "describe",
        "--data",
        "AudioFolderDataModule",
        f"--data.root={root}",
        "--data.pattern=(?P<speaker>.*)/",
    ]
    arguments += [f"--data.audio.sample_rate={RATE}", "--data.split", '{"validation": 0.3, "test": 0.3}']
    data_main([*arguments, "--json", str(told)])
    found = json.loads(told.read_text("utf-8"))
    assert (found["corpus"], found["sample_rate"], found["wordless"]) == ("folder", RATE, [])
    assert found["skipped"] == [{"id": "bo/4.wav", "reason": "empty file"}]
    assert [(clip["id"], clip["seconds"], clip["speaker"], clip["text"]) for clip in found["clips"]] == [
        ("ann/1.wav", 0.5, "ann", "\u00c9t\u00e9"),
        ("bo/2.wav", 1.25, "bo", None),
        ("bo/3.wav", 2.0, "bo", None),
    ]
    assert [clip["phones"] for clip in found["clips"]] == [
        [{"phone": "a", "start": 0, "end": 0.25}, {"phone": "b", "start": 0.25, "end": 0.5}],
        [],
        [],
    ]
    data = opened(root, Crops(100), Split(0.3, 0.3), pattern="(?P<speaker>.*)/")
    assert [clip["split"] for clip in found["clips"]] == list(data.clips.splits)
    with pytest.raises(RequestError, match=r"told\.json exists: choose another --json, or say --overwrite"):
        data_main([*arguments, "--json", str(told)])
    data_main([*arguments, "--json", str(told), "--overwrite"])
    with pytest.raises(ArgumentError):
        data_main(["prepare", *arguments[1:], "--json", str(told)])
