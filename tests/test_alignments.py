"""Phone times of any corpus from a folder of alignments: TIMIT's, Praat's and HTS's files, and what `align` writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import datamodules.cache
from datamodules import Audio, AudioFolderDataModule, Crops, Split
from datamodules.phone_times import read_alignment
from lightning_wavenet.cli.main import main
from lightning_wavenet.data.batch import Request
from lightning_wavenet.errors import RequestError
from lightning_wavenet.files.textgrid import write_textgrid
from lightning_wavenet.text.phones import Phone

FILE_RATE, RATE = 16_000, 8_000
TIMES = [("sil", 0.0, 0.05), ("b", 0.05, 0.12), ("aa", 0.12, 0.25)]  # In seconds, of a recording of 0.25 s.
PHONES = [Phone(label, round(start * RATE), round(end * RATE)) for label, start, end in TIMES]


def write(folder: Path, id: str, kind: str) -> Path:
    path = folder / f"{id}{kind}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == ".phn":
        path.write_text("".join(f"{round(s * FILE_RATE)} {round(e * FILE_RATE)} {label}\n" for label, s, e in TIMES))
    elif kind == ".lab":
        path.write_text("".join(f"{round(s * 1e7)} {round(e * 1e7)} x^x-{label}+y=y@1_2\n" for label, s, e in TIMES))
    else:
        tiers = {"words": [(0.05, 0.25, "bah")], "phones": [(s, e, label) for label, s, e in TIMES]}
        write_textgrid(path, 0.25, tiers)
    return path


@pytest.fixture
def recordings(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "corpus" / "ann").mkdir(parents=True)
    for name in ("one", "two.5", "three"):
        sf.write(tmp_path / "corpus" / "ann" / f"{name}.wav", rng.uniform(-0.3, 0.3, 4_000), FILE_RATE)
    return tmp_path / "corpus"


def opened(root: Path, alignments: Path | None, **options) -> AudioFolderDataModule:
    data = AudioFolderDataModule(
        root,
        audio=Audio(RATE, cache_dir=root.parent / "cache"),
        split=Split(validation=0, test=0),
        crops=Crops(None),
        alignments=alignments,
        **options,
    )
    data.prepare_data()
    data.setup()
    return data


@pytest.mark.parametrize("kind", [".phn", ".TextGrid", ".lab"])
def test_a_file_of_each_kind_gives_the_phones_at_the_rate_of_the_corpus(recordings, tmp_path, kind):
    for name in ("one", "two.5", "three"):
        write(tmp_path / "aligned" / "ann", name, kind)
    data = opened(recordings, tmp_path / "aligned")
    assert data.clips.ids == ["ann/one.wav", "ann/three.wav", "ann/two.5.wav"]
    assert data.clips.values("phones") == [PHONES] * 3
    assert data.vocabulary.phones == ("aa", "b", "sil")


def test_other_alignments_do_not_decode_again_and_unreadable_ones_are_named(recordings, tmp_path, monkeypatch):
    for name in ("one", "two.5"):
        write(tmp_path / "aligned" / "ann", name, ".phn")
    opened(recordings, None)
    monkeypatch.setattr(datamodules.cache, "decode", None)  # Whoever decodes fails.
    data = opened(recordings, tmp_path / "aligned")
    data.connect(Request(frozenset({"phones"}), hop=80, history=80, phone_times=True))
    assert [data.clips.ids[clip] for clip in data.clips_of("train")] == ["ann/one.wav", "ann/two.5.wav"]
    skipped = data.describe().skipped
    assert skipped[f"no alignment in {tmp_path / 'aligned'}"] == ("ann/three.wav",)

    (tmp_path / "aligned" / "ann" / "one.phn").write_text("0 10\n")
    data = opened(recordings, tmp_path / "aligned")
    assert data.clips.values("phones") == [[], [], PHONES]
    assert data.describe().skipped["alignment cannot be read: line 1 is not 'START END PHONE'"] == ("ann/one.wav",)


def test_a_folder_without_alignments_is_refused(recordings, tmp_path):
    with pytest.raises(RequestError, match="is not a folder"):
        opened(recordings, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match=r"an alignment of none of 3 clips: looked for ID\.phn or ID\.TextGrid"):
        opened(recordings, tmp_path / "empty")


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (".lab", "0 5\n", "line 1 is not 'START END LABEL'"),
        (".lab", "0 5 a\n3 9 b\n", r"phone 2 \(3 9 b\) does not follow"),
        (".TextGrid", "nothing", "it is no TextGrid"),
        (".phn", f"0 {10**20} a\n", "phone 1 ends at 10+, which is after any recording"),
        (".PHN", "0 9 a\n\x00", "zeros in it"),
    ],
)
def test_what_is_not_what_its_suffix_says_has_a_reason(tmp_path, kind, text, message):
    (tmp_path / f"x{kind}").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_alignment(tmp_path / f"x{kind}")


def test_what_align_wrote_can_be_trained_on(recordings, tmp_path, monkeypatch, capsys):
    """Texts alone train an aligner; the times that it writes train frames; ids with dots stay apart."""
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two.5", "three", "two.6"):
        if name == "two.6":
            sf.write(recordings / "ann" / "two.6.wav", np.random.default_rng(1).uniform(-0.3, 0.3, 4_000), FILE_RATE)
        (recordings / "ann" / f"{name}.txt").write_text("Bah!")
    corpus = ["--data", "AudioFolderDataModule", "--data.root", str(recordings), "--data.audio.sample_rate", "8000"]
    corpus += ["--data.split", '{"validation": 0, "test": 0}', "--data.batch_size", "2"]
    net = [
        "--model.backbone.dilations=1..4",
        "--model.backbone.residual_channels=8",
        "--model.backbone.skip_channels=8",
    ]
    net += [
        "--model.encoder=ConvolutionalEncoder",
        "--model.encoder.channels=8",
        "--model.hop=80",
        "--model.criterion.sample_weight=0",
        "--trainer.accelerator=cpu",
    ]
    fit = ["fit", "--model", "RecognitionWaveNet", *corpus, *net, "--trainer.max_steps=1"]
    main([*fit, "--run", "aligner", "--model.criterion.frame_weight=0", "--model.criterion.ctc_weight=1"])
    main(["align", "aligner/checkpoints/last.ckpt", *corpus, "--out", "aligned"])
    names = {path.name for path in Path("aligned/ann").iterdir()}
    assert names == {f"{name}.{kind}" for name in ("one", "two.5", "two.6", "three") for kind in ("phn", "TextGrid")}
    capsys.readouterr()
    main([*fit, "--run", "frames", "--data.alignments", "aligned"])
    assert "phone error rate" in capsys.readouterr().out
    data = opened(recordings, Path("aligned"))
    # Times of a .phn are in samples of the recording, at twice the corpus's rate.
    lines = Path("aligned/ann/two.5.phn").read_text().splitlines()
    (place,) = (clip for clip, id in enumerate(data.clips.ids) if id == "ann/two.5.wav")
    told = [(label, round(int(start) / 2), round(int(end) / 2)) for start, end, label in map(str.split, lines)]
    assert [tuple(phone) for phone in data.clips.value("phones", place)] == told
    every = [line for path in Path("aligned").rglob("*.phn") for line in path.read_text().splitlines()]
    assert data.vocabulary.phones == tuple(sorted({line.split()[2] for line in every}))
