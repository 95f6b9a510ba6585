"""`wavenet say`: a text by three models that have hardly been trained, from the corpus to the wav."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

import lightning_wavenet as lw
from datamodules.synthetic import synthesize_ljspeech
from lightning_wavenet.cli.main import main
from lightning_wavenet.files.textgrid import read_tier

RATE, HOP = 8_000, 40
CKPT = "runs/tts/checkpoints/last.ckpt"
TEXT = "Hello there, you."
LABELS = "sil HH AH L OW DH EH R sil Y UW sil".split()


@pytest.fixture(scope="module")
def voice(tmp_path_factory) -> Path:
    """A folder with the runs tts, duration and f0 in runs/."""
    folder = tmp_path_factory.mktemp("voice")
    root = synthesize_ljspeech(folder / "corpus", clips=6, seconds=1.0, sample_rate=RATE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("WAVENET_CACHE", str(folder / "cache"))
        data = ["--data=LJSpeechDataModule", "--data.root", str(root), f"--data.audio.sample_rate={RATE}"]
        data += ["--data.alignments", str(root / "phones"), "--data.batch_size=2", "--data.split.validation=0.2"]
        data += ["--data.features+=Linguistic", f"--data.features.hop={HOP}"]
        melody = ["--data.features+=LogF0", f"--data.features.hop={HOP}", "--data.features.method=dio"]
        net = ["--model.backbone.dilations=1..4", "--model.upsampling=TransposedUpsampling"]
        net += ["--model.upsampling.strides=[5,8]", "--model.upsampling.channels=4"]
        net += [f"--model.backbone.{name}_channels=8" for name in ("residual", "gate", "skip", "head")]
        small = ["--trainer.max_steps=1", "--trainer.accelerator=cpu"]
        main(["fit", "--model=TTSWaveNet", *net, *data, *melody, "--data.crops.samples=400", *small, "--run=runs/tts"])
        main(["fit", "--model=DurationModel", "--model.channels=4", *data, *small, "--run=runs/duration"])
        main(["fit", "--model=LogF0Model", "--model.channels=4", *data, *melody, *small, "--run=runs/f0"])
    return folder


@pytest.fixture
def say(voice, tmp_path, monkeypatch) -> list[str]:
    """The command, in a folder of its own that has the runs."""
    monkeypatch.chdir(tmp_path)
    Path("runs").symlink_to(voice / "runs")
    return ["say", CKPT, "--text"]


def refused(arguments: list[str], capsys) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_a_text_becomes_a_wav_and_its_labels(say, capsys):
    """Saying the same phones at the same times says the same."""
    main([*say, TEXT, "--out", "a.wav", "--labels", "textgrid", "--rate", "1.5"])
    assert "first audio after" in capsys.readouterr().out
    wave, rate = sf.read("a.wav", dtype="int16")
    assert rate == RATE
    about = json.loads(Path("a.json").read_text())
    assert about["text"] == TEXT
    assert about["conditions"] == {"rate": 1.5, "pitch": 1.0}
    assert about["rtf"] > 0
    assert Path("a.png").is_file()
    phones = read_tier(Path("a.TextGrid"), "phones")
    assert [label for _, _, label in phones] == LABELS
    times = np.array([[start, end] for start, end, _ in phones]) * RATE
    assert np.allclose(times, np.round(times / HOP) * HOP)
    assert times[0, 0] == 0
    assert np.array_equal(times[1:, 0], times[:-1, 1])
    assert round(times[-1, 1]) == len(wave)

    main([*say, TEXT, "--out", "b.wav", "--labels", "json", "--phones", "a.TextGrid"])
    assert Path("b.wav").read_bytes() == Path("a.wav").read_bytes()
    rows = json.loads(Path("b.phones.json").read_text())["phones"]
    assert [row["phone"] for row in rows] == LABELS
    assert [row["end"] for row in rows] == pytest.approx([end for _, end, _ in phones])


def test_a_file_of_sentences_becomes_a_folder_of_wavs(say):
    Path("two.txt").write_text("one|Hello.\n\ntwo|raw|You, there.\n")
    main([*say, "two.txt", "--out", "said"])
    texts = {path.stem: json.loads(path.read_text())["text"] for path in Path("said").glob("*.json")}
    assert texts == {"one": "Hello.", "two": "You, there."}
    # 244 characters, but too many bytes for the name of a file.
    main([*say, "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK} " * 80 + "You.", "--out", "quotes"])
    main([*say, "You, there.", "--out", "alone", "--seed", "1"])
    assert Path("alone.wav").read_bytes() == Path("said/two.wav").read_bytes()


def test_from_python_it_is_the_same_whole_or_in_chunks(say):
    main([*say, TEXT, "--out", "a.wav", "--pitch", "1.2"])
    wave, _ = sf.read("a.wav", dtype="int16")
    model = lw.load(CKPT, "cpu")
    clip = model.say(TEXT, pitch=1.2)
    assert np.array_equal((clip.waveform.numpy() * 32_768).round().clip(max=32_767), wave)
    chunks = list(model.say_in_chunks(TEXT, chunk_seconds=0.05, pitch=1.2))
    assert torch.equal(torch.cat(chunks), clip.waveform)
    assert {len(chunk) for chunk in chunks[:-1]} == {400}


def test_f0_that_is_given_counts(say, voice, capsys):
    main([*say, TEXT, "--out", "a.wav", "--labels", "textgrid"])
    frames = len(sf.read("a.wav")[0]) // HOP
    np.save("high.npy", np.full(frames, 300.0))
    main([*say, TEXT, "--out", "b.wav", "--f0", "high.npy"])
    assert Path("b.wav").read_bytes() != Path("a.wav").read_bytes()
    np.save("short.npy", np.full(frames // 2, 300.0))
    assert f"and the utterance {frames:,} frames" in refused([*say, TEXT, "--out", "c", "--f0", "short.npy"], capsys)
    recording = next((voice / "corpus" / "LJSpeech-1.1" / "wavs").glob("*.wav"))
    said = refused([*say, TEXT, "--out", "c", "--f0", str(recording)], capsys)
    assert f"F0 has the shape [{-(-len(sf.read(recording)[0]) // HOP)}]" in said
    assert not Path("c.wav").exists()


def test_wrong_requests_end_in_one_line(say, voice, capsys):
    shutil.copytree(voice / "runs" / "tts", "lonely/runs/tts")
    lonely = ["say", "lonely/runs/tts/checkpoints/last.ckpt", "--text", TEXT, "--out", "c"]
    for arguments, expected in (
        (lonely, "there is no duration model: say which with --duration_model"),
        ([*lonely, "--duration_model", "runs/duration/checkpoints/last.ckpt"], "there is no F0 model"),
        (
            [*say, TEXT, "--out", "c", "--duration_model", "runs/f0/checkpoints/last.ckpt"],
            "give a checkpoint of the duration model",
        ),
        ([*say, TEXT, "--out", "c", "--speaker", "p225"], "not conditioned on a speaker"),
        ([*say, "...", "--out", "c"], "no word"),
        ([*say, " ", "--out", "c"], "say what is to be said"),
        ([*say, TEXT, "--out", "c", "--rate", "0"], "rate and pitch must be positive"),
        (["say", "runs/f0/checkpoints/last.ckpt", "--text", TEXT, "--out", "c"], "does not speak from a text"),
        ([*say, TEXT, "--out", "c", "--phones", "none.TextGrid"], "there is no file none.TextGrid"),
    ):
        assert expected in refused(arguments, capsys)
    Path("bad.txt").write_text("one|Hello.\none|You.\n")
    assert "line 2 has the name 'one'" in refused([*say, "bad.txt", "--out", "said"], capsys)
    main([*say, TEXT, "--out", "c.wav"])
    assert "c.wav" in refused([*say, TEXT, "--out", "c.wav"], capsys)
    # In the folder of the voice they count before those of other runs.
    shutil.copy("runs/duration/checkpoints/last.ckpt", "lonely/runs/tts/checkpoints/duration.ckpt")
    shutil.copy("runs/f0/checkpoints/last.ckpt", "lonely/runs/tts/f0.ckpt")
    main([*lonely, "--overwrite"])
