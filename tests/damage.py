"""Damaged files among good ones, and what the commands make of them.

`python tests/damage.py [VARIANTS [SEED]]` damages recordings, labels, a cache and a checkpoint in as many ways each,
lets every command meet them, and prints a table. A command may use a file whole or refuse it by name; it must not end
in a traceback, hang, or touch the good files beside it.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf

from datamodules import Audio, AudioFolderDataModule
from lightning_wavenet.cli.main import main

RATE = 8_000
KINDS = ("wav", "flac", "mp3", "ogg")
SECONDS = 120
"""After which a command is taken to hang."""

NET = ["--model.backbone.dilations=1..4", "--model.backbone.residual_channels=8", "--model.backbone.skip_channels=8"]


class Outcome(NamedTuple):
    """What came of a command."""

    code: int
    said: str
    fault: str | None
    """A traceback or a hang; None where there was neither."""


def wavenet(*arguments: object) -> Outcome:
    """Runs a command in this process."""
    said, fault, code = io.StringIO(), None, 0

    def hang(*_: object) -> None:
        raise TimeoutError("hangs")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    try:
        with redirect_stdout(said), redirect_stderr(said):
            main([str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:
        fault = traceback.format_exc()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    if fault is None and "Traceback" in said.getvalue():
        fault = said.getvalue()
    return Outcome(code, said.getvalue(), fault)


def cut(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data[: rng.integers(0, len(data))])


def zeroed(data: bytearray, rng: np.random.Generator) -> bytes:
    start = rng.integers(0, len(data))
    stop = min(len(data), start + 1 + rng.integers(0, max(1, len(data) // 3)))
    data[start:stop] = bytes(stop - start)
    return bytes(data)


def changed(data: bytearray, rng: np.random.Generator, first: int, last: int) -> bytes:
    for place in rng.integers(first, max(first + 1, min(last, len(data))), size=4):
        data[place] ^= int(rng.integers(1, 256))
    return bytes(data)


def swapped(data: bytearray, rng: np.random.Generator) -> bytes:
    middle = rng.integers(1, max(2, len(data)))
    return bytes(data[middle:] + data[:middle])


WAYS: dict[str, Callable[[bytearray, np.random.Generator], bytes]] = {
    "cut": cut,
    "zeroed": zeroed,
    "header": lambda data, rng: changed(data, rng, 0, 64),
    "payload": lambda data, rng: changed(data, rng, min(64, len(data) - 1), len(data)),
    "swapped": swapped,
}


def variants(data: bytes, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Damaged forms of a file that differ from it, with the way's name."""
    rng, made = np.random.default_rng(seed), 0
    while made < count:
        way = list(WAYS)[made % len(WAYS)]
        damaged = WAYS[way](bytearray(data), rng)
        if damaged != data:
            yield way, damaged
            made += 1


