import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jsonargparse
import numpy as np
import pytest
import soundfile as sf
from recordings import RATE, opened, ramps, values, write_clips

from datamodules import Audio, AudioDataModule, AudioFolderDataModule, Crops, Listing, Split, VCTKDataModule
from datamodules.splits import divide
from lightning_wavenet.data.batch import Request
from lightning_wavenet.errors import CorpusError, RequestError

CROPS = Crops(100)
NO_SPLIT = Split(validation=0, test=0)


class TestDivide:
    def test_holds_out_the_asked_fractions_of_keys(self) -> None:
        keys = [f"k{index}" for index in range(200)] * 3
        splits = divide(keys, [None] * 600, Split(0.1, 0.05))
        assert Counter(splits[:200]) == {"train": 170, "validation": 20, "test": 10}
        assert splits[:200] == splits[200:400] == splits[400:]

    def test_depends_on_keys_and_seed_alone(self) -> None:
        keys = [f"k{index}" for index in range(100)]
        one = dict(zip(keys, divide(keys, [None] * 100, Split(0.2, 0.2)), strict=True))
        other = dict(zip(keys[::-1], divide(keys[::-1], [None] * 100, Split(0.2, 0.2)), strict=True))
        reseeded = dict(zip(keys, divide(keys, [None] * 100, Split(0.2, 0.2, seed=1)), strict=True))
        assert one == other
        assert one != reseeded
        # Found by `sha256sum` over "0:k0" to "0:k99": published splits must never change.
        assert [key for key, name in one.items() if name == "validation"][:4] == ["k1", "k6", "k12", "k13"]

    def test_small_corpora_hold_out_one(self) -> None:
        assert Counter(divide(["a", "b", "c"], [None] * 3, Split(0.05, 0.05))) == {
            "train": 1,
            "validation": 1,
            "test": 1,
        }
        assert Counter(divide(["a", "b", "c"], [None] * 3, Split(0.05, 0))) == {"train": 2, "validation": 1}
        assert divide(["a"], [None], NO_SPLIT) == ["train"]

    def test_too_small(self) -> None:
        with pytest.raises(
            CorpusError, match=r"^2 distinct .* hold out 2 .* set split\.validation or split\.test to 0$"
        ):
            divide(["a", "b", "a"], [None] * 3, Split())
        with pytest.raises(CorpusError, match="nothing to train on"):
            divide(["a"], ["test"], Split())

    def test_what_the_corpus_gives_stays(self) -> None:
        keys = [f"k{index}" for index in range(100)]
        splits = divide(keys, ["test"] * 10 + [None] * 90, Split(0.1, 0.5))
        assert splits[:10] == ["test"] * 10
        assert Counter(splits[10:]) == {"train": 81, "validation": 9}
        assert divide(["a", "b", "a"], [None, None, "test"], NO_SPLIT) == ["test", "train", "test"]


def write_vctk(root: Path, release: str) -> Path:
    """Three speakers: the first three sentences are read by all, the others by one speaker each."""
    folder = root / {"0.92": "VCTK-Corpus-0.92", "0.80": "VCTK-Corpus"}[release]
    clips = iter(ramps([40] * 100))
    for speaker in ("p225", "p280", "p315"):
        for number in (1, 2, 3, 101, 102):
            stem = f"{speaker}_{number:03d}"
            if speaker != "p315":
                text = f"Sentence {number}." if number < 100 else f"{speaker} says {number}."
                (folder / "txt" / speaker).mkdir(parents=True, exist_ok=True)
                # As speakers differ in punctuation and case.
                (folder / "txt" / speaker / f"{stem}.txt").write_text(
                    text.upper() if speaker == "p280" else text + "\n"
                )
            if release == "0.80":
                write_clips(folder / "wav48" / speaker, [next(clips)], f"{stem}.wav")
            else:
                for mic in ("mic1", "mic2") if speaker == "p225" else ("mic1",):
                    write_clips(folder / "wav48_silence_trimmed" / speaker, [next(clips)], f"{stem}_{mic}.flac")
    return folder


def vctk(root: Path, tmp_path: Path, split: Split = NO_SPLIT, **options: object) -> VCTKDataModule:
    audio = Audio(RATE, cache_dir=tmp_path / "cache")
    return VCTKDataModule(root, audio=audio, split=split, crops=CROPS, batch_size=4, **options)  # type: ignore[arg-type]


