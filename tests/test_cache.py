import os
import pickle
import signal
import struct
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile as sf
from recordings import RATE, ramps, write_clips

from datamodules import cache, tables
from datamodules.cache import Audio
from datamodules.clips import Clips
from datamodules.decoding import DecodingError, Recording, decode
from datamodules.fields import FIELDS
from datamodules.records import Listing, Problem, Record
from lightning_wavenet.errors import CorpusError, RequestError
from lightning_wavenet.text.phones import Phone


def listing_of(root: Path) -> Listing:
    return Listing(root, tuple(Record(path.name, path) for path in sorted(root.iterdir())))


def open_cache(name: str, listing: Listing, audio: Audio) -> tuple[Clips, list[Problem]]:
    return cache.open_cache(name, listing, audio, FIELDS)


def tone(frequency: float, rate: int, seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)


def level_db(pcm: np.ndarray) -> float:
    """RMS over the middle half, relative to a full-scale sine (dB)."""
    middle = pcm[len(pcm) // 4 : -len(pcm) // 4] / 2**15
    return 10 * np.log10(2 * np.mean(middle**2) + 1e-20)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were decoded, in order of decoding."""
    names: list[str] = []

    def counting(path: Path, sample_rate: int, trim: float | None) -> np.ndarray:
        names.append(path.name)
        return decode(path, sample_rate, trim)

    monkeypatch.setattr(cache, "decode", counting)
    return names


class TestDecode:
    @pytest.mark.parametrize("suffix", ["wav", "flac"])
    def test_16_bit_passes_bit_by_bit(self, tmp_path: Path, suffix: str) -> None:
        pcm = np.random.default_rng(0).integers(-(2**15), 2**15, 70_000).astype(np.int16)
        pcm[:4] = -(2**15), 2**15 - 1, 0, -1
        sf.write(tmp_path / f"a.{suffix}", pcm, RATE, subtype="PCM_16")
        np.testing.assert_array_equal(decode(tmp_path / f"a.{suffix}", RATE).pcm, pcm)

    def test_channels_are_averaged(self, tmp_path: Path) -> None:
        sf.write(tmp_path / "a.wav", np.array([[100, 300], [-2000, 1000]], np.int16), RATE)
        assert decode(tmp_path / "a.wav", RATE).pcm.tolist() == [200, -500]

    @pytest.mark.parametrize("rate", [48_000, 44_100, 22_050])
    def test_resampling_keeps_the_band_and_stops_what_is_above(self, tmp_path: Path, rate: int) -> None:
        for frequency in (300, 3000, 7000):
            sf.write(tmp_path / "a.wav", tone(frequency, rate), rate, subtype="FLOAT")
            pcm = decode(tmp_path / "a.wav", 16_000).pcm
            assert len(pcm) == 16_000
            assert level_db(pcm) == pytest.approx(-6.02, abs=0.02)
        sf.write(tmp_path / "a.wav", tone(9000, rate) + tone(1000, rate, amplitude=0.001), rate, subtype="FLOAT")
        assert level_db(decode(tmp_path / "a.wav", 16_000).pcm) == pytest.approx(-60, abs=0.5)

    def test_peaks_are_clipped_and_do_not_wrap(self, tmp_path: Path) -> None:
        square = np.sign(tone(100, 48_000))
        sf.write(tmp_path / "a.wav", square, 48_000, subtype="FLOAT")
        pcm = decode(tmp_path / "a.wav", 16_000).pcm
        assert pcm.max() == 2**15 - 1
        assert pcm.min() == -(2**15)
        inner = pcm.reshape(-1, 80)[:, 10:-10]  # half periods without their edges, where the filter rings over 1.0
        assert np.ptp(np.sign(inner), axis=1).max() == 0

    def test_streamed_wav_with_unknown_length_is_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "a.wav"
        write_clips(tmp_path, ramps([500]), "a.wav")
        for unknown in (0xFFFFFFFF, 0x7FFFF000):
            content = bytearray(path.read_bytes())
            content[40:44] = struct.pack("<I", unknown)
            path.write_bytes(content)
            assert decode(path, RATE).pcm.tolist() == list(range(1, 501))

    def test_mp3_is_decoded_whole(self, tmp_path: Path) -> None:
        sf.write(tmp_path / "a.mp3", tone(440, 16_000, 2.0), 16_000)
        pcm = decode(tmp_path / "a.mp3", 16_000).pcm
        assert len(pcm) >= 32_000
        assert level_db(pcm) == pytest.approx(-6.02, abs=0.3)


def with_header(path: Path, rate: int) -> None:
    write_clips(path.parent, ramps([500]), path.name)
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate)
    path.write_bytes(content)


def cut_in_half(path: Path) -> None:
    noise = np.random.default_rng(0).integers(-9999, 9999, 40_000).astype(np.int16)
    sf.write(path, noise, RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def dead_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


PROBLEMS = {
    "empty.wav": (lambda path: path.touch(), "empty file"),
    "no_samples.wav": (lambda path: sf.write(path, np.zeros(0), RATE), "no samples"),
    "cut.wav": (cut_in_half, "truncated"),
    "cut.flac": (cut_in_half, "truncated"),
    "nan.wav": (lambda path: sf.write(path, np.array([0.1, np.nan]), RATE, subtype="FLOAT"), "NaN"),
    "infinite.wav": (lambda path: sf.write(path, np.array([0.1, -np.inf]), RATE, subtype="FLOAT"), "infinite"),
    "silent.wav": (lambda path: sf.write(path, np.zeros(900), RATE), "digital silence"),
    "junk.flac": (lambda path: path.write_bytes(b"not audio" * 99), "unreadable: Format not recognised"),
    "gone.wav": (dead_link, "unreadable: No such file"),
    "low.wav": (lambda path: with_header(path, 4000), "sampled at 4,000 Hz, below the model's 8,000 Hz"),
    "zero_rate.wav": (lambda path: with_header(path, 0), "unreadable"),
    "huge_rate.wav": (lambda path: with_header(path, 2_000_000_000), "2,000,000,000 Hz, which cannot be"),
    "odd_rate.wav": (lambda path: with_header(path, 47_999), "47,999 Hz, which cannot be"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_cannot_be_used_is_named(tmp_path: Path, name: str) -> None:
    write, reason = PROBLEMS[name]
    write(tmp_path / name)
    with pytest.raises(DecodingError, match=reason):
        decode(tmp_path / name, RATE)


class TestTrimming:
    def clip(self) -> tuple[np.ndarray, int, int]:
        """A clip of two tones with a pause, quiet noise around them, and where the tones begin and end."""
        noise = np.random.default_rng(0).normal(0, 3, 3 * RATE)
        sound = np.zeros(3 * RATE)
        sound[RATE : RATE + 800] = tone(500, RATE, 0.1) * 2**15
        sound[RATE + 4000 : RATE + 4800] = tone(500, RATE, 0.1) * 2**15 / 50  # 34 dB below
        return (noise + sound).astype(np.int16), RATE, RATE + 4800

    def test_cuts_only_the_ends_and_leaves_a_margin(self, tmp_path: Path) -> None:
        pcm, begin, end = self.clip()
        write_clips(tmp_path, [pcm], "a.wav")
        trimmed = decode(tmp_path / "a.wav", RATE, trim_silence_db=45).pcm
        np.testing.assert_array_equal(trimmed, pcm[begin - RATE // 20 : end + RATE // 20])

    def test_loudness_of_the_clip_decides(self, tmp_path: Path) -> None:
        pcm, begin, _ = self.clip()
        write_clips(tmp_path, [pcm], "a.wav")
        trimmed = decode(tmp_path / "a.wav", RATE, trim_silence_db=20).pcm
        np.testing.assert_array_equal(trimmed, pcm[begin - RATE // 20 : begin + 800 + RATE // 20])

    def test_nothing_is_cut_unless_asked_or_where_there_is_no_silence(self, tmp_path: Path) -> None:
        pcm, _, _ = self.clip()
        write_clips(tmp_path, [pcm, ramps([5000])[0] + 20_000])
        np.testing.assert_array_equal(decode(tmp_path / "clip_000.wav", RATE).pcm, pcm)
        assert len(decode(tmp_path / "clip_001.wav", RATE, trim_silence_db=30).pcm) == 5000

    def test_shorter_than_a_frame(self, tmp_path: Path) -> None:
        write_clips(tmp_path, ramps([3]), "a.wav")
        assert decode(tmp_path / "a.wav", RATE, trim_silence_db=30).pcm.tolist() == [1, 2, 3]


class TestCache:
    def test_holds_clips_in_order_and_problems_with_reasons(self, tmp_path: Path) -> None:
        root = tmp_path / "corpus"
        clips = ramps(list(range(20, 220)))  # more rows than are written at once
        write_clips(root, clips)
        (root / "clip_007.wav").write_bytes(b"")
        (root / "clip_150.wav").write_bytes(b"junk")
        for _ in ("built", "opened"):
            held, problems = open_cache("x", listing_of(root), Audio(RATE, cache_dir=tmp_path / "cache"))
            assert [problem.id for problem in problems] == ["clip_007.wav", "clip_150.wav"]
            assert problems[0].reason == "empty file"
            expected = [index for index in range(200) if index not in (7, 150)]
            assert held.ids == [f"clip_{index:03d}.wav" for index in expected]
            assert held.lengths.tolist() == [len(clips[index]) for index in expected]
            for clip, index in enumerate(expected):
                np.testing.assert_array_equal(held.pcm(clip, 0, 10_000), clips[index])
                np.testing.assert_array_equal(held.pcm(clip, 5, 11), clips[index][5:11])

    def test_holds_what_a_record_knows_and_levels(self, tmp_path: Path) -> None:
        root = tmp_path / "corpus"
        write_clips(root, [np.array([16384, -16384], np.int16), np.array([-(2**15), 0, 0, 0], np.int16)])
        one = Record("1", root / "clip_000.wav", "test", "ann", "Hi!", "7", ("loud", "slow"), "hi")
        listing = Listing(root, (one, Record("2", root / "clip_001.wav")))
        held, _ = open_cache("x", listing, Audio(RATE, cache_dir=tmp_path / "cache"))
        assert (held.splits, held.split_keys) == (["test", None], ["hi", "2"])
        assert (held.values("speaker"), held.values("text")) == (["ann", ""], ["Hi!", ""])
        assert (held.values("label"), held.values("tags")) == (["7", ""], [["loud", "slow"], []])
        assert held.peaks.tolist() == [0.5, 1.0]
        assert held.rms.tolist() == [0.5, 0.5]

    def test_is_rebuilt_when_and_only_when_something_changed(
        self, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = tmp_path / "corpus"
        write_clips(root, [clip + 50 for clip in ramps([2000, 2000])])
        audio = Audio(RATE, cache_dir=tmp_path / "cache")

        def decodings(audio: Audio = audio, listing: Listing | None = None) -> int:
            decoded.clear()
            open_cache("x", listing or listing_of(root), audio)
            return len(decoded)

        assert decodings() == 2
        assert decodings() == 0
        assert decodings(Audio(RATE // 2, cache_dir=tmp_path / "cache")) == 2
        assert decodings(Audio(RATE, trim_silence_db=40, cache_dir=tmp_path / "cache")) == 2
        assert decodings(Audio(RATE, trim_silence_db=30, cache_dir=tmp_path / "cache")) == 2
        assert decodings(Audio(RATE, stretch=True, cache_dir=tmp_path / "cache")) == 2
        assert decodings() == 0
        os.utime(root / "clip_001.wav", ns=(0, time.time_ns()))
        assert decodings() == 2
        write_clips(root, ramps([1, 1, 700]))
        assert decodings() == 3
        (root / "clip_002.wav").unlink()
        assert decodings() == 2
        moved = root.rename(tmp_path / "moved")
        assert decodings(listing=listing_of(moved)) == 0
        monkeypatch.setattr(cache, "LABELS_VERSION", cache.LABELS_VERSION + 1)
        assert decodings(listing=listing_of(moved)) == 0
        monkeypatch.setattr(cache, "AUDIO_VERSION", cache.AUDIO_VERSION + 1)
        assert decodings(listing=listing_of(moved)) == 2

    @pytest.mark.parametrize(
        ("name", "one", "other"),
        [
            ("text", "hi", "ho"),
            ("phones", (Phone("a", 0, 50),), (Phone("b", 0, 50),)),
            ("phones", (Phone("a", 0, 50),), (Phone("a", 0, 49),)),
            ("phone_rate", RATE, RATE // 2),
            ("speaker", "ann", "bo"),
            ("label", "7", "8"),
            ("tags", ("loud",), ("loud", "slow")),
        ],
    )
    def test_other_labels_arrive_and_decode_nothing(
        self, tmp_path: Path, decoded: list[str], name: str, one: object, other: object
    ) -> None:
        root = tmp_path / "corpus"
        write_clips(root, ramps([200, 300]))
        audio = Audio(RATE, cache_dir=tmp_path / "cache")
        field = "phones" if name == "phone_rate" else name

        def held(value: object) -> Clips:
            options = {"phones": (Phone("a", 0, 50),), name: value}
            records = listing_of(root).records
            labelled = Record(records[1].id, records[1].path, **options)
            return open_cache("x", Listing(root, (records[0], labelled)), audio)[0]

        first = held(one)
        assert len(decoded) == 2
        second, again = held(other), held(one)
        assert len(decoded) == 2
        assert first.audio_key == second.audio_key == again.audio_key
        assert first.label_key == again.label_key != second.label_key
        if name == "phone_rate":
            assert [clips.value("phones", 1) for clips in (first, second)] == [
                [Phone("a", 0, 50)],
                [Phone("a", 0, 100)],
            ]
        else:
            right = [list(value) if isinstance(value, tuple) else value for value in (one, other)]
            assert [clips.value(field, 1) for clips in (first, second)] == right
        assert first.value(field, 1) == again.value(field, 1)
        assert first.value(field, 0) == second.value(field, 0)
        for clips in (first, second):
            assert clips.pcm(1, 0, 999).tolist() == list(range(201, 501))

    def test_another_alignment_arrives_and_decodes_nothing(self, tmp_path: Path, decoded: list[str]) -> None:
        root, alignment = tmp_path / "corpus", tmp_path / "clip_000.phn"
        write_clips(root, ramps([200]))
        (record,) = listing_of(root).records
        listing = Listing(root, (replace(record, phones=(Phone("a", 0, 9),), alignment=alignment),))
        audio = Audio(RATE, cache_dir=tmp_path / "cache")
        found = []
        for lines in ("0 50 b", "0 150 b", "0 50", "0 150 c"):
            alignment.write_text(f"{lines}\n")
            clips, problems = open_cache("x", listing, audio)
            found.append((clips.value("phones", 0), [problem.reason for problem in problems]))
        broken = "alignment cannot be read: line 1 is not 'START END PHONE'"
        assert found == [
            ([Phone("b", 0, 50)], []),
            ([Phone("b", 0, 150)], []),
            ([], [broken]),
            ([Phone("c", 0, 150)], []),
        ]
        assert decoded == ["clip_000.wav"]

    def test_labels_stay_with_their_clips_where_others_are_skipped(self, tmp_path: Path) -> None:
        root = tmp_path / "corpus"
        write_clips(root, [ramps([90])[0], np.zeros(9, np.int16), ramps([80])[0]])
        records = listing_of(root).records
        said = [replace(record, text=f"text {n}", phones=(Phone(f"p{n}", 0, 9),)) for n, record in enumerate(records)]
        clips, _ = open_cache("x", Listing(root, tuple(said)), Audio(RATE, cache_dir=tmp_path / "cache"))
        assert clips.ids == ["clip_000.wav", "clip_002.wav"]
        assert clips.values("text") == ["text 0", "text 2"]
        assert clips.values("phones") == [[Phone("p0", 0, 9)], [Phone("p2", 0, 9)]]
        assert clips.names("phones") == ("p0", "p2")

    def test_name_of_a_cache_can_be_read(self, tmp_path: Path) -> None:
        write_clips(tmp_path, ramps([5]))
        name = cache.fingerprint("vctk-mic1", listing_of(tmp_path), Audio(16_000, trim_silence_db=42.5))
        assert name.startswith(f"vctk-mic1-16000-trim42.5-v{cache.AUDIO_VERSION}-")

    def test_default_folder_is_of_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("WAVENET_CACHE", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert Audio(RATE).cache_root == tmp_path / ".cache" / "lightning-wavenet"
        monkeypatch.setenv("WAVENET_CACHE", str(tmp_path / "elsewhere"))
        assert Audio(RATE).cache_root == tmp_path / "elsewhere"
        assert Audio(RATE, cache_dir=tmp_path / "here").cache_root == tmp_path / "here"

    def test_nothing_usable_is_one_line_with_the_commonest_reason(self, tmp_path: Path) -> None:
        root = tmp_path / "corpus"
        write_clips(root, [np.zeros(10, np.int16)] * 3)
        (root / "clip_001.wav").write_bytes(b"")
        with pytest.raises(
            CorpusError, match=r"^no usable clip among 3 files in .*; 2 of them: digital silence all .*$"
        ):
            open_cache("x", listing_of(root), Audio(RATE, cache_dir=tmp_path / "cache"))

    def test_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        write_clips(tmp_path / "corpus", ramps([5]))
        (tmp_path / "file").touch()
        with pytest.raises(RequestError, match=r"cannot make the cache folder .*audio\.cache_dir"):
            open_cache("x", listing_of(tmp_path / "corpus"), Audio(RATE, cache_dir=tmp_path / "file"))

    def test_options_out_of_range(self) -> None:
        with pytest.raises(RequestError, match="sample_rate is 0"):
            Audio(0)
        with pytest.raises(RequestError, match="trim_silence_db is -40"):
            Audio(RATE, trim_silence_db=-40)

    def test_pickles_without_the_audio(self, tmp_path: Path) -> None:
        root = tmp_path / "corpus"
        noise = np.random.default_rng(0).integers(-9999, 9999, (2, 500_000)).astype(np.int16)
        write_clips(root, list(noise))
        held, _ = open_cache("x", listing_of(root), Audio(RATE, cache_dir=tmp_path / "cache"))
        held.pcm(0, 0, 1)
        pickled = pickle.dumps(held)
        assert len(pickled) < 10_000
        np.testing.assert_array_equal(pickle.loads(pickled).pcm(1, 1000, 2000), noise[1, 1000:2000])


def test_stretched_clips_reach_from_end_to_end_of_the_scale(tmp_path: Path) -> None:
    """-1000, 0, 500, 3000 lie at 0, 1/4, 3/8 and 1 of the way from -32768 to 32767."""
    write_clips(tmp_path / "corpus", [np.array([-1000, 0, 500, 3000], np.int16), np.array([7, 7, 7], np.int16)])
    audio = Audio(RATE, stretch=True, cache_dir=tmp_path / "cache")
    held, _ = open_cache("x", listing_of(tmp_path / "corpus"), audio)
    assert held.pcm(0, 0, 4).tolist() == [-32768, -16384, -8192, 32767]
    assert held.pcm(1, 0, 4).tolist() == [7, 7, 7]
    assert held.peaks[0] == 1.0


# Run as a process of its own: opens a cache, writes down which files it decoded, and dies at one of them if asked to.
PROCESS = """
import os, signal, sys, time
from pathlib import Path
from datamodules import cache, tables
from datamodules.cache import Audio, open_cache
from datamodules.decoding import decode
from datamodules.fields import FIELDS
from datamodules.records import Listing, Record

root, cache_dir, notes, fatal, shard = sys.argv[1:]
if int(shard):
    tables.ROWS_A_WRITE, tables.SHARD_BYTES = int(shard), 1

def slow(path, sample_rate, trim):
    if path.name == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    with open(notes, "a") as file:
        file.write(path.name + "\\n")
    time.sleep(0.01)
    return decode(path, sample_rate, trim)

cache.decode = slow
print("ready", flush=True)
sys.stdin.readline()
records = tuple(Record(path.name, path) for path in sorted(Path(root).iterdir()))
clips, _ = open_cache("x", Listing(Path(root), records), Audio(8000, cache_dir=Path(cache_dir)), FIELDS)
print(sum(int(clips.pcm(i, 0, 99999).astype("int64").sum()) for i in range(len(clips))))
"""


def start(root: Path, cache_dir: Path, notes: Path, fatal: str = "", shard: int = 0) -> subprocess.Popen[str]:
    """The process, with so many rows a shard; 0: as many as otherwise."""
    arguments = [sys.executable, "-c", PROCESS, str(root), str(cache_dir), str(notes), fatal, str(shard)]
    pipe = subprocess.PIPE
    return subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=Path(__file__).parents[1])


def test_two_processes_at_once_build_once(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    clips = ramps([30] * 200)
    write_clips(root, clips)
    processes = [start(root, tmp_path / "cache", tmp_path / f"notes{index}") for index in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [int(out) for out, _ in outputs] == [sum(int(clip.sum()) for clip in clips)] * 2
    assert sorted(len(notes.read_text().split()) for notes in tmp_path.glob("notes*")) == [200]
    assert sum("waiting for another process" in errors for _, errors in outputs) == 1


def test_a_killed_build_is_resumed_behind_its_last_whole_shard(tmp_path: Path, decoded: list[str]) -> None:
    """Shards of sixteen clips of 30 samples; the 171st clip kills it, and ten whole shards are taken over."""
    root = tmp_path / "corpus"
    clips = ramps([30] * 200)
    write_clips(root, clips)
    killed = start(root, tmp_path / "cache", tmp_path / "notes", fatal="clip_170.wav", shard=16)
    killed.communicate("go\n", timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert len((tmp_path / "notes").read_text().split()) == 170

    # A build with other options leaves it alone.
    open_cache("x", listing_of(root), Audio(RATE // 2, cache_dir=tmp_path / "cache"))
    decoded.clear()
    held, problems = open_cache("x", listing_of(root), Audio(RATE, cache_dir=tmp_path / "cache"))
    assert decoded == [f"clip_{index:03d}.wav" for index in range(160, 200)]
    assert not problems
    assert [held.pcm(clip, 0, 99).tolist() for clip in range(len(held))] == [clip.tolist() for clip in clips]
    assert not list((tmp_path / "cache").rglob(".*.part"))


def test_a_build_holds_no_more_than_it_writes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 120 clips of 400,000 samples, 96 MB of PCM16, with a write every 4 MB."""
    monkeypatch.setattr(tables, "WRITE_BYTES", 4_000_000)
    monkeypatch.setattr(tables, "SHARD_BYTES", 20_000_000)
    pcm = np.arange(400_000).astype(np.int16)
    monkeypatch.setattr(cache, "decode", lambda *_: Recording(pcm, RATE, 0))
    listing = Listing(tmp_path, tuple(Record(str(number), tmp_path / "none") for number in range(120)))
    arrow = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        clips, _ = open_cache("x", listing, Audio(RATE, cache_dir=tmp_path / "cache"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 25_000_000  # Two batches, two clips ahead, and one as float64 (3.2 MB) more than once.
    assert pa.total_allocated_bytes() - arrow < 10_000_000
    assert len(list((tmp_path / "cache" / "x" / clips.audio_key).glob("*.arrow"))) == 5  # 96 MB by 20.
    np.testing.assert_array_equal(clips.pcm(119, 0, 400_000), pcm)


def test_a_reader_that_fails_is_resumed_and_decodes_little_twice(
    tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "corpus"
    write_clips(root, ramps([30] * 100))
    monkeypatch.setattr(tables, "ROWS_A_WRITE", 8)
    monkeypatch.setattr(tables, "SHARD_BYTES", 1)
    counting = cache.decode

    def failing(path: Path, *how: object) -> object:
        if len(decoded) == 90:
            raise OSError("the disk is gone")
        return counting(path, *how)

    monkeypatch.setattr(cache, "decode", failing)
    audio = Audio(RATE, cache_dir=tmp_path / "cache")
    with pytest.raises(RequestError, match="making audio failed: OSError: the disk is gone"):
        open_cache("x", listing_of(root), audio)
    monkeypatch.setattr(cache, "decode", counting)
    held, _ = open_cache("x", listing_of(root), audio)
    assert held.lengths.tolist() == [30] * 100
    assert len(decoded) == 90 + 100 - 88  # Eleven shards of eight were whole.
