"""A listening test of a checkpoint: it says the sentences that it was not trained on, and no clip twice."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import soundfile
import torch
import yaml
from test_say import CKPT, refused, voice

from lightning_wavenet.cli.main import main
from lightning_wavenet.models.checkpoint import read

__all__ = ["voice"]  # a fixture


@pytest.fixture
def study(voice, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("runs").symlink_to(voice / "runs")
    corpus = voice / "corpus" / "LJSpeech-1.1"
    about = {
        "recordings": str(corpus / "wavs"),
        "texts": str(corpus / "metadata.csv"),
        "systems": {"natural": None, "voice": {"checkpoint": CKPT, "temperature": 0.9}},
        "design": {"ratings": 2, "trials": 2, "gold": 1, "calibration": 1},
        "sentences": 2,
    }
    Path("study.yaml").write_text(yaml.safe_dump(about, sort_keys=False))
    return Path("study.yaml")


def test_a_voice_says_what_was_held_out_and_an_interruption_costs_no_clip(study, capsys):
    export = ["listening", "export", str(study), "--out", "study"]
    main(export)
    assert "2 of 2 sentences to generate" in capsys.readouterr().out
    trained = read(CKPT)["lightning_wavenet"]["trained_on"]["ids"]
    assert len(trained) == 4
    with Path("study/private/manifest.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["system"] == "voice"]
    assert len(rows) == 2
    assert not {row["sentence"] for row in rows} & set(trained)
    assert {row["checkpoint"] for row in rows} == {CKPT}
    clips = {path.stem: path.read_bytes() for path in Path("study/private/clips/voice").glob("*.wav")}
    assert clips.keys() == {row["sentence"] for row in rows}
    about = json.loads(Path(f"study/private/clips/voice/{rows[0]['sentence']}.json").read_text())
    assert about["text"] == rows[0]["text"]
    assert about["sampling"]["temperature"] == 0.9
    assert soundfile.info(rows[0]["source"]).samplerate == 8_000

    lost = Path(rows[1]["source"])
    lost.unlink()
    Path("study/study.json").unlink()  # as if it had been interrupted
    main([*export, "--overwrite"])
    assert "1 of 2 sentences to generate" in capsys.readouterr().out
    assert lost.read_bytes() == clips[lost.stem]
    main([*export, "--overwrite"])
    assert "to generate" not in capsys.readouterr().out


def test_clips_do_not_depend_on_how_many_devices_make_them(study, monkeypatch):
    main(["listening", "export", str(study), "--out", "one"])
    monkeypatch.setattr("lightning_wavenet.machine.devices.all_devices", lambda: [torch.device("cpu")] * 2)
    main(["listening", "export", str(study), "--out", "two"])
    clips = sorted(path.name for path in Path("one/private/clips/voice").glob("*.wav"))
    assert len(clips) == 2
    for name in clips:
        one, two = (Path(folder, "private/clips/voice", name).read_bytes() for folder in ("one", "two"))
        assert one == two


def test_sentences_of_its_training_are_refused(study, capsys):
    trained = read(CKPT)["lightning_wavenet"]["trained_on"]["ids"][0]
    export = ["listening", "export", str(study), "--out", "study"]
    message = refused([*export, "--sentences", f"[{trained}]"], capsys)
    assert f"{CKPT} was trained on {trained}" in message
    assert "2 are in no checkpoint's training split" in refused([*export, "--sentences", "3"], capsys)
    # The clips that it made say whose they are.
    main(["say", CKPT, "--text", "Hello.", "--out", f"said/{trained}.wav"])
    systems = "{natural: null, said: {clips: said}}"
    message = refused([*export, "--systems", systems, "--sentences", f"[{trained}]"], capsys)
    assert f"was trained on {trained}" in message
    assert not Path("study").exists()


def test_a_checkpoint_that_says_no_sentences_is_refused(study, voice, capsys):
    systems = "{natural: null, x: {checkpoint: runs/duration/checkpoints/last.ckpt}}"
    message = refused(["listening", "export", str(study), "--out", "study", "--systems", systems], capsys)
    assert "which says no sentences" in message