class TestVCTK:
    @pytest.mark.parametrize("release", ["0.80", "0.92"])
    def test_reads_both_releases_from_the_folder_or_its_parent(self, tmp_path: Path, release: str) -> None:
        folder = write_vctk(tmp_path / "corpora", release)
        for root in (folder, folder.parent):
            data = vctk(root, tmp_path)
            data.prepare_data()
            data.setup()
            assert len(data.clips) == 15
            assert data.vocabulary.speakers == ("p225", "p280", "p315")
            assert data.clips.ids[:3] == ["p225_001", "p225_002", "p225_003"]
            texts = dict(zip(data.clips.ids, data.clips.values("text"), strict=True))
            assert texts["p225_101"] == "p225 says 101."
            assert texts["p280_002"] == "SENTENCE 2."
            assert texts["p315_002"] == ""
            assert data.describe().skipped == {}
            data.connect(Request(frozenset({"text"})))
            batch = next(iter(data.train_dataloader()))
            assert batch.text == [texts[id] for id in batch.ids]

    def test_takes_the_asked_microphone(self, tmp_path: Path) -> None:
        folder = write_vctk(tmp_path, "0.92")
        for mic in ("mic1", "mic2"):
            data = vctk(folder, tmp_path, mic=mic, speakers=["p225"])
            data.setup()
            path = folder / "wav48_silence_trimmed" / "p225" / f"p225_102_{mic}.flac"
            np.testing.assert_array_equal(data.clips.pcm(4, 0, 99), sf.read(path, dtype="int16")[0])

    def test_holes_are_counted(self, tmp_path: Path) -> None:
        folder = write_vctk(tmp_path, "0.92")
        (folder / "wav48_silence_trimmed" / "p225" / "p225_102_mic1.flac").unlink()
        (folder / "wav48_silence_trimmed" / "p280" / "p280_102_mic1.flac").unlink()
        (folder / "txt" / "p225" / "p225_101.txt").unlink()
        (folder / "txt" / "p362").mkdir()
        (folder / "txt" / "p362" / "p362_001.txt").write_text("Please.")
        one, two = (vctk(folder, tmp_path, mic=mic).listing() for mic in ("mic1", "mic2"))
        assert {record.id: record.text for record in one.records}["p225_101"] == ""
        assert len(one.records) == 13
        assert [(problem.id, problem.reason) for problem in one.problems] == [
            ("p225_102", "not recorded by mic1; set mic to mic2 to have it"),
            ("p280_102", "text without a recording"),
            ("p362", "speaker without a recording"),
        ]
        assert {record.speaker for record in two.records} == {"p225"}
        assert Counter(problem.reason for problem in two.problems) == {
            "not recorded by mic2; set mic to mic1 to have it": 9,
            "text without a recording": 1,
            "speaker without a recording": 1,
        }

    def test_a_sentence_is_in_one_split(self, tmp_path: Path) -> None:
        folder = write_vctk(tmp_path, "0.92")
        for seed in range(5):
            data = vctk(folder, tmp_path, Split(0.3, 0.3, seed))
            data.setup()
            where = dict(zip(data.clips.ids, data.clips.splits, strict=True))
            # p315 has no texts, and goes with the others on the shared sentences.
            for number in ("001", "002", "003"):
                assert len({where[f"{speaker}_{number}"] for speaker in ("p225", "p280", "p315")}) == 1
            assert set(where.values()) == {"train", "validation", "test"}
        keys = dict(zip(data.clips.ids, data.clips.split_keys, strict=True))
        assert keys["p225_001"] == keys["p280_001"] == keys["p315_001"] == "sentence 1"
        # 3 shared, 2 of each of the two speakers with texts, 2 of p315 that stand for themselves.
        assert len(set(keys.values())) == 9
        assert keys["p315_101"] == "p315_101"

    def test_chosen_speakers(self, tmp_path: Path) -> None:
        folder = write_vctk(tmp_path, "0.80")
        assert {record.speaker for record in vctk(folder, tmp_path, speakers=["p315", "p225"]).listing().records} == {
            "p225",
            "p315",
        }
        with pytest.raises(RequestError, match=r"^unknown speaker 'p1'; .*wav48 has 3: p225, p280, p315$"):
            vctk(folder, tmp_path, speakers=["p225", "p1"]).listing()

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match=r"^no VCTK corpus: neither .* wav48_silence_trimmed or wav48 in it$"):
            vctk(tmp_path, tmp_path).listing()
        with pytest.raises(CorpusError, match="no VCTK corpus"):
            vctk(tmp_path / "nowhere", tmp_path).listing()
        old = write_vctk(tmp_path, "0.80")
        with pytest.raises(CorpusError, match=r"0\.80, recorded with one microphone; set mic to mic1$"):
            vctk(old, tmp_path, mic="mic2").listing()
        new = write_vctk(tmp_path, "0.92")
        with pytest.raises(CorpusError, match=r"several VCTK corpora: set root to one of .*VCTK-Corpus, .*-0\.92$"):
            vctk(tmp_path, tmp_path).listing()
        with pytest.raises(CorpusError, match="has no recording by mic2 of the speakers"):
            vctk(new, tmp_path, mic="mic2", speakers=["p280"]).listing()


