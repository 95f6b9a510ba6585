"""What corpora find on disks as they are: names in capitals, links, other kinds of files, other encodings."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from recordings import RATE, opened, ramps, write_clips
from test_ljspeech import module, write_ljspeech

from datamodules import Audio, AudioFolderDataModule, Crops, Phone, Split, VCTKDataModule
from datamodules.texts import read_lines, read_text
from lightning_wavenet.errors import CorpusError

CROPS = Crops(100)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32")
MARKS = {"utf-16-be": b"\xfe\xff"}


def listed(root: Path) -> AudioFolderDataModule:
    return AudioFolderDataModule(root, audio=Audio(RATE), split=Split(validation=0, test=0), crops=CROPS)


def problems(root: Path) -> dict[str, str]:
    return {problem.id: problem.reason for problem in listed(root).listing().problems}


class TestFolder:
    @pytest.mark.parametrize("suffixes", [("WAV", "TXT", "PHN"), ("Wav", "Txt", "phn"), ("wav", "TXT", "Phn")])
    def test_labels_are_found_in_any_case(self, tmp_path: Path, suffixes: tuple[str, str, str]) -> None:
        wav, txt, phn = suffixes
        for name in ("REC0", "b/rec.1"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            sf.write(tmp_path / f"{name}.{wav}", ramps([500])[0], RATE, format="WAV")
            (tmp_path / f"{name}.{txt}").write_text("two words")
            (tmp_path / f"{name}.{phn}").write_text("0 300 sil\n300 500 a\n")
        listing = listed(tmp_path).listing()
        assert [record.id for record in listing.records] == [f"REC0.{wav}", f"b/rec.1.{wav}"]
        assert {record.text for record in listing.records} == {"two words"}
        assert {record.phones for record in listing.records} == {(Phone("sil", 0, 300), Phone("a", 300, 500))}
        assert not listing.problems

    def test_every_file_with_audio_or_labels_is_used_or_named(self, tmp_path: Path) -> None:
        write_clips(tmp_path, ramps([500]), "a.wav")
        names = (
            "a.txt",
            "a.TXT",
            "b.phn",
            "c.m4a",
            "d/e.WMA",
            "a.TextGrid",
            "notes.md",
            "b.txt",
            "d/a.txt",
            "d/README.txt",
        )
        for name in names:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("x" if name != "b.phn" else "0 1 x")
        (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
        assert problems(tmp_path) == {
            "a.TXT": "another file has its name with .txt in small letters, and is taken",
            "b.phn": "phone times without a recording of its name",
            "b.txt": "text without a recording of its name",
            "d/a.txt": "text without a recording of its name",
            "c.m4a": "audio of a kind (.m4a) that is not read; convert it to wav or flac",
            "d/e.WMA": "audio of a kind (.wma) that is not read; convert it to wav or flac",
            "a.TextGrid": "alignment that is not read from here; set data.alignments to a folder of them",
        }
        data = opened(tmp_path, CROPS)
        assert data.clips.ids == ["a.wav"]
        assert data.describe().skipped["unreadable: No such file or directory"] == ("gone.wav",)

    @pytest.mark.parametrize(
        ("suffix", "options"),
        [
            ("opus", {"format": "OGG", "subtype": "OPUS"}),
            ("oga", {"format": "OGG"}),
            ("aiff", {}),
            ("AIF", {}),
            ("w64", {}),
            ("au", {}),
            ("caf", {}),
            ("sph", {"format": "NIST"}),
            ("rf64", {}),
            ("wave", {"format": "WAV"}),
        ],
    )
    def test_what_libsndfile_reads_is_read(self, tmp_path: Path, suffix: str, options: dict[str, str]) -> None:
        options = {"format": "AIFF"} if suffix == "AIF" else options
        sf.write(tmp_path / f"a.{suffix}", 0.5 * np.sin(np.arange(16_000) / 5), 16_000, **options)
        data = opened(tmp_path, CROPS)
        assert data.clips.ids == [f"a.{suffix}"]
        assert data.clips.rms.tolist() == pytest.approx([0.5**1.5], rel=0.02)

    def test_links_to_folders_are_followed_and_read_once(self, tmp_path: Path) -> None:
        root, other = tmp_path / "corpus", tmp_path / "other"
        write_clips(root / "a", ramps([500]), "x.wav")
        write_clips(other / "deep", ramps([500]), "y.wav")
        (root / "linked").symlink_to(other)
        (other / "round").symlink_to(root)
        (other / "deep" / "self").symlink_to(other / "deep")
        (root / "A_again").symlink_to(root / "a")
        (tmp_path / "way").symlink_to(root)
        for start in (root, tmp_path / "way"):
            listing = listed(start).listing()
            assert [record.id for record in listing.records] == ["a/x.wav", "linked/deep/y.wav"]
            assert {problem.id for problem in listing.problems} == {"A_again", "linked/round", "linked/deep/self"}
            assert {problem.reason for problem in listing.problems} == {
                "link to a folder that is read under another name"
            }

    def test_no_audio_tells_of_other_kinds(self, tmp_path: Path) -> None:
        (tmp_path / "a.m4a").touch()
        with pytest.raises(CorpusError, match=r"^no audio in .*; a\.m4a: audio of a kind \(\.m4a\) that is not read"):
            listed(tmp_path).listing()

    def test_texts_are_read_as_their_mark_says_and_others_named(self, tmp_path: Path) -> None:
        said = "na\u00efve caf\u00e9"
        for encoding in (*ENCODINGS, "cp1252", "utf-16-le"):
            write_clips(tmp_path, ramps([500]), f"{encoding}.wav")
            (tmp_path / f"{encoding}.txt").write_bytes(MARKS.get(encoding, b"") + said.encode(encoding))
        listing = listed(tmp_path).listing()
        assert {record.id.removesuffix(".wav"): record.text for record in listing.records} == dict.fromkeys(
            ENCODINGS, said
        )
        assert {problem.id: problem.reason for problem in listing.problems} == {
            "cp1252.wav": "text cannot be read: line 1 is not UTF-8; save the file as UTF-8",
            "utf-16-le.wav": "text cannot be read: line 1 is not UTF-8; save the file as UTF-8",
        }
        (tmp_path / "utf-16-le.txt").write_bytes("plain".encode("utf-16-le"))
        assert "zeros in it, as UTF-16 without a mark" in problems(tmp_path)["utf-16-le.wav"]


def test_lines_end_where_files_end_them(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes("one\u2028still\x85one\r\ntwo\x0b\x1c\rthree\n".encode())
    assert read_lines(path) == ["one\u2028still\x85one", "two\x0b\x1c", "three", ""]
    path.write_bytes(b"fine\nd\xe9j\xe0\n")
    with pytest.raises(ValueError, match=r"^line 2 is not UTF-8; save the file as UTF-8$"):
        read_text(path)


class TestLJSpeech:
    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_metadata_is_read_as_its_mark_says(self, tmp_path: Path, encoding: str) -> None:
        ids = [f"LJ001-000{n}" for n in range(1, 4)]
        root = write_ljspeech(tmp_path / "corpus", [], ids)
        lines = "".join(f"{id}|x|na\u00efve\u2028caf\u00e9 {id}\x85!\n" for id in ids)
        (root / "metadata.csv").write_bytes(MARKS.get(encoding, b"") + lines.encode(encoding))
        listing = module(root).listing()
        assert [record.text for record in listing.records] == [f"na\u00efve caf\u00e9 {id} !" for id in ids]
        assert not listing.problems

    def test_another_encoding_is_refused_with_the_file_and_the_line(self, tmp_path: Path) -> None:
        root = write_ljspeech(tmp_path / "corpus", [], ["a", "b"])
        (root / "metadata.csv").write_bytes("a|x|fine\nb|x|caf\u00e9\n".encode("cp1252"))
        with pytest.raises(CorpusError, match=r"metadata\.csv cannot be read: line 2 is not UTF-8; save the file as"):
            module(root).listing()

    def test_ids_may_have_suffixes_and_spaces_and_recordings_any_case_and_kind(self, tmp_path: Path) -> None:
        root = write_ljspeech(
            tmp_path / "corpus",
            ["a.wav|x|one", " b | x | two ", "wavs/e.wav|x|five", "c.FLAC|three", "s1.4|x|four"],
            [],
        )
        for name in ("a.WAV", "b.flac", "c.flac", "s1.4.wav", "e.wav"):
            sf.write(root / "wavs" / name, ramps([500])[0], RATE, format=name.rpartition(".")[2].upper())
        (root / "wavs" / "d.m4a").touch()
        (root / "wavs" / "a.wav").write_bytes((root / "wavs" / "a.WAV").read_bytes())
        listing = module(root).listing()
        assert {record.id: record.text for record in listing.records} == {
            "a": "one",
            "b": "two",
            "c": "three",
            "s1.4": "four",
            "e": "five",
        }
        assert {problem.id: problem.reason for problem in listing.problems} == {
            "wavs/d.m4a": "audio of a kind (.m4a) that is not read; convert it to wav or flac",
            "wavs/a.wav": "another recording has the same id",
        }


def write_vctk(root: Path, folder: str, suffix: str, mics: tuple[str, ...] = ("_mic1", "_mic2")) -> None:
    for speaker in ("p225", "s5"):
        (root / "txt" / speaker).mkdir(parents=True, exist_ok=True)
        for number in range(1, 7):
            (root / "txt" / speaker / f"{speaker}_{number:03d}.txt").write_text(f"Sentence {number}.")
            for loudness, mic in enumerate(mics, 1):
                path = root / folder / speaker / f"{speaker}_{number:03d}{mic}.{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                sf.write(path, np.full(50, 1_000 * loudness, np.int16), RATE, format=suffix.upper())


class TestVCTK:
    def module(self, root: Path, mic: str = "mic1") -> VCTKDataModule:
        audio = Audio(RATE, cache_dir=root.parent / "cache")
        return VCTKDataModule(root, mic, audio=audio, split=Split(0.2, 0.2), crops=CROPS)  # type: ignore[arg-type]

    @pytest.mark.parametrize("folder", ["wav48", "wav48_silence_trimmed"])
    @pytest.mark.parametrize("suffix", ["wav", "WAV", "flac", "ogg"])
    def test_a_converted_release_has_texts_one_take_a_sentence_and_no_leak(
        self, tmp_path: Path, folder: str, suffix: str
    ) -> None:
        root = tmp_path / "corpus"
        write_vctk(root, folder, suffix)
        for mic, level in (("mic1", 1_000), ("mic2", 2_000)):
            data = self.module(root, mic)
            data.setup()
            assert data.clips.ids == [f"{speaker}_{n:03d}" for speaker in ("p225", "s5") for n in range(1, 7)]
            assert data.clips.values("text") == [f"Sentence {n}." for n in range(1, 7)] * 2
            if suffix != "ogg":
                assert set(data.clips.pcm(0, 0, 50)) == {level}
            assert data.clips.splits[:6] == data.clips.splits[6:]
            assert not data.describe().skipped

    def test_names_without_a_microphone_are_the_first(self, tmp_path: Path) -> None:
        root = tmp_path / "corpus"
        write_vctk(root, "wav48_silence_trimmed", "wav", ("",))
        assert len(self.module(root).listing().records) == 12
        with pytest.raises(CorpusError, match="recorded with one microphone; set mic to mic1"):
            self.module(root, "mic2").listing()

    def test_a_take_in_two_kinds_of_files_is_used_once(self, tmp_path: Path) -> None:
        root = tmp_path / "corpus"
        write_vctk(root, "wav48_silence_trimmed", "flac")
        write_vctk(root, "wav48_silence_trimmed", "wav", ("_mic1",))
        listing = self.module(root).listing()
        assert {record.path.suffix for record in listing.records} == {".flac"}
        assert [problem.id for problem in listing.problems][:1] == ["p225/p225_001_mic1.wav"]
        assert {problem.reason for problem in listing.problems} == {"the same take as a file .flac"}

    def test_of_both_folders_the_one_with_recordings_is_read(self, tmp_path: Path) -> None:
        root = tmp_path / "corpus"
        write_vctk(root, "wav48", "wav")
        (root / "wav48_silence_trimmed" / "p225").mkdir(parents=True)
        assert {record.path.parts[-3] for record in self.module(root).listing().records} == {"wav48"}
        write_vctk(root, "wav48_silence_trimmed", "flac")
        listing = self.module(root).listing()
        assert {record.path.parts[-3] for record in listing.records} == {"wav48_silence_trimmed"}
        assert [(problem.id, problem.reason) for problem in listing.problems] == [
            ("wav48", "not read, because wav48_silence_trimmed has recordings too")
        ]

    def test_texts_in_another_encoding_are_named(self, tmp_path: Path) -> None:
        root = tmp_path / "corpus"
        write_vctk(root, "wav48", "wav", ("",))
        (root / "txt" / "s5" / "s5_003.txt").write_bytes(b"caf\xe9")
        os.rename(root / "txt" / "s5" / "s5_001.txt", root / "txt" / "s5" / "s5_001.TXT")
        listing = self.module(root).listing()
        assert len(listing.records) == 11
        assert {record.text for record in listing.records if record.id == "s5_001"} == {"Sentence 1."}
        assert [(problem.id, problem.reason) for problem in listing.problems] == [
            ("s5_003", "text cannot be read: line 1 is not UTF-8; save the file as UTF-8")
        ]
