"""`wavenet data`: help that helps, one line for what is wrong, and corpora as an experiment would see them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import soundfile
from jsonargparse import ArgumentError

from lightning_wavenet.cli.data import main
from lightning_wavenet.errors import CorpusError, RequestError

SPLITS = {"train", "validation", "test"}
TONES = ["--source", "tones", "--seconds", "1"]

EXPERIMENT = """
seed_everything: 3
model:
  class_path: no.such.Model
  init_args: {rate: 8000}
trainer: {max_steps: 5}
data:
  class_path: datamodules.AudioFolderDataModule
  init_args:
    root: ${oc.env:WAVENET_DATA,data}/tones
    pattern: (?P<speaker>[^/]+)/
    audio: {sample_rate: "${model.init_args.rate}", cache_dir: CACHE}
    split: {validation: 0.25, test: 0.25}
    batch_size: "${data.init_args.crops.samples}"
    crops: {samples: 100}
"""


@pytest.fixture
def experiment(tmp_path, monkeypatch) -> Path:
    """An experiment on a folder of 2 x 4 tones of 1 s, of which one is broken."""
    main(["synthesize", "folder", "--out", str(tmp_path / "tones"), "--speakers", "2", "--clips", "4", *TONES])
    (tmp_path / "tones/tone002/tone002_003.wav").write_bytes(b"RIFF")
    monkeypatch.setenv("WAVENET_DATA", str(tmp_path))
    path = tmp_path / "experiment.yaml"
    path.write_text(EXPERIMENT.replace("CACHE", str(tmp_path / "cache")))
    return path


def helped(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def test_help(capsys):
    text = helped(capsys)
    assert all(verb in text for verb in ("synthesize", "prepare", "describe"))
    text = helped(capsys, "synthesize", "vctk")
    assert "VCTK 0.92: 48 kHz FLAC" in text
    assert "About how long a recording is (s). (type: float, default: 3.0)" in text
    assert "--source {speech,digits,tones}" in text
    text = helped(capsys, "synthesize", "folder")
    assert "Samples a second (Hz)" in text
    text = helped(capsys, "synthesize", "ljspeech")
    assert "at most 9999" in text
    assert "--speakers" not in text
    text = helped(capsys, "synthesize", "timit")
    assert "How many, 3 to 20. (type: int, default: 5)" in text
    assert "--source" not in text
    assert "--data CONFIG" in helped(capsys, "describe")


def test_help_waits_for_no_heavy_import():
    code = (
        "import sys; from lightning_wavenet.cli.data import main\n"
        "try: main(['synthesize', 'vctk', '--help'])\n"
        "finally: print('torch' in sys.modules, 'pytorch_lightning' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "False False"


def test_synthesize(tmp_path, capsys):
    arguments = ["synthesize", "vctk", "--out", str(tmp_path), "--speakers", "1", "--clips", "2", *TONES]
    main(arguments)
    root = tmp_path / "VCTK-Corpus-0.92"
    assert capsys.readouterr().out == f"1 speakers x 2 clips of tones in {root}\n"
    assert len(list(root.rglob("*.flac"))) == 4
    with pytest.raises(RequestError, match="--overwrite"):
        main(arguments)
    for number, overwrite in ((1, "--overwrite"), (3, "--overwrite=true")):
        main([*arguments, overwrite, "--clips", str(number)])
        assert len(list(root.rglob("*.flac"))) == 2 * number
    main(["synthesize", "folder", "--out", str(tmp_path / "own"), "--clips=1", "--sample_rate=8000", *TONES])
    assert {soundfile.info(path).samplerate for path in (tmp_path / "own").rglob("*.wav")} == {8000}
    capsys.readouterr()
    main(["synthesize", "ljspeech", "--out", str(tmp_path), "--clips", "2", *TONES])
    assert capsys.readouterr().out == f"2 clips of tones in {tmp_path / 'LJSpeech-1.1'}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "synthesize,prepare,describe"),
        (["download"], "invalid choice: 'download'"),
        (["synthesize"], "vctk,folder,ljspeech,timit"),
        (["synthesize", "vctk"], "out"),
        (["synthesize", "vctk", "--out", "x", "--clips", "many"], 'key "clips".*many'),
        (["synthesize", "vctk", "--out", "x", "--source", "noise"], "noise"),
        (["synthesize", "vctk", "--out", "x", "--sample_rate", "8000"], "sample_rate"),
        (["describe", "--data", "datamodules.NoSuchCorpus"], "NoSuchCorpus"),
    ],
)
def test_wrong_options(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError, match=f"(?s){message}"):
        main(arguments)
    assert not list(tmp_path.iterdir())


def test_wrong_experiments(experiment, tmp_path):
    with pytest.raises(RequestError, match=r"^say which corpus: --config EXPERIMENT\.yaml, .* or --data \.\.\.$"):
        main(["describe"])
    with pytest.raises(RequestError, match=r"^data\.crops\.batch_size is now called data\.batch_size$"):
        main(["prepare", "--config", str(experiment), "--data.crops.batch_size=3"])
    with pytest.raises(RequestError, match=r"no experiment .*missing\.yaml"):
        main(["prepare", "--config", str(tmp_path / "missing.yaml")])
    (tmp_path / "list.yaml").write_text("- data\n")
    with pytest.raises(RequestError, match="has no sections"):
        main(["prepare", "--config", str(tmp_path / "list.yaml")])
    (tmp_path / "broken.yaml").write_text("data: [")
    with pytest.raises(RequestError, match="not YAML"):
        main(["prepare", "--config", str(tmp_path / "broken.yaml")])
    with pytest.raises(RequestError, match="NO_SUCH_VARIABLE"):
        main(["prepare", "--config", str(experiment), "--data.root", "${oc.env:NO_SUCH_VARIABLE}/corpus"])
    with pytest.raises(ArgumentError, match="colour"):
        main(["prepare", "--config", str(experiment), "--data.colour", "red"])
    with pytest.raises(RequestError, match="not a regular expression"):
        main(["prepare", "--config", str(experiment), "--data.pattern", "("])
    with pytest.raises(CorpusError, match="nowhere"):
        main(["prepare", "--config", str(experiment), "--data.root", str(tmp_path / "nowhere")])


def test_prepare_an_experiment(experiment, tmp_path, capsys):
    capsys.readouterr()
    main(["prepare", "--config", str(experiment)])
    assert capsys.readouterr().out.startswith("folder: 7 clips, 0.1 min at 8,000 Hz are ready")
    assert list((tmp_path / "cache").iterdir())
    # An override reaches what is interpolated from it, and a later experiment overrides an earlier one.
    (tmp_path / "more.yaml").write_text("model: {init_args: {rate: 4000}}\n")
    main(["prepare", "--config", str(experiment), "--config", str(tmp_path / "more.yaml")])
    assert "at 4,000 Hz" in capsys.readouterr().out


def test_describe(experiment, tmp_path, capsys):
    capsys.readouterr()
    main(["describe", "--config", str(experiment)])
    from_experiment = capsys.readouterr().out
    lines = [" ".join(line.strip(" │").replace("│", " ").split()) for line in from_experiment.splitlines()]
    assert "folder at 8,000 Hz" in lines
    assert "clips 7 clips, 0.1 min" in lines
    assert "speakers 2" in lines
    assert "tone001 4 clips, 0.1 min" in lines
    assert "tone002 3 clips, 0.1 min" in lines
    assert any(line.startswith("skipped 1") for line in lines)
    assert "tone002_003.wav" in from_experiment
    splits = {line.split()[0]: int(line.split()[1]) for line in lines if line.split(" ")[0] in SPLITS}
    assert sum(splits.values()) == 7
    assert splits.keys() == SPLITS
    # A sine at x dBFS peak has an RMS of x - 3.01 dBFS; a tenth of a clip is silence.
    peak, level = (float(next(line for line in lines if line.startswith(name)).split()[1]) for name in ("peak", "RMS"))
    assert -10.2 < peak < -3.8
    assert peak - level == pytest.approx(3.01 + 0.5, abs=0.4)

    arguments = "--data datamodules.AudioFolderDataModule --data.audio.sample_rate 8000 --data.crops.samples 100"
    options = "--data.split.validation 0.25 --data.split.test 0.25 --data.batch_size 100"
    pattern = "--data.pattern=(?P<speaker>[^/]+)/"
    main(["describe", *arguments.split(), *options.split(), f"--data.root={tmp_path}/tones", pattern])
    assert capsys.readouterr().out == from_experiment


SAID = "sil HH AY1 sil DH EH1 R sil"


@pytest.fixture
def aligned(tmp_path) -> list[str]:
    """A second of a buzz at 150 Hz with the text "Hi there." and phones of an eighth of a second; and one without."""
    root = tmp_path / "voice"
    root.mkdir()
    rate = 16_000
    buzz = sum(np.sin(2 * np.pi * 150 * k * np.arange(rate) / rate) / k for k in range(1, 10)) / 10
    for name in ("a", "b"):
        soundfile.write(root / f"{name}.wav", buzz, rate)
        (root / f"{name}.txt").write_text("Hi there.")
    (root / "a.phn").write_text("".join(f"{2000 * n} {2000 * n + 2000} {p}\n" for n, p in enumerate(SAID.split())))
    options = f"--data AudioFolderDataModule --data.root {root} --data.audio.sample_rate {rate}"
    options += f" --data.audio.cache_dir {tmp_path / 'cache'} --data.features+ Linguistic --data.features+ LogF0"
    return ["describe", *options.split(), "--data.split", '{"validation": 0, "test": 0}']


def test_an_utterance_is_told_and_drawn(aligned, tmp_path, capsys):
    picture = tmp_path / "a.png"
    main([*aligned, "--utterance", "a.wav", "--picture", str(picture)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["a.wav: 1.00 s at 16,000 Hz, train", "Hi there."]
    rows = [line.split() for line in lines[3:11]]
    # HH from sample 2,000 (frame 25) to 3,999; there: DH EH1 R is one syllable.
    assert rows[1] == "0.125 0.250 125 25 to 49 150 100% HH HH AY1 hi phrase 1".split()
    assert rows[4][7:] == ["100%", "DH", "DH", "EH1", "R", "there"]
    assert rows[7][-1] == "sil"
    told = next(line for line in lines if line.startswith("0.625 EH: "))
    for part in ("last phone DH", "next phone R", "phone in syllable 2", "syllable stressed 1", "word in phrase 2"):
        assert part in told.split(": ", 1)[1].split("; ")
    assert "phrases of utterance 1; " in told
    assert told.endswith("frames since the phone's start 12; frames to the phone's end 12; frames of phone 25")
    image = matplotlib.image.imread(picture)
    assert min(image.shape[:2]) > 500
    with pytest.raises(RequestError, match=r"a\.png exists: choose another --picture"):
        main([*aligned, "--utterance", "a.wav", "--picture", str(picture)])


def test_an_utterance_without_frames_says_the_reason(aligned, capsys):
    main([*aligned, "--utterance", "b.wav"])
    told = capsys.readouterr().out
    assert "\nno linguistic frames: no phone times: set data.alignments to a folder" in told
    main(aligned)
    assert "no linguistic frames: no phone times" in " ".join(capsys.readouterr().out.split())


def test_utterances_that_are_not_there_are_refused(aligned):
    with pytest.raises(RequestError, match=r"folder has no utterance 'a'; it has a\.wav"):
        main([*aligned, "--utterance", "a"])
    with pytest.raises(RequestError, match="--picture is of one utterance: say which with --utterance"):
        main([*aligned, "--picture", "x.png"])