DIGITS = r"(?P<label>\d)_(?P<speaker>[a-z]+)_(?:(?P<test>[0-4])|\d+)\.wav$"


def folder(root: Path, pattern: str | None = None) -> AudioFolderDataModule:
    return AudioFolderDataModule(root, pattern, audio=Audio(RATE), split=NO_SPLIT, crops=CROPS)


class TestAudioFolder:
    def test_finds_every_kind_in_every_folder(self, tmp_path: Path) -> None:
        root = tmp_path / "corpus"
        names = ["b/c.FLAC", "a.wav", "b/a.ogg", "b/d/x.Mp3", "b/notes.txt", ".hidden.wav", "b/.h/y.wav", "z.wav.part"]
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        (root / "folder.wav").mkdir()
        assert [record.id for record in folder(root).listing().records] == ["a.wav", "b/a.ogg", "b/c.FLAC", "b/d/x.Mp3"]

    def test_decodes_every_kind(self, tmp_path: Path) -> None:
        root = tmp_path / "corpus"
        root.mkdir()
        tone = 0.5 * np.sin(np.arange(16_000) / 5)
        for name in ("a.WAV", "b.flac", "c.ogg", "d.mp3"):
            sf.write(root / name, tone, 16_000, format=name[2:].upper())
        data = opened(root, CROPS)
        assert data.clips.ids == ["a.WAV", "b.flac", "c.ogg", "d.mp3"]
        assert data.clips.rms.tolist() == pytest.approx([0.5**1.5] * 4, rel=0.02)

    def test_pattern_gives_speaker_label_and_split(self, tmp_path: Path) -> None:
        root = tmp_path / "corpus"
        names = ["7_ann_0.wav", "7_ann_4.wav", "7_ann_40.wav", "7_ann_5.wav", "0_bob_3.wav", "readme_1.wav"]
        write_clips(root, [ramps([9])[0]])
        (root / "clip_000.wav").unlink()
        for name in names:
            write_clips(root, ramps([9]), name)
        listing = folder(root, DIGITS).listing()
        assert {record.id: (record.label, record.speaker, record.split) for record in listing.records} == {
            "7_ann_0.wav": ("7", "ann", "test"),
            "7_ann_4.wav": ("7", "ann", "test"),
            "7_ann_40.wav": ("7", "ann", None),
            "7_ann_5.wav": ("7", "ann", None),
            "0_bob_3.wav": ("0", "bob", "test"),
        }
        assert [(problem.id, problem.reason) for problem in listing.problems] == [
            ("readme_1.wav", "the pattern is not found in its path")
        ]

    def test_pattern_searches_the_path_and_knows_splits_by_name(self, tmp_path: Path) -> None:
        for name in ("train/ann/1.wav", "val/ann/2.wav", "validation/bo/3.wav", "test/4.wav", "dev/bo/5.wav"):
            write_clips((tmp_path / name).parent, ramps([9]), Path(name).name)
        listing = folder(tmp_path, r"^(?P<split>\w+)/((?P<speaker>\w+)/)?\d").listing()
        assert {record.id: record.split for record in listing.records} == {
            "train/ann/1.wav": "train",
            "val/ann/2.wav": "validation",
            "validation/bo/3.wav": "validation",
        }
        assert {problem.id: problem.reason for problem in listing.problems} == {
            "test/4.wav": "the pattern finds no speaker in its path",
            "dev/bo/5.wav": "the pattern finds 'dev' for a split, not train, validation, val, test",
        }

    def test_wrong_patterns(self, tmp_path: Path) -> None:
        with pytest.raises(RequestError, match=r"^pattern '\(' is not a regular expression: .*$"):
            folder(tmp_path, "(")
        with pytest.raises(
            RequestError, match=r"^pattern has a group 'digit', but groups can only be: speaker, label, "
        ):
            folder(tmp_path, r"(?P<digit>\d)")

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match=r"nowhere is not a folder; set root"):
            folder(tmp_path / "nowhere").listing()
        with pytest.raises(CorpusError, match=r"^no audio in .*: looked for \.wav, \.flac, \.ogg, \.mp3"):
            folder(tmp_path).listing()
        write_clips(tmp_path, ramps([9, 9]))
        with pytest.raises(CorpusError, match=r"^none of 2 files in .* clip_000\.wav: the pattern is not found"):
            folder(tmp_path, "x").listing()


