"""MagnaTagATune in its layout: lists, tags, folders and artists, and the three clips that are published empty."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from datamodules import Audio, Crops, MagnaTagATuneDataModule, Split
from datamodules.music_tags import SYNONYMS, merged
from lightning_wavenet.cli.data import main
from lightning_wavenet.data.batch import Request
from lightning_wavenet.errors import CorpusError, RequestError

RATE = 8_000
TAGS = ("guitar", "guitars", "slow", "no vocals", "weird")
EMPTY = "6/norine_braun-now_and_zen-08-gently-117-146"

Row = tuple[str, Sequence[str], str]
"""Of a clip FOLDER/NAME, its tags and its artist."""


def write_lists(root: Path, rows: Sequence[Row], tags: Sequence[str] = TAGS) -> None:
    """Every value in quotes and a tab between them, as published."""
    root.mkdir(parents=True, exist_ok=True)
    quoted = {"delimiter": "\t", "quoting": csv.QUOTE_ALL}
    with (root / "annotations_final.csv").open("w", newline="") as file:
        lines = csv.writer(file, **quoted)
        lines.writerow(["clip_id", *tags, "mp3_path"])
        lines.writerows([n, *(int(tag in held) for tag in tags), f"{id}.mp3"] for n, (id, held, _) in enumerate(rows))
    with (root / "clip_info_final.csv").open("w", newline="") as file:
        lines = csv.writer(file, **quoted)
        lines.writerow(["clip_id", "track_number", "title", "artist", "album", "mp3_path"])
        lines.writerows([n, 1, 'The "9th"', artist, "x", f"{id}.mp3"] for n, (id, _, artist) in enumerate(rows))


def write_audio(root: Path, ids: Sequence[str], suffix: str = ".wav", audio: bool = False) -> None:
    for id in ids:
        path = root / "mp3" / f"{id}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if audio:
            sf.write(path, 0.3 * np.sin(np.arange(RATE) / 9), RATE)
        else:
            path.touch()


def module(root: Path, **options) -> MagnaTagATuneDataModule:
    return MagnaTagATuneDataModule(root, audio=Audio(RATE), **{"min_clips": 0} | options)


def test_folders_decide_the_split_and_what_is_missing_is_named(tmp_path):
    ids = ["0/a-x-1-0-29", "b/b-x-1-0-29", "c/c-x-1-0-29", "d/d-x-1-0-29", "f/e-x-1-0-29"]
    others = ["1/gone-x-1-0-29", EMPTY, "0/a-x-1-0-29", "g/f-x-1-0-29"]
    root = tmp_path / "MagnaTagATune"
    write_lists(root, [(id, ["slow"], id[2:3]) for id in [*ids, *others]])
    with (root / "annotations_final.csv").open("a") as file:
        file.write('"99"\t"1"\n')
    write_audio(root, ids)
    write_audio(root, [EMPTY, "7/new-x-1-0-29"], ".mp3")
    listing = module(tmp_path).listing()
    assert listing.root == root
    splits = ["train", "train", "validation", "test", "test"]
    assert [(one.id, one.split, one.speaker, one.tags) for one in listing.records] == [
        (id, split, id[2:3], ("slow",)) for id, split in zip(ids, splits, strict=True)
    ]
    assert {problem.id: problem.reason for problem in listing.problems} == {
        "1/gone-x-1-0-29": "tags without a recording",
        EMPTY: "published as an empty file, as three clips are",
        "0/a-x-1-0-29": "listed twice in annotations_final.csv",
        "line 10": "line of annotations_final.csv whose mp3_path is not FOLDER/NAME.mp3, FOLDER one of 0 to 9, a to f",
        "line 11": "line of annotations_final.csv that has not as many columns as its first",
        "7/new-x-1-0-29": "recording without tags",
    }


def test_what_is_no_such_corpus_is_one_line(tmp_path):
    with pytest.raises(CorpusError, match=r"^no MagnaTagATune: neither .* has annotations_final\.csv in it$"):
        module(tmp_path).listing()
    (tmp_path / "annotations_final.csv").write_text("clip_id,slow\n1,0\n")
    with pytest.raises(CorpusError, match="no folders 0 to 9 and a to f"):
        module(tmp_path).listing()
    (tmp_path / "0").mkdir()
    with pytest.raises(CorpusError, match=r"has no column clip_id: it has a tab between columns"):
        module(tmp_path).listing()
    write_lists(tmp_path, [("0/a-x-1-0-29", [], "a")])
    with pytest.raises(CorpusError, match="has no recording of the clips that"):
        module(tmp_path).listing()
    with pytest.raises(RequestError, match=r"^data\.min_clips is -1, but must not be negative$"):
        module(tmp_path, min_clips=-1)


# Clips 0 to 3 train, 4 tests: guitar of 0 and 4, guitars of 0 and 1, slow of 1 and 2, "no vocals" of 3, weird of 4.
TAGGED = [
    ("0/a-x-1-0-29", ("guitar", "guitars"), "a"),
    ("1/b-x-1-0-29", ("guitars", "slow"), "b"),
    ("2/b-x-1-0-29", ("slow",), "b"),
    ("3/c-x-1-0-29", ("no vocals",), "c"),
    ("d/b-x-2-0-29", ("guitar", "weird"), "b"),
]


@pytest.mark.parametrize(
    ("options", "tags", "left_out"),
    [
        (
            {"min_clips": 2},
            [("guitar",), ("guitar", "slow"), ("slow",), (), ("guitar",)],
            "2 tags of fewer than 2 clips to train on are left out (data.min_clips): no singer, strange",
        ),
        (
            {"min_clips": 0},
            [("guitar",), ("guitar", "slow"), ("slow",), ("no singer",), ("guitar", "strange")],
            None,
        ),
        (
            {"min_clips": 2, "merge_tags": False},
            [("guitars",), ("guitars", "slow"), ("slow",), (), ()],
            "3 tags of fewer than 2 clips to train on are left out (data.min_clips): guitar, no vocals, weird",
        ),
    ],
)
def test_tags_that_say_the_same_are_one_and_rare_ones_are_left_out(tmp_path, options, tags, left_out):
    write_lists(tmp_path, TAGGED)
    write_audio(tmp_path, [id for id, _, _ in TAGGED])
    listing = module(tmp_path, **options).listing()
    assert [record.tags for record in listing.records] == tags
    assert [one.reason for one in listing.problems if one.id == "annotations_final.csv"] == [left_out][: bool(left_out)]


def test_merging_leaves_134_of_188_tags():
    others = [tag for merges in SYNONYMS.values() for tag in merges]
    assert len(set(others)) == len(others) == 188 - 134
    assert not set(others) & SYNONYMS.keys()
    assert merged(("women", "slow", "female vocal", "female")) == ("female", "slow")


def test_artists_on_both_sides_are_counted_or_kept_apart(tmp_path):
    write_lists(tmp_path, TAGGED)
    write_audio(tmp_path, [id for id, _, _ in TAGGED], audio=True)
    (told,) = [one.reason for one in module(tmp_path).listing().problems]
    assert told == "1 artists have clips to train on and others to validate or test on; data.split_by artist parts them"
    data = module(tmp_path, split_by="artist", split=Split(0.3, 0.3))
    data.setup()
    assert not data.problems
    of = {}
    for artist, split in zip(data.clips.values("speaker"), data.clips.splits, strict=True):
        of.setdefault(artist, set()).add(split)
    assert sorted(map(len, of.values())) == [1, 1, 1]
    assert set.union(*of.values()) == {"train", "validation", "test"}


def test_tags_reach_the_batch_and_the_description(tmp_path, capsys):
    rows = [
        (f"{folder}/{folder}-x-1-0-29", tags, folder)
        for folder, tags in zip("05cd", 2 * (TAGS[:2], TAGS[2:3]), strict=True)
    ]
    write_lists(tmp_path, rows)
    write_audio(tmp_path, [id for id, _, _ in rows], ".mp3", audio=True)
    data = module(tmp_path, min_clips=1, crops=Crops(100), batch_size=2)
    data.setup()
    data.connect(Request(frozenset({"tags"})))
    assert data.vocabulary.tags == ("guitar", "slow")
    batch = data.prompts(2, 100, "train")
    assert batch.ids == [rows[0][0], rows[1][0]]
    assert batch.tags.tolist() == [[1, 0], [0, 1]]
    arguments = ["describe", "--data=MagnaTagATuneDataModule", f"--data.root={tmp_path}", "--data.min_clips=1"]
    main([*arguments, f"--data.audio.sample_rate={RATE}"])
    said = [line.strip("\u2502 ") for line in capsys.readouterr().out.splitlines()]
    assert [" ".join(line.replace("\u2502", "").split()) for line in said if "guitar" in line or "slow" in line] == [
        "guitar 1 clips, 0.0 min",
        "slow 1 clips, 0.0 min",
    ]
    assert any("2 (clips of the training split)" in line for line in said)


def test_the_real_clip_is_decoded_whole(tmp_path, real_corpus):
    """Its header promises 468,340 samples, and every decoder finds 465,984."""
    (clip,) = (real_corpus("mtat_mini") / "mp3" / "e").glob("*.mp3")
    id = f"e/{clip.stem}"
    write_lists(tmp_path, [(id, ("slow",), "Joram"), *TAGGED[:2]])
    write_audio(tmp_path, [one for one, _, _ in TAGGED[:2]], audio=True)
    (tmp_path / "mp3" / "e").mkdir()
    shutil.copy(clip, tmp_path / "mp3" / "e")
    data = module(tmp_path)
    data.setup()
    assert not data.problems
    place = data.clips.ids.index(id)
    assert (data.clips.splits[place], data.clips.value("speaker", place)) == ("test", "Joram")
    assert data.clips.file_rate(place) == 16_000
    assert data.clips.lengths[place] == 465_984 // 2