def write_recording(path: Path, seed: int) -> None:
    """A second and a half of a tone with noise and pauses."""
    rng, at = np.random.default_rng(seed), np.arange(3 * RATE // 2) / RATE
    wave = 0.3 * np.sin(2 * np.pi * (150 + 40 * seed) * at) * (np.sin(2 * np.pi * 2 * at) > -0.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, wave + 0.01 * rng.standard_normal(len(at)), RATE)


def write_phones(path: Path) -> None:
    spans = [(0, 3_000, "h#"), (3_000, 7_000, "aa"), (7_000, 9_500, "s"), (9_500, 3 * RATE // 2, "h#")]
    path.write_text("".join(f"{start} {end} {label}\n" for start, end, label in spans))


@contextmanager
def cache(folder: Path) -> Iterator[None]:
    before = os.environ.get("WAVENET_CACHE")
    os.environ["WAVENET_CACHE"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("WAVENET_CACHE") if before is None else os.environ.update(WAVENET_CACHE=before)


def samples(root: Path) -> dict[str, np.ndarray]:
    """The decoded samples of every usable clip of a folder."""
    data = AudioFolderDataModule(root, audio=Audio(RATE))
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        data.prepare_data()
        data.setup()
    clips = data.clips
    return {id: clips.pcm(clip, 0, int(clips.lengths[clip])).copy() for clip, id in enumerate(clips.ids)}


class Report:
    """Counts by what was damaged, and what went wrong."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}
        self.faults: list[str] = []

    def add(self, what: str, how: str) -> None:
        self.counts.setdefault(what, Counter())[how] += 1

    def check(self, what: str, outcome: Outcome, name: str | None = None) -> None:
        """A command must end without a fault, and where it refuses, in one line that names the file."""
        lines = [line for line in outcome.said.splitlines() if line.startswith("wavenet: error:")]
        if outcome.fault:
            self.faults.append(f"{what}: {outcome.fault.strip().splitlines()[-1]}")
        elif outcome.code not in (0, 2):
            self.faults.append(f"{what}: exit code {outcome.code}: {outcome.said.strip().splitlines()[-1:]}")
        elif outcome.code == 2 and len(lines) != 1:
            self.faults.append(f"{what}: refused without one line: {outcome.said[-300:]}")
        elif outcome.code == 2 and name is not None and name not in lines[0]:
            self.faults.append(f"{what}: {name} is not named: {lines[0]}")

    def require(self, holds: bool, fault: str) -> None:
        if not holds:
            self.faults.append(fault)


def recordings(report: Report, home: Path, count: int, seed: int) -> Path:
    """Damaged recordings of four kinds in one corpus; returns the corpus of the good ones."""
    good, mixed = home / "good", home / "mixed"
    for number, kind in enumerate(KINDS):
        for index in range(3):
            write_recording(good / kind / f"good_{index}.{kind}", 10 * number + index)
    shutil.copytree(good, mixed)
    bad: dict[str, str] = {}
    for kind in KINDS:
        whole = (good / kind / f"good_0.{kind}").read_bytes()
        for index, (way, data) in enumerate(variants(whole, count, seed)):
            path = mixed / kind / f"bad_{index:02d}_{way}.{kind}"
            path.write_bytes(data)
            bad[str(path.relative_to(mixed))] = kind
    corpus = ["--data=AudioFolderDataModule", f"--data.root={mixed}", f"--data.audio.sample_rate={RATE}"]
    outcome = wavenet("data", "describe", *corpus, "--json", home / "mixed.json")
    report.check("describe", outcome)
    report.check("prepare", wavenet("data", "prepare", *corpus))
    if outcome.code or outcome.fault:
        return good
    about = json.loads((home / "mixed.json").read_text())
    used, skipped = {clip["id"] for clip in about["clips"]}, {one["id"] for one in about["skipped"]}
    before, after = samples(good), samples(mixed)
    for id, pcm in before.items():
        report.require(id in after and np.array_equal(after[id], pcm), f"{id}, a good neighbor, is not what it was")
    for id, kind in bad.items():
        whole = len(before[f"{kind}/good_0.{kind}"])
        if id in used:
            report.add(kind, "used whole")
            # An MP3 whose first frame is spoiled no longer says how many samples its encoder put before and after.
            right = whole <= len(after[id]) < whole + 3_000 if kind == "mp3" else len(after[id]) == whole
            report.require(right, f"{id} is used in part: {len(after[id])} of {whole} samples")
            if kind == "flac":
                report.require(np.array_equal(after[id], before["flac/good_0.flac"]), f"{id} has other samples")
        else:
            report.add(kind, "named")
            report.require(id in skipped, f"{id} is neither used nor named")
    run = ["--run", home / "run", "--trainer.max_steps=2", "--trainer.accelerator=cpu", "--samples.every_n_steps=0"]
    fit = ["fit", "--model=UnconditionalWaveNet", *NET, *corpus, "--data.crops.samples=500", *run]
    report.check("fit", wavenet(*fit))
    return good


def labels(report: Report, home: Path, count: int, seed: int) -> None:
    """Damaged `.phn` files beside recordings, and damaged TextGrids in a folder of alignments."""
    root, grids = home / "labels", home / "grids"
    grids.mkdir()
    for index in range(4):
        write_recording(root / f"good_{index}.wav", index)
        write_phones(root / f"good_{index}.phn")
    corpus = ["--data=AudioFolderDataModule", f"--data.root={root}", f"--data.audio.sample_rate={RATE}"]
    net = [*NET, "--model.hop=80", "--model.encoder=ConvolutionalEncoder", "--model.encoder.channels=8"]
    run = [
        "--run",
        home / "recognizer",
        "--trainer.max_steps=2",
        "--trainer.accelerator=cpu",
        "--samples.every_n_steps=0",
    ]
    split = ["--data.split.validation=0.25", "--data.split.test=0.25", "--data.batch_size=1"]
    report.check("fit", wavenet("fit", "--model=RecognitionWaveNet", *net, *corpus, *split, *run))
    ckpt = home / "recognizer" / "checkpoints" / "last.ckpt"
    report.check("align", wavenet("align", ckpt, *corpus, "--out", grids / "made"))
    made = next((grids / "made").rglob("good_0.TextGrid"), None)
    for kind, whole in (("phn", root / "good_0.phn"), ("TextGrid", made)):
        if whole is None:
            report.faults.append("align wrote no TextGrid")
            continue
        folder = home / f"bad_{kind}"
        shutil.copytree(root, folder)
        for index, (way, data) in enumerate(variants(whole.read_bytes(), count, seed)):
            write_recording(folder / f"bad_{index:02d}_{way}.wav", 0)
            (folder / f"bad_{index:02d}_{way}.{kind}").write_bytes(data)
        about = ["--data=AudioFolderDataModule", f"--data.root={folder}", f"--data.audio.sample_rate={RATE}"]
        if kind == "TextGrid":
            about.append(f"--data.alignments={folder}")
            for index in range(4):
                shutil.copy(next((grids / "made").rglob(f"good_{index}.TextGrid")), folder)
                (folder / f"good_{index}.phn").unlink()
        out = home / f"{kind}.json"
        outcome = wavenet("data", "describe", *about, "--json", out)
        report.check(f"describe {kind}", outcome)
        report.check(f"align {kind}", wavenet("align", ckpt, *about, "--out", home / f"aligned_{kind}"))
        if not outcome.code and not outcome.fault:
            listed = json.loads(out.read_text())
            skipped = {one["id"] for one in listed["skipped"]}
            for clip in listed["clips"]:
                if clip["id"].startswith("bad"):
                    named = clip["id"] in skipped
                    report.add(kind, "used whole" if clip["phones"] and not named else "named")
                    report.require(bool(clip["phones"]) or named, f"{clip['id']} ({kind}): neither used nor named")
            listed_ids = {clip["id"] for clip in listed["clips"]}
            for _ in skipped - listed_ids:
                report.add(kind, "named")


def single_files(report: Report, home: Path, good: Path, count: int, seed: int) -> None:
    """Damaged recordings to recognize and to continue, and damaged checkpoints."""
    recognizer, ckpt = (home / run / "checkpoints" / "last.ckpt" for run in ("recognizer", "run"))
    for kind in KINDS:
        whole = (good / kind / f"good_0.{kind}").read_bytes()
        for index, (way, data) in enumerate(variants(whole, count, seed + 1)):
            path = home / f"single_{index:02d}_{way}.{kind}"
            path.write_bytes(data)
            outcome = wavenet("recognize", recognizer, path)
            report.check(f"recognize {kind}", outcome, path.name)
            report.add(f"recognize {kind}", "refused" if outcome.code else "used")
            if index % 5 == 0:
                prime = ["--prime", path, "--seconds", "0.02", "--overwrite", "--out", home / "clips"]
                report.check(f"prime {kind}", wavenet("generate", ckpt, *prime), path.name)
    for index, (way, data) in enumerate(variants(ckpt.read_bytes(), count, seed)):
        path = home / f"bad_{index:02d}_{way}.ckpt"
        path.write_bytes(data)
        outcome = wavenet("generate", path, "--seconds", "0.02", "--out", home / f"of_{path.stem}")
        report.check("checkpoint", outcome, path.name)
        report.add("checkpoint", "refused" if outcome.code else "used")


def tables(report: Report, home: Path, count: int, seed: int) -> None:
    """Damaged `metadata.csv` of LJSpeech's layout, and damaged files of a finished cache."""
    root = home / "lj"
    for index in range(4):
        write_recording(root / "wavs" / f"LJ001-000{index}.wav", index)
    rows = "".join(f"LJ001-000{i}|The cat sat, no. {i}.|The cat sat, number {i}.\n" for i in range(4))
    (root / "metadata.csv").write_text(rows)
    corpus = ["--data=LJSpeechDataModule", f"--data.root={root}", f"--data.audio.sample_rate={RATE}"]
    for _, data in variants(rows.encode(), count, seed):
        (root / "metadata.csv").write_bytes(data)
        outcome = wavenet("data", "describe", *corpus, "--json", home / "lj.json", "--overwrite")
        report.check("metadata.csv", outcome)
        report.add("metadata.csv", "refused" if outcome.code else "used or named")
    (root / "metadata.csv").write_text(rows)
    with cache(home / "kept"):
        report.check("prepare", wavenet("data", "prepare", *corpus))
    files = sorted(path for path in (home / "kept").rglob("*") if path.is_file() and path.stat().st_size)
    for index in range(count):
        shutil.rmtree(home / "spoiled", ignore_errors=True)
        shutil.copytree(home / "kept", home / "spoiled")
        path = home / "spoiled" / files[index % len(files)].relative_to(home / "kept")
        *_, (way, data) = variants(path.read_bytes(), 1 + index % len(WAYS), seed + index)
        path.write_bytes(data)
        with cache(home / "spoiled"):
            outcome = wavenet("data", "describe", *corpus)
        report.check(f"cache, {path.name} {way}", outcome)
        report.add("cache", "refused" if outcome.code else "used or built anew")


def damage(home: Path, count: int = 20, seed: int = 0) -> Report:
    """Everything, in a folder that is empty."""
    report = Report()
    with cache(home / "cache"):
        good = recordings(report, home, count, seed)
        labels(report, home, count, seed)
        single_files(report, home, good, count, seed)
        tables(report, home, count, seed)
    return report


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        found = damage(Path(folder), *numbers)
    for name, counts in found.counts.items():
        print(f"{name:<16}", ", ".join(f"{how} {number}" for how, number in sorted(counts.items())))
    print(f"{len(found.faults)} faults", *found.faults, sep="\n  ")
    sys.exit(bool(found.faults))
