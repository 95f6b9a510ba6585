"""Caches that others built and may not be written, and disks that are full."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from recordings import RATE, opened, ramps, write_clips

from datamodules import Crops, cache, tables
from lightning_wavenet.cli.main import main
from lightning_wavenet.errors import RequestError, StorageError
from lightning_wavenet.features import MelSpectrogram
from lightning_wavenet.files.atomic import write_text
from lightning_wavenet.files.audio import write_clip

CROPS = Crops(100)


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Files that would grow beyond some bytes fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Refusing:
    """A lock in a folder that may not be written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def acquire(self, timeout: float | None = None) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self.path))


@pytest.mark.parametrize("features", [(), (MelSpectrogram(hop=20, window=80, bands=4, high_hz=None),)])
def test_a_finished_cache_is_opened_without_its_lock(tmp_path: Path, monkeypatch, features) -> None:
    write_clips(tmp_path / "corpus", ramps([300, 500, 200]))
    built = opened(tmp_path / "corpus", CROPS, features=features)
    held = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    monkeypatch.setattr(tables, "FileLock", Refusing)
    monkeypatch.setattr(cache, "decode", None)
    again = opened(tmp_path / "corpus", CROPS, features=features)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")} == held
    assert again.clips.ids == built.clips.ids
    for clip, length in enumerate((300, 500, 200)):
        np.testing.assert_array_equal(again.clips.pcm(clip, 0, length), built.clips.pcm(clip, 0, length))
    assert again.clips.audio.features == built.clips.audio.features
    for one, other in zip(again.clips.features, built.clips.features, strict=True):
        np.testing.assert_array_equal(one.kept(1), other.kept(1))
    pickled = pickle.dumps(again.clips)  # As for a worker: the name of the file, and no copy.
    assert len(pickled) < 12_000
    np.testing.assert_array_equal(pickle.loads(pickled).pcm(1, 0, 500), built.clips.pcm(1, 0, 500))
    write_clips(tmp_path / "corpus", ramps([7]), "new.wav")
    with pytest.raises(RequestError, match=r"^cannot write to the cache folder .* \(Permission denied\); set audio"):
        opened(tmp_path / "corpus", CROPS)


def test_a_table_in_shards_is_opened_only_when_all_are_there(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tables, "WRITE_BYTES", 1)
    monkeypatch.setattr(tables, "SHARD_BYTES", 1)
    write_clips(tmp_path / "corpus", ramps([300, 500]))
    data = opened(tmp_path / "corpus", CROPS)
    place = data.clips.folder / data.clips.audio_key
    assert sorted(path.name for path in place.iterdir()) == ["00000000.arrow", "00000001.arrow", "table.json"]
    assert tables._finished(place, cache._AUDIO)["samples"][:] == [300, 500]
    (place / "00000001.arrow").unlink()
    assert tables._finished(place, cache._AUDIO) is None


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("folder-8000-*/*.arrow", lambda data: data[: len(data) // 2]),
        ("folder-8000-*/*.arrow", lambda data: bytes(200) + data[200:]),
        ("folder-labels-*/*.arrow", lambda data: b""),
        (
            "folder-labels-*/*.arrow",
            lambda data: data.replace(b"clip_000", b"clip_00\xff").replace(b"\x00", b"\x01", 1),
        ),
        ("folder-8000-*/*.arrow", lambda data: data[:-40] + bytes([data[-40] ^ 1]) + data[-39:]),
        ("*/table.json", lambda data: data[:20]),
        ("*/table.json", lambda data: b"5"),
    ],
)
def test_a_damaged_table_is_made_anew(tmp_path: Path, caplog, name, spoil) -> None:
    write_clips(tmp_path / "corpus", ramps([300, 500]))
    right = opened(tmp_path / "corpus", CROPS).clips.pcm(1, 0, 500).copy()
    paths = sorted((tmp_path / "cache" / "folder").glob(name))
    assert paths
    for path in paths:
        path.write_bytes(spoil(path.read_bytes()))
    clips = opened(tmp_path / "corpus", CROPS).clips
    assert np.array_equal(clips.pcm(1, 0, 500), right)
    assert any("damaged, and made anew" in record.message for record in caplog.records)


def test_a_disk_that_is_full_while_a_corpus_is_decoded(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(-9999, 9999, (70, 20_000)).astype(np.int16)
    write_clips(tmp_path / "corpus", list(noise))
    with files_up_to(500_000), pytest.raises(StorageError) as error:
        opened(tmp_path / "corpus", CROPS)
    assert str(error.value).startswith(f"cannot write to the cache folder {tmp_path / 'cache' / 'folder'} (")
    assert "set WAVENET_CACHE or data.audio.cache_dir to a folder on another disk" in str(error.value)
    assert not list((tmp_path / "cache").rglob("*.arrow"))
    assert len(opened(tmp_path / "corpus", CROPS).clips) == 70


def test_a_full_disk_is_one_line_of_the_command(tmp_path: Path) -> None:
    write_clips(tmp_path / "corpus", list(np.random.default_rng(0).integers(-9, 9, (70, 20_000)).astype(np.int16)))
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))\n"
        "from lightning_wavenet.cli.main import main\n"
        f"main(['data', 'prepare', '--data', 'AudioFolderDataModule', '--data.root', {str(tmp_path / 'corpus')!r},"
        f" '--data.audio.sample_rate', '{RATE}'])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("wavenet: error: cannot write to the cache folder")


@pytest.mark.parametrize("seconds", [1, 30])
def test_a_disk_that_is_full_while_a_clip_is_written(tmp_path: Path, seconds: int) -> None:
    with files_up_to(9_000), pytest.raises(StorageError, match=r"^cannot write .*a\.wav \(.*\): free some space, or"):
        write_clip(tmp_path / "out" / "a", torch.rand(seconds * RATE), RATE, {})
    assert not list((tmp_path / "out").iterdir())
    write_clip(tmp_path / "out" / "a", torch.rand(seconds * RATE), RATE, {})
    assert sf.info(tmp_path / "out" / "a.wav").frames == seconds * RATE


def test_a_disk_that_is_full_while_a_text_is_written(tmp_path: Path) -> None:
    with files_up_to(9_000), pytest.raises(StorageError, match=r"^cannot write .*a\.json \(File too large\)"):
        write_text(tmp_path / "a.json", "x" * 10_000)
    assert not list(tmp_path.iterdir())


def test_other_errors_of_the_system_stay_what_they_are(tmp_path: Path, monkeypatch, capsys) -> None:
    def full(data: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "logs/metrics.csv")

    monkeypatch.setattr("lightning_wavenet.cli.data.prepare", full)
    monkeypatch.setattr("lightning_wavenet.cli.data._VERBS", {"prepare": (full, "x")})
    with pytest.raises(PermissionError), files_up_to(10**9):
        write_text_refused(tmp_path)
    corpus = ["--data", "AudioFolderDataModule", "--data.root", "x", "--data.audio.sample_rate", "8000"]
    with pytest.raises(SystemExit) as ended:
        main(["data", "prepare", *corpus])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("wavenet: error: a disk is full ([Errno 28] No space left on device: 'logs/metrics.csv')")


def write_text_refused(folder: Path) -> None:
    from lightning_wavenet.files.atomic import write_atomically

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    write_atomically(folder / "a", refuse)


def test_a_disk_that_is_full_while_a_corpus_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["data", "synthesize", "folder", "--out", str(tmp_path / "corpus"), "--source", "tones"]
    with files_up_to(9_000), pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("wavenet: error: a disk is full (")
    assert not (tmp_path / "corpus").exists()
