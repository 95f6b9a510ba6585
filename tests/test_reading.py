"""Recordings as people have them: headers that are wrong, files that were joined, cut off, or hold other numbers."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from recordings import RATE, opened, ramps, write_clips

from datamodules import Crops
from datamodules.decoding import decode
from lightning_wavenet.errors import CorpusError, RequestError
from lightning_wavenet.files.audio import read_audio
from lightning_wavenet.files.reading import DecodingError, read_mono


def tone(seconds: float, hertz: float, rate: int = 16_000) -> np.ndarray:
    return 0.4 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def speech_and_silence(seconds: int, rate: int = 16_000) -> np.ndarray:
    """A second of noise, then quiet: of a variable bit rate the first frames are the largest."""
    wave = 0.001 * np.random.default_rng(0).standard_normal(seconds * rate)
    wave[:rate] *= 300
    return wave


def encoded(path: Path, wave: np.ndarray, rate: int = 16_000, **options: object) -> bytes:
    sf.write(path, wave, rate, **options)
    return path.read_bytes()


def without_header(data: bytes) -> bytes:
    """An MP3 by libsndfile without its first frame, which says how many follow."""
    first = data.index(b"\xff\xfb" if b"\xff\xfb" in data[:10] else b"\xff\xf3")
    return data[data.index(data[first : first + 2], first + 4) :]


def reason(path: Path) -> str:
    with pytest.raises(DecodingError) as error:
        read_mono(path)
    return str(error.value)


def mark_unknown(flac: bytes) -> bytes:
    """A FLAC whose header has 0 samples, as one has that was written to a pipe."""
    data = bytearray(flac)
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    return bytes(data)


@pytest.mark.parametrize("samples", [1, 777, 70_001])
def test_a_flac_of_unknown_length_is_read_to_its_end(tmp_path: Path, samples: int) -> None:
    pcm = np.random.default_rng(samples).integers(-9999, 9999, samples).astype(np.int16)
    path = tmp_path / "a.flac"
    path.write_bytes(mark_unknown(encoded(path, pcm)))
    assert sf.info(path).frames > 2**62
    np.testing.assert_array_equal(decode(path, 16_000).pcm, pcm)
    assert len(read_audio(path, 16_000)) == samples
    path.write_bytes(path.read_bytes()[:-1])
    assert reason(path).startswith("truncated or damaged")


@pytest.mark.parametrize(("format", "rate"), [("WAV", 8_000), ("WAV", 44_100), ("AIFF", 8_000)])
def test_gsm_is_read_to_its_end(tmp_path: Path, format: str, rate: int) -> None:
    path = tmp_path / "a.wav"
    sf.write(path, tone(0.8, 300, rate), rate, format=format, subtype="GSM610")
    wave, found = read_mono(path)
    assert found == rate
    assert 0.8 * rate <= len(wave) < 0.8 * rate + 640
    assert np.sqrt(np.mean(wave[: rate // 2] ** 2)) == pytest.approx(0.4 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_an_mp3_without_its_header_is_read_to_its_end(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.mp3"
    options = {"bitrate_mode": "VARIABLE", "compression_level": 0.2}
    data = encoded(path, speech_and_silence(8, rate), rate, **options)
    assert len(read_mono(path)[0]) == 8 * rate
    path.write_bytes(without_header(data))
    assert sf.info(path).frames < 5 * rate  # What its first frames promise.
    assert 8 * rate <= len(read_mono(path)[0]) < 8.2 * rate


@pytest.mark.parametrize("tag", ["", "ID3v1", "ID3v2", "APE"])
def test_joined_mp3s_are_read_to_their_end(tmp_path: Path, tag: str) -> None:
    path = tmp_path / "a.mp3"
    waves = [tone(1, 300), tone(0.5, 500), tone(2, 800)]
    parts = [encoded(path, wave) for wave in waves]
    alone = []
    for part in parts:
        path.write_bytes(part)
        alone.append(sf.read(path, dtype="float32")[0])
    ape = struct.pack("<8sIIII8x", b"APETAGEX", 2000, 40, 0, 0) + bytes(8)
    before = {"ID3v2": b"ID3\x04\0\0\0\0\1\1" + bytes(129)}.get(tag, b"")
    after = {"ID3v1": b"TAG" + b"x" * 125, "APE": ape}.get(tag, b"")
    path.write_bytes(b"".join(before + part + after for part in parts))
    if tag == "APE":
        path.write_bytes(b"".join(parts) + b"\xff" * 8 + struct.pack("<8sIIII8x", b"APETAGEX", 2000, 40, 0, 0))
    np.testing.assert_allclose(read_mono(path)[0], np.concatenate(alone), atol=1e-6)


def test_joined_mp3s_of_which_the_second_has_no_header_are_read_to_their_end(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    first, second = encoded(path, tone(1, 300)), encoded(path, tone(3, 500))
    path.write_bytes(first + without_header(second))
    assert len(read_mono(path)[0]) == pytest.approx(4 * 16_000, abs=3_000)


def test_streams_of_several_rates_are_refused(tmp_path: Path) -> None:
    for suffix in ("mp3", "ogg"):
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(encoded(path, tone(1, 300), 16_000) + encoded(path, tone(1, 300, 44_100), 44_100))
        assert reason(path) == "joined of recordings of several rates (16000, 44100 Hz)"


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_chained_ogg_is_read_to_its_end(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "a.ogg"
    lengths = (1.0, 0.3, 2.0)
    path.write_bytes(b"".join(encoded(path, tone(length, 300), 16_000, subtype=subtype) for length in lengths))
    assert len(read_mono(path)[0]) == 3.3 * 16_000
    mixed = np.stack([tone(1, 300), tone(1, 500)], axis=1)
    path.write_bytes(encoded(path, mixed, subtype=subtype) + encoded(path, tone(1, 300), subtype=subtype))
    wave = read_mono(path)[0]
    assert len(wave) == 32_000
    assert np.corrcoef(wave[:15_000], mixed.mean(axis=1)[:15_000])[0, 1] > 0.99


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("mp3", {}),
        ("mp3", {"bitrate_mode": "VARIABLE"}),
        ("ogg", {"subtype": "VORBIS"}),
        ("ogg", {"subtype": "OPUS"}),
        ("wav", {"subtype": "PCM_16"}),
        ("wav", {"subtype": "FLOAT"}),
        ("wav", {"format": "NIST"}),
        ("wav", {"format": "RF64"}),
        ("w64", {}),
        ("aiff", {}),
        ("au", {}),
        ("caf", {}),
        ("flac", {}),
    ],
)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_what_was_cut_off_is_refused_by_corpora_and_by_recognition(
    tmp_path: Path, suffix: str, options: dict[str, object], kept: float
) -> None:
    path = tmp_path / f"a.{suffix}"
    data = encoded(path, 0.1 * np.random.default_rng(0).standard_normal(50_000), **options)
    assert len(read_mono(path)[0]) == 50_000
    path.write_bytes(data[: int(kept * len(data))])
    assert reason(path).startswith(("truncated or damaged before its end", "unreadable"))
    with pytest.raises(RequestError, match=r"a\.\w+ cannot be used: (truncated|unreadable)"):
        read_audio(path, 16_000)


def test_a_cut_mp3_without_a_header_is_refused_where_a_frame_is_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    data = without_header(encoded(path, tone(3, 300)))
    for cut in (1, 100, len(data) // 2 + 5):
        path.write_bytes(data[:-cut])
        assert reason(path) == "truncated or damaged before its end: the end is missing"


def test_holes_in_mp3_and_ogg_are_refused(tmp_path: Path) -> None:
    for suffix in ("mp3", "ogg"):
        path = tmp_path / f"a.{suffix}"
        data = encoded(path, 0.1 * np.random.default_rng(0).standard_normal(200_000))
        middle = len(data) // 2
        path.write_bytes(data[:middle] + data[middle + 9_000 :])
        assert reason(path).startswith("truncated or damaged")
        path.write_bytes(data[:middle] + bytes(middle))
        assert reason(path).startswith("truncated or damaged")


@pytest.mark.parametrize("excess", [1, 8, 44])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_a_wav_whose_header_is_wrong_is_whole(tmp_path: Path, excess: int, subtype: str) -> None:
    path = tmp_path / "a.wav"
    pcm = ramps([900])[0]
    data = bytearray(encoded(path, pcm, subtype=subtype))
    size = len(data) - 44
    for wrong in (0, size + excess):
        data[40:44] = struct.pack("<I", wrong)
        path.write_bytes(data)
        assert decode(path, 16_000).pcm.tolist() == pcm.tolist()


@pytest.mark.parametrize("header", [True, False])
def test_mp3_within_wav_is_read_to_its_end(tmp_path: Path, header: bool) -> None:
    data = encoded(tmp_path / "a.mp3", speech_and_silence(6), bitrate_mode="VARIABLE", compression_level=0.2)
    data = data if header else without_header(data)
    form = struct.pack("<HHIIHHHHIHHH", 0x55, 1, 16_000, 4_000, 1, 0, 12, 1, 2, 417, 1, 0)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"fact" + struct.pack("<II", 4, 96_000)
    body += b"data" + struct.pack("<I", len(data)) + data
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert 96_000 <= len(read_mono(path)[0]) < 99_000
    path.write_bytes(path.read_bytes()[: -len(data) // 2])
    assert reason(path).startswith("truncated or damaged")


@pytest.mark.parametrize(("scale", "peak"), [(32_767, "32,767"), (300, "300"), (3, "3")])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_floats_that_hold_16_bit_numbers_are_refused(tmp_path: Path, scale: int, peak: str, subtype: str) -> None:
    path = tmp_path / "a.wav"
    wave = np.rint(scale * tone(1, 300) / 0.4)
    sf.write(path, wave, 16_000, subtype=subtype)
    assert reason(path).startswith(f"samples up to {peak} where full scale is 1.0")


def test_floats_that_exceed_full_scale_a_little_are_clipped(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    sf.write(path, 5 * tone(1, 300), 16_000, subtype="FLOAT")
    pcm = decode(path, 16_000).pcm
    assert (pcm.max(), pcm.min()) == (2**15 - 1, -(2**15))
    sf.write(path, 1e-6 * tone(1, 300), 16_000, subtype="FLOAT")
    with pytest.raises(DecodingError, match=r"^quieter than 16 bits tell: a peak of 4e-07 where full scale is 1\.0$"):
        decode(path, 16_000)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_recognition_reads_what_corpora_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    sf.write(path, np.stack([tone(1, 300, 44_100), tone(1, 2_000, 44_100)], axis=1), 44_100)
    pcm = decode(path, 16_000).pcm
    np.testing.assert_array_equal(read_audio(path, 16_000).numpy(), pcm.astype(np.float32) / 2**15)


def test_a_name_that_is_not_utf_8_is_skipped_and_the_others_are_used(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    write_clips(root, ramps([500, 500]))
    for name in (b"caf\xe9.wav", b"\xff\xfe/x.wav"):
        path = Path(os.fsdecode(os.path.join(os.fsencode(root), name)))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((root / "clip_000.wav").read_bytes())
        assert len(read_audio(path, RATE)) == 500
    data = opened(root, Crops(100), pattern=r"(?P<speaker>.)")
    assert data.clips.ids == ["clip_000.wav", "clip_001.wav"]
    reasons = {"its name is not UTF-8; rename the file or its folder": ("caf\\udce9.wav", "\\udcff\\udcfe/x.wav")}
    assert data.describe().skipped == reasons
    for path in root.glob("clip*"):
        path.unlink()
    with pytest.raises(CorpusError, match=r"no usable clip in .*: caf.udce9\.wav: its name is not UTF-8"):
        opened(root, Crops(100))


def test_whatever_a_file_does_to_the_decoder_it_is_skipped_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "corpus"
    write_clips(root, ramps([500, 501, 502]))
    (root / "clip_003.wav").write_bytes(b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + b"\xff" * 40)
    (root / "clip_004.flac").write_bytes(b"fLaC" + os.urandom(500))
    whole = sf.SoundFile.read

    def read(self: sf.SoundFile, *arguments: object, **options: object) -> np.ndarray:
        if self.frames == 501:
            raise MemoryError("cannot allocate\n3 TiB")
        return whole(self, *arguments, **options)

    monkeypatch.setattr(sf.SoundFile, "read", read)
    data = opened(root, Crops(100))
    assert data.clips.ids == ["clip_000.wav", "clip_002.wav"]
    skipped = data.describe().skipped
    assert sorted(id for ids in skipped.values() for id in ids) == ["clip_001.wav", "clip_003.wav", "clip_004.flac"]
    assert skipped["unreadable: MemoryError: cannot allocate 3 TiB"] == ("clip_001.wav",)


def test_whatever_a_file_does_to_the_resampler_it_is_skipped_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clips(tmp_path / "corpus", ramps([500, 501]))
    whole = decode

    def heavy(path: Path, *arguments: object) -> object:
        if path.stem == "clip_001":
            raise RuntimeError("DefaultCPUAllocator: not enough memory")
        return whole(path, *arguments)

    monkeypatch.setattr("datamodules.cache.decode", heavy)
    data = opened(tmp_path / "corpus", Crops(100))
    assert data.clips.ids == ["clip_000.wav"]
    reason = "cannot be decoded: RuntimeError: DefaultCPUAllocator: not enough memory"
    assert data.describe().skipped == {reason: ("clip_001.wav",)}


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_flac_is_held_to_its_checksum(tmp_path, subtype, channels):
    wave = np.random.default_rng(0).uniform(-1, 1, (5_000, channels))
    sf.write(tmp_path / "a.flac", wave, 8_000, subtype=subtype)
    assert len(read_audio(tmp_path / "a.flac", 8_000)) == 5_000
    whole = bytearray((tmp_path / "a.flac").read_bytes())
    for place, value in ((25, 100), (30, whole[30] ^ 1)):  # Fewer samples are stated; another checksum.
        spoiled = bytearray(whole)
        spoiled[place] = value
        (tmp_path / "b.flac").write_bytes(spoiled)
        with pytest.raises(RequestError, match=r"b\.flac"):
            read_audio(tmp_path / "b.flac", 8_000)
    whole[26:42] = bytes(16)  # None is stated.
    (tmp_path / "c.flac").write_bytes(whole)
    assert len(read_audio(tmp_path / "c.flac", 8_000)) == 5_000
