"""TIMIT in its layouts, on stand-ins that have the standard division's size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from stand_ins import write_timit, write_timit_sample

from datamodules import Audio, Phone, Split, TIMITDataModule
from datamodules.timit import _CORE_TEST, _DEVELOPMENT
from lightning_wavenet.errors import CorpusError, RequestError

RATE = 16_000
SHARED = Path(__file__).parents[2] / "shared" / "data" / "timit_sample"


def module(root: Path, split: Split | None = None, **options: object) -> TIMITDataModule:
    audio = Audio(RATE, cache_dir=root.parent / "cache")
    return TIMITDataModule(root, audio=audio, split=split or Split(0.2, 0.2), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("upper", [True, False])
def test_the_standard_division(tmp_path, upper):
    listing = module(write_timit(tmp_path / "corpus", upper)).listing()
    of = {name: [r for r in listing.records if r.split == name] for name in ("train", "validation", "test")}
    assert {name: len(records) for name, records in of.items()} == {"train": 3_696, "validation": 400, "test": 192}
    assert not listing.problems
    assert {record.speaker for record in of["validation"]} == _DEVELOPMENT
    assert {record.speaker for record in of["test"]} == _CORE_TEST
    assert not any("_sa" in record.id for record in listing.records)
    assert len({record.id for record in listing.records}) == 3_696 + 400 + 192


def test_standard_speakers_are_50_and_24_with_two_men_and_a_woman_of_each_region():
    assert len(_DEVELOPMENT) == 50
    assert len(_CORE_TEST) == 24
    assert not _DEVELOPMENT & _CORE_TEST
    assert sum(name.startswith("f") for name in _CORE_TEST) == 8


def test_says_what_is_missing(tmp_path):
    root = write_timit(tmp_path / "corpus")
    region = next(path.parent for path in root.rglob("FADG0"))
    (region / "FADG0" / "SX1.WAV").unlink()
    (region / "FADG0" / "SX2.PHN").unlink()
    (region / "FADG0" / "SX3.PHN").write_text("0 500 h#\nnonsense\n")
    core = next(root.rglob("MDAB0"))
    for file in core.iterdir():
        file.unlink()
    said = {problem.id: problem.reason for problem in module(root).listing().problems}
    assert said["fadg0_sx1"] == "phones without a recording"
    assert said["fadg0_sx2"] == "recording without phones"
    assert "line 2" in said["fadg0_sx3"]
    assert said["mdab0"] == "no utterances in the speaker's folder"
    assert "400 utterances of 50 speakers, this copy 397 of 50; fewer than 8 by fadg0" in said["validation"]
    assert "192 utterances of 24 speakers, this copy 184 of 23" in said["test"]
    assert "train" not in said


@pytest.mark.parametrize(
    ("phone_set", "labels"), [(61, "h# q bcl b ao h#"), (48, "sil vcl b ao sil"), (39, "sil sil b aa sil")]
)
def test_phones_texts_and_audio(tmp_path, phone_set, labels):
    data = module(write_timit(tmp_path / "corpus", speakers=2, audio=True), phone_set=phone_set)
    data.prepare_data()
    data.setup()
    clips = data.clips
    assert [phone.label for phone in clips.value("phones", 0)] == labels.split()
    assert clips.value("phones", 0)[-2] == Phone(labels.split()[-2], 1300, 1800)
    assert set(clips.values("text")) == {"Bore, said she."}
    assert set(clips.lengths) == {2_000}


def test_phones_are_resampled_and_trimmed_with_the_audio(tmp_path):
    wave = np.zeros(8_000, np.int16)
    wave[3_200:6_400] = 8_000
    (tmp_path / "dr1-fabc0").mkdir()
    sf.write(tmp_path / "dr1-fabc0" / "sx1.wav", wave, RATE)
    (tmp_path / "dr1-fabc0" / "sx1.phn").write_text("0 1000 h#\n1000 3200 pau\n3200 6400 aa\n6400 8000 h#\n")
    audio = Audio(8_000, trim_silence_db=20, cache_dir=tmp_path / "cache")
    data = TIMITDataModule(tmp_path, audio=audio, split=Split(0, 0))
    data.setup()
    # At 8 kHz, and from 50 ms (400 samples) before the sound, which begins at 1,600.
    phones = [Phone("pau", 0, 400), Phone("aa", 400, 2_000), Phone("h#", 2_000, 2_400)]
    assert data.clips.value("phones", 0) == phones
    assert data.clips.lengths[0] == 2_400


def test_a_sample_is_divided_between_speakers(tmp_path):
    write_timit_sample(tmp_path / "timit", ("fvmh0", "mcpm0", "faem0", "marc0", "falk0"))
    data = module(tmp_path / "timit")
    data.setup()
    by_speaker = {}
    for speaker, split in zip(data.clips.values("speaker"), data.clips.splits, strict=True):
        assert by_speaker.setdefault(speaker, split) == split
    assert sorted(by_speaker.values()) == ["test", "train", "train", "train", "validation"]
    chosen = module(tmp_path / "timit", Split(validation_speakers=["falk0"], test_speakers=["marc0"]))
    chosen.setup()
    found = dict(zip(chosen.clips.values("speaker"), chosen.clips.splits, strict=True))
    assert found == {"falk0": "validation", "marc0": "test", **dict.fromkeys(("fvmh0", "mcpm0", "faem0"), "train")}
    with pytest.raises(RequestError, match="no speaker 'nobody' among its 5"):
        module(tmp_path / "timit", Split(test_speakers=["nobody"])).setup()


def test_named_speakers_go_where_they_are_sent_wherever_the_division_has_them(tmp_path):
    split = Split(validation_speakers=["mzza0", "fabx0"], test_speakers=["fadg0"])
    listing = module(write_timit(tmp_path / "corpus", speakers=50), split).listing()
    found = {record.speaker: record.split for record in listing.records}
    assert (found["mzza0"], found["fabx0"], found["fadg0"]) == ("validation", "validation", "test")
    assert found["faax0"] == "train"
    # One that nobody named and the standard division does not use is still not used.
    assert "mzzb0" not in found
    # A division of one's own lacks nothing.
    assert not listing.problems


def test_what_is_no_timit(tmp_path):
    with pytest.raises(CorpusError, match="is not a folder"):
        module(tmp_path / "none").listing()
    (tmp_path / "other" / "dr1").mkdir(parents=True)
    with pytest.raises(CorpusError, match="TRAIN/DR1/FCJF0"):
        module(tmp_path / "other").listing()


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no TIMIT sample in {SHARED}")
def test_the_sample_of_nltk(tmp_path):
    data = TIMITDataModule(SHARED, audio=Audio(RATE, cache_dir=tmp_path), split=Split(0.1, 0.1))
    listing = data.listing()
    assert len(listing.records) == 96
    assert not listing.problems
    data.setup()
    labels = {phone.label for phones in data.clips.values("phones") for phone in phones}
    assert len(labels) == 61
    for phones, samples in zip(data.clips.values("phones"), data.clips.lengths, strict=True):
        # Recordings go on for up to a fifth of a second after what is labelled.
        assert phones[0].start == 0
        assert samples - 0.2 * RATE <= phones[-1].end <= samples