class TestDataModule:
    def test_setup_comes_first(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match=r"call setup\(\) first"):
            folder(tmp_path).vocabulary  # noqa: B018

    def test_setup_is_idempotent_and_prepare_data_assigns_nothing(self, tmp_path: Path) -> None:
        write_clips(tmp_path / "corpus", ramps([50] * 20))
        audio = Audio(RATE, cache_dir=tmp_path / "cache")
        data = AudioFolderDataModule(tmp_path / "corpus", audio=audio, crops=CROPS)
        before = dict(vars(data))
        data.prepare_data()
        assert vars(data) == before
        data.setup("fit")
        clips = data.clips
        data.setup("test")
        assert data.clips is clips
        assert sorted(i for name in ("train", "validation", "test") for i in data.clips_of(name)) == list(range(20))

    def test_skips_are_said_once_a_reason(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        write_clips(tmp_path / "corpus", [*ramps([50]), *[np.zeros(9, np.int16)] * 5])
        with caplog.at_level(logging.WARNING, "datamodules"):
            opened(tmp_path / "corpus", CROPS)
        assert caplog.messages == [
            "folder: skipped 5 (clip_001.wav, clip_002.wav, clip_003.wav, ...): digital silence all through"
        ]

    def test_description(self, tmp_path: Path) -> None:
        root = tmp_path / "corpus"
        for name, value, seconds in (("a_1", 2**14, 1), ("a_2", 2**13, 2), ("b_t3", 2**12, 3), ("b_4", 0, 9)):
            write_clips(root, [np.full(seconds * RATE, value, np.int16)], f"{name}.wav")
        (root / "b_5.wav").touch()
        write_clips(root, ramps([9]), "nobody.wav")
        told = opened(root, CROPS, pattern=r"(?P<speaker>[ab])_((?P<test>t)|\d)").describe()
        assert (told.corpus, told.sample_rate) == ("folder", RATE)
        assert (told.total.clips, told.total.hours) == (3, pytest.approx(6 / 3600))
        assert {name: (of.clips, round(of.hours * 3600)) for name, of in told.splits.items()} == {
            "train": (2, 3),
            "validation": (0, 0),
            "test": (1, 3),
        }
        assert {name: (of.clips, round(of.hours * 3600)) for name, of in told.speakers.items()} == {
            "a": (2, 3),
            "b": (1, 3),
        }
        assert (told.seconds.low, told.seconds.median, told.seconds.high) == pytest.approx((1.1, 2.0, 2.9))
        for levels in (told.peak, told.rms):
            assert (levels.low, levels.median, levels.high) == pytest.approx((-17.46, -12.04, -6.62), abs=0.01)
        assert told.skipped == {
            "the pattern is not found in its path": ("nobody.wav",),
            "digital silence all through": ("b_4.wav",),
            "empty file": ("b_5.wav",),
        }

    def test_tags_reach_the_batch(self, tmp_path: Path) -> None:
        write_clips(tmp_path / "corpus", ramps([200, 200]))

        class Tagged(AudioFolderDataModule):
            def listing(self) -> Listing:
                found = super().listing()
                tags = (("slow", "harp"), ("harp", "fast"))
                records = (replace(record, tags=of) for record, of in zip(found.records, tags, strict=True))
                return replace(found, records=tuple(records))

        audio = Audio(RATE, cache_dir=tmp_path / "cache")
        data = Tagged(tmp_path / "corpus", audio=audio, split=NO_SPLIT, crops=CROPS)
        data.setup()
        data.connect(Request(frozenset({"tags"})))
        assert data.vocabulary.tags == ("fast", "harp", "slow")
        batch = data.prompts(2, 10, "train")
        assert batch.tags is not None
        assert batch.tags.tolist() == [[0, 1, 1], [1, 1, 0]]


@pytest.fixture
def parser() -> Iterator[jsonargparse.ArgumentParser]:
    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = jsonargparse.ArgumentParser(parser_mode="omegaconf+", exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_argument("--rate", type=int, default=16_000)
    parser.add_subclass_arguments(AudioDataModule, "data")
    yield parser
    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=False)


class TestConfiguration:
    def test_folder_from_yaml(self, parser: jsonargparse.ArgumentParser, tmp_path: Path) -> None:
        (tmp_path / "data.yaml").write_text(
            rf"""
            rate: 8000
            data:
              class_path: datamodules.AudioFolderDataModule
              init_args:
                root: {tmp_path}
                audio: {{sample_rate: "${{rate}}", trim_silence_db: 40, cache_dir: {tmp_path}/cache}}
                split: {{validation: 0.1}}
                crops: {{samples: 100}}
                batch_size: 2
                pattern: '{DIGITS}'
            """
        )
        parsed = parser.parse_args(["--config", str(tmp_path / "data.yaml"), "--data.num_workers=3"])
        data = parser.instantiate(parsed).data
        assert isinstance(data, AudioFolderDataModule)
        assert data.audio == Audio(8000, 40.0, tmp_path / "cache")
        assert data.split == Split(validation=0.1, test=0.05, seed=0)
        assert data.crops == Crops(100)
        assert (data.batch_size, data.num_workers) == (2, 3)
        assert (data.root, data.pattern) == (tmp_path, DIGITS)

    def test_vctk_from_arguments(self, parser: jsonargparse.ArgumentParser) -> None:
        arguments = ["--data=VCTKDataModule", "--data.root=corpora", "--data.audio.sample_rate=16000"]
        arguments += ["--data.crops.samples=8000", "--data.batch_size=4", "--data.mic=mic2"]
        data = parser.instantiate(parser.parse_args([*arguments, "--data.speakers=[p225,p226]"])).data
        assert isinstance(data, VCTKDataModule)
        assert (data.mic, data.speakers, data.split) == ("mic2", ["p225", "p226"], Split())
        assert (data.crops.samples, data.batch_size, data.num_workers) == (8_000, 4, 0)
        with pytest.raises(jsonargparse.ArgumentError, match="mic3"):
            parser.parse_args([*arguments, "--data.mic=mic3"])

    def test_help_states_units(
        self, parser: jsonargparse.ArgumentParser, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "1000")
        for name in ("AudioFolderDataModule", "VCTKDataModule"):
            with pytest.raises(SystemExit):
                parser.parse_args([f"--data.help={name}"])
            # Of the entries of an option, the last is its help and the earlier ones are usage.
            told = {entry.split()[0]: entry for entry in capsys.readouterr().out.split("--data.")}
            assert "(Hz)" in told["audio.sample_rate"]
            assert "(dB)" in told["audio.trim_silence_db"]
            assert "Samples in a training crop" in told["crops.samples"]


SHARED = Path(__file__).parents[2] / "shared" / "data"
needs_fsdd = pytest.mark.skipif(not (SHARED / "fsdd").is_dir(), reason=f"no Free Spoken Digit Dataset in {SHARED}")
needs_vctk = pytest.mark.skipif(not (SHARED / "VCTK-Corpus").is_dir(), reason=f"no VCTK sample in {SHARED}")
needs_mtat = pytest.mark.skipif(not (SHARED / "mtat_mini").is_dir(), reason=f"no MagnaTagATune sample in {SHARED}")
needs_timit = pytest.mark.skipif(not (SHARED / "timit_sample").is_dir(), reason=f"no TIMIT sample in {SHARED}")


class TestRealCorpora:
    def module(self, root: Path, tmp_path: Path, rate: int, pattern: str | None = None) -> AudioFolderDataModule:
        audio = Audio(rate, cache_dir=tmp_path)
        data = AudioFolderDataModule(root, pattern, audio=audio, crops=CROPS, batch_size=4)
        data.prepare_data()
        data.setup()
        return data

    @needs_fsdd
    def test_fsdd(self, tmp_path: Path) -> None:
        data = self.module(SHARED / "fsdd" / "recordings", tmp_path, 8000, DIGITS)
        told = data.describe()
        assert told.total.clips == 3000
        assert told.total.hours * 60 == pytest.approx(21.9, abs=0.05)
        assert {name: of.clips for name, of in told.splits.items()} == {"train": 2565, "validation": 135, "test": 300}
        assert {name: of.clips for name, of in told.speakers.items()} == dict.fromkeys(
            ("george", "jackson", "lucas", "nicolas", "theo", "yweweler"), 500
        )
        assert not told.skipped
        for clip in (0, 1234, 2999):
            recorded, _ = sf.read(SHARED / "fsdd" / "recordings" / data.clips.ids[clip], dtype="int16")
            np.testing.assert_array_equal(data.clips.pcm(clip, 0, 10**6), recorded)
        ids = [id for batch in data.test_dataloader() for id in batch.ids]
        assert {id.rpartition("_")[2] for id in ids} == {"0.wav", "1.wav", "2.wav", "3.wav", "4.wav"}

    @needs_vctk
    def test_vctk(self, tmp_path: Path) -> None:
        data = VCTKDataModule(SHARED, audio=Audio(16_000, cache_dir=tmp_path), crops=CROPS)
        data.setup()
        told = data.describe()
        assert (told.total.clips, set(told.speakers)) == (17, {"p225", "p226", "p227"})
        assert told.total.hours * 60 == pytest.approx(1.7, abs=0.05)
        assert data.clips.value("text", 0) == "Please call Stella."
        assert told.skipped["speaker without a recording"] == ("p228",)
        assert len(told.skipped["text without a recording"]) == 26
        where = dict(zip(data.clips.ids, data.clips.splits, strict=True))
        assert where["p225_003"] == where["p226_003"] == where["p227_003"]
        source = sf.info(SHARED / "VCTK-Corpus" / "wav48" / "p225" / "p225_001.wav")
        assert data.clips.lengths[0] == -(-source.frames // 3)

    @needs_mtat
    def test_mp3_whose_header_promises_too_much(self, tmp_path: Path) -> None:
        audio = Audio(16_000, cache_dir=tmp_path)
        data = AudioFolderDataModule(SHARED / "mtat_mini", audio=audio, split=NO_SPLIT, crops=CROPS)
        data.setup()
        assert data.clips.lengths.tolist() == [465_984]

    @needs_timit
    def test_nist_sphere_under_a_wav_name(self, tmp_path: Path) -> None:
        data = self.module(SHARED / "timit_sample" / "timit", tmp_path, 16_000, r"dr\d-(?P<speaker>\w+)/")
        told = data.describe()
        assert (told.total.clips, len(told.speakers)) == (120, 12)
        assert not told.skipped
        batch = data.prompts(2, 100)
        assert np.abs(values(batch.waveform)).max() > 0


def test_labels_of_the_path_reach_vocabulary_batch_and_description(tmp_path):
    write_clips(tmp_path / "dogs", ramps([300, 300, 300]), "bark_{}.wav")
    write_clips(tmp_path / "cats", ramps([300, 300]), "meow_{}.wav")
    request = Request(frozenset({"label"}))
    data = opened(tmp_path, Crops(samples=300), pattern=r"(?P<label>\w+)/", request=request, batch_size=5)
    assert data.vocabulary.labels == ("cats", "dogs")
    batch = next(iter(data.train_dataloader()))
    assert [data.vocabulary.labels[n] for n in batch.label] == [id.split("/")[0] for id in batch.ids]
    assert {name: amount.clips for name, amount in data.describe().labels.items()} == {"cats": 2, "dogs": 3}
