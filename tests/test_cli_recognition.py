"""A recognizer by the command: trained, tested, aligning and recognizing, on tones between silences."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import soundfile as sf
import torch
from runs import CONFIG, differences, stopped

from datamodules.phone_times import read_phones
from lightning_wavenet.cli.main import main
from lightning_wavenet.tasks import BaseTask, RecognitionWaveNet

TINY = """
seed_everything: 1
model:
  class_path: lightning_wavenet.tasks.RecognitionWaveNet
  init_args:
    hop: 20
    criterion:
      sample_weight: 0.1
    backbone:
      dilations: 1..4
      residual_channels: 8
      gate_channels: 8
      skip_channels: 8
      head_channels: 8
    encoder:
      class_path: lightning_wavenet.tasks.ConvolutionalEncoder
      init_args:
        channels: 8
        layers: 1
        dropout: 0.1
    optimizer:
      class_path: torch.optim.Adam
      init_args:
        lr: 0.02
data:
  class_path: datamodules.AudioFolderDataModule
  init_args:
    root: TONES
    pattern: (?P<speaker>\\w+)/
    audio:
      sample_rate: 2000
    split:
      validation_speakers: [tone002]
      test_speakers: [tone003]
    batch_size: 2
    crops:
      augmentation:
        speed: 0.05
        level_db: 3
trainer:
  accelerator: cpu
  max_steps: 60
  val_check_interval: 30
  check_val_every_n_epoch: null
  log_every_n_steps: 1
samples:
  every_n_steps: 0
checkpoint:
  every_n_steps: 10
"""


@pytest.fixture(scope="module")
def home(tones, tmp_path_factory) -> Path:
    """A folder with `tiny.yaml` and a trained recognizer in `run`; tones are 4 kHz, the model hears 2 kHz."""
    home = tmp_path_factory.mktemp("recognition")
    (home / "tiny.yaml").write_text(TINY.replace("TONES", str(tones)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAVENET_CACHE", str(home / "cache"))
        patch.chdir(home)
        main(["fit", "--config", "tiny.yaml", "--run", "run"])
    return home


@pytest.fixture(autouse=True)
def _at_home(home, monkeypatch):
    monkeypatch.setenv("WAVENET_CACHE", str(home / "cache"))
    monkeypatch.chdir(home)


BEST = "run/checkpoints/best.ckpt"


def test_a_recognizer_is_loaded_as_any_lightning_module(home):
    saved = torch.load(BEST, weights_only=True)
    for kind in (RecognitionWaveNet, BaseTask):
        task = kind.load_from_checkpoint(BEST)
        assert type(task) is RecognitionWaveNet
        assert (task.hop, task.criterion.sample_weight, task.model.encoder.layers) == (20, 0.1, 1)
        state = task.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in saved["state_dict"].items())
    another = task.build(task.model.vocabulary)
    assert {name: one.shape for name, one in another.state_dict().items()} == {
        name: one.shape for name, one in task.model.state_dict().items()
    }


def test_phones_of_a_voice_that_was_not_trained_on_are_recognized(home, capsys):
    with (home / "run/logs/version_0/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val/per"]) for row in rows if row["val/per"]][-1] == 0
    assert [float(row["val/frame_accuracy"]) for row in rows if row["val/frame_accuracy"]][-1] > 0.97
    assert {"train/frame", "train/nats", "val/bits", "val/frame_accuracy"} <= rows[0].keys()
    main(["test", "--config", "run/config.yaml", "--ckpt_path", BEST, "--run", "tested"])
    said = capsys.readouterr().out
    assert "phone error rate in % (2 phones): 0.0000 on the test split" in said
    with open("tested/test/confusions.csv") as file:
        table = list(csv.reader(file))
    # Eight clips of silence, tone, silence.
    assert table == [
        ["reference", "_", "tone", "(deletion)"],
        ["_", "16", "0", "0"],
        ["tone", "0", "8", "0"],
        ["(insertion)", "0", "0", "0"],
    ]
    assert Path("tested/test/confusions.png").stat().st_size > 5_000
    assert stopped(["test", "--config", "run/config.yaml", "--ckpt_path", BEST, "--run", "tested"]) == 2
    assert "tested/test/confusions.csv exists: choose another --run, or say --overwrite" in capsys.readouterr().err
    main(["test", "--config", "run/config.yaml", "--ckpt_path", BEST, "--run", "tested", "--overwrite"])


def test_boundaries_are_where_the_corpus_has_them(tones, capsys):
    main(["align", BEST, "--config", "tiny.yaml", "--out", "aligned", "--split", "test"])
    said = capsys.readouterr().out
    # No phone of speech is as long as these tones.
    assert "8 utterances aligned in aligned, 0 of them plausible" in said
    assert "a phone of 0." in said
    assert "16 boundaries: median error" in said
    found = json.loads(Path("aligned/report.json").read_text())
    assert found["boundaries"]["count"] == 16
    errors = []
    for number in range(1, 9):
        name = f"tone003/tone003_{number:03d}"
        true, aligned = read_phones(tones / f"{name}.phn"), read_phones(Path("aligned") / f"{name}.phn")
        assert [phone.label for phone in aligned] == [phone.label for phone in true]
        assert aligned[-1].end == pytest.approx(len(sf.read(tones / f"{name}.wav")[0]), abs=2)
        # Both in samples of the recording, at 4 kHz.
        errors += [abs(one.start - other.start) / 4_000 for one, other in zip(aligned[1:], true[1:], strict=True)]
        grid = (Path("aligned") / f"{name}.TextGrid").read_text()
        assert grid.count('text = "_"') == 2
    assert sum(error <= 0.02 for error in errors) >= 15
    assert found["boundaries"]["within_20_ms"] == sum(error <= 0.02 for error in errors) / 16
    assert stopped(["align", BEST, "--config", "tiny.yaml", "--out", "aligned", "--split", "test"]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_boundaries_are_found_by_what_the_corpus_itself_sounds_like(tones, capsys):
    """Without a checkpoint, on whole recordings whose times are not looked at."""
    corpus = ["--config", "tiny.yaml", "--data.audio.sample_rate", "4000"]
    main(["align", *corpus, "--out", "by_itself"])
    count = json.loads(Path("by_itself/report.json").read_text())["boundaries"]["count"]
    assert f"{count // 2} utterances aligned in by_itself, 0 of them plausible" in capsys.readouterr().out
    errors = []
    for path in sorted(Path("by_itself").rglob("*.phn")):
        true, aligned = read_phones(tones / path.relative_to("by_itself")), read_phones(path)
        assert [phone.label for phone in aligned] == [phone.label for phone in true]
        errors += [abs(one.start - other.start) / 4_000 for one, other in zip(aligned[1:], true[1:], strict=True)]
    assert len(errors) == count == 48
    # A frame is seen by a window of 20 ms and its slopes by two frames more to each side, and tones fade in for 10 ms.
    assert max(errors) <= 0.03
    assert all(Path("by_itself", *path.relative_to(tones).parts).exists() for path in tones.rglob("*.phn"))
    assert stopped(["align", *corpus, "--out", "by_itself"]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_recordings_are_recognized_as_text_json_and_textgrid(tones, capsys):
    wav = str(tones / "tone003" / "tone003_001.wav")
    main(["recognize", BEST, wav])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [phone for _, _, phone in lines] == ["_", "tone", "_"]
    true = read_phones(Path(wav).with_suffix(".phn"))
    assert float(lines[1][0]) == pytest.approx(true[1].start / 4_000, abs=0.021)
    assert float(lines[2][0]) == pytest.approx(true[2].start / 4_000, abs=0.021)
    main(["recognize", BEST, wav, "--form", "json"])
    told = json.loads(capsys.readouterr().out)
    assert [(phone["phone"], f"{phone['start']:.2f}") for phone in told["phones"]] == [(c, a) for a, _, c in lines]
    main(["recognize", BEST, wav, str(tones / "tone001" / "tone001_002.wav"), "--form", "textgrid", "--out", "grids"])
    assert {path.name for path in Path("grids").iterdir()} == {"tone003_001.TextGrid", "tone001_002.TextGrid"}
    assert Path("grids/tone003_001.TextGrid").read_text().count('text = "tone"') == 1
    for wrong, why in (
        ([wav, "--form", "textgrid"], "give a folder as --out"),
        ([wav, "--form", "textgrid", "--out", "grids"], "--overwrite"),
        ([wav, wav, "--out", "twice"], "would both be written to twice/tone003_001.txt"),
        (["nothing.wav"], "no recording nothing.wav"),
    ):
        assert stopped(["recognize", BEST, *wrong]) == 2
        assert why in capsys.readouterr().err


def test_recordings_whose_results_would_replace_one_another_are_refused(tones, tmp_path, capsys):
    """Before any work; ids with dots stay apart."""
    recorded, rate = sf.read(tones / "tone003" / "tone003_001.wav")
    for name in ("x/a.1.wav", "x/a.2.wav", "x/b.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        sf.write(tmp_path / name, recorded, rate)
        (tmp_path / name).with_suffix(".phn").write_bytes((tones / "tone003" / "tone003_001.phn").read_bytes())
    corpus = TINY.replace("TONES", str(tmp_path)).replace("validation_speakers: [tone002]", "validation: 0")
    Path("twice.yaml").write_text(corpus.replace("test_speakers: [tone003]", "test: 0"))
    align = ["align", BEST, "--config", "twice.yaml", "--out"]
    main([*align, str(tmp_path / "dots")])
    assert {path.name for path in (tmp_path / "dots" / "x").glob("*.phn")} == {"a.1.phn", "a.2.phn", "b.phn"}
    for path in (tmp_path / "dots" / "x").glob("*.phn"):
        path.unlink()
    sf.write(tmp_path / "x" / "b.flac", recorded, rate)
    assert stopped([*align, str(tmp_path / "twice")]) == 2
    assert "x/b.flac and x/b.wav would both be written to" in capsys.readouterr().err
    assert not (tmp_path / "twice").exists()
    files = [str(tmp_path / "x" / name) for name in ("b.flac", "b.wav")]
    assert stopped(["recognize", BEST, *files, "--out", str(tmp_path / "phones")]) == 2
    assert not (tmp_path / "phones").exists()


@pytest.mark.parametrize("kind", ["text", "unreadable"])
def test_odd_recordings_end_with_one_line_that_names_them(tmp_path, capsys, kind):
    path = tmp_path / "odd.flac"
    path.write_bytes(b"not audio" if kind == "text" else b"fLaC" + bytes(range(200)))
    assert stopped(["recognize", BEST, str(path)]) == 2
    assert f"{path} cannot be used: " in capsys.readouterr().err


def test_what_does_not_fit_is_refused(tones, capsys):
    speaker = CONFIG.replace("TONES", str(tones))
    Path("speaker.yaml").write_text(speaker.replace("max_steps: 14", "max_steps: 1"))
    main(["fit", "--config", "speaker.yaml", "--run", "speaker", "--overwrite"])
    generating = "speaker/checkpoints/last.ckpt"
    align = ["align", BEST, "--config", "tiny.yaml", "--out", "refused"]
    crops = ["fit", "--config", "speaker.yaml", "--run", "new"]
    for command, why in (
        (["recognize", generating, "x.wav"], "SpeakerModel, which recognizes no phones"),
        (["recognize", BEST, "x.wav", "--device", "cuda:77"], "no device 'cuda:77'"),
        (["generate", BEST, "--out", "clips"], "PhoneRecognizer, which does not generate"),
        (["predict", "--config", "run/config.yaml", "--ckpt_path", BEST], "wavenet recognize"),
        ([*align, "--data.audio.sample_rate", "4000"], "the model has sample_rate 2000, but the corpus has 4000"),
        ([*align, "--data.audio.trim_silence_db", "30"], "trim_silence_db to null"),
        ([*crops, "--data.crops.augmentation.speed", "0.05"], "augmentation is for whole"),
        (["fit", "--config", "tiny.yaml", "--run", "new", "--model.phones", "5"], "the corpus says how many phones"),
        (["fit", "--config", "tiny.yaml", "--run", "new", "--execution.compile", "true"], "leave out --execution.comp"),
        (["fit", "--config", "tiny.yaml", "--run", "new", "--data.split.test_speakers", "[nobody]"], "'nobody'"),
    ):
        capsys.readouterr()
        assert stopped(command) == 2
        assert why in capsys.readouterr().err
    assert not Path("refused").exists()


def test_a_resumed_run_repeats_dropout_and_augmentation(capsys):
    fit = ["fit", "--config", "tiny.yaml", "--trainer.val_check_interval", "7"]
    main([*fit, "--run", "whole", "--trainer.max_steps", "14"])
    main([*fit, "--run", "halves", "--trainer.max_steps", "9"])
    main([*fit, "--run", "halves", "--trainer.max_steps", "14", "--resume"])
    whole, halves = (torch.load(f"{run}/checkpoints/last.ckpt", weights_only=True) for run in ("whole", "halves"))
    for part in ("state_dict", "optimizer_states", "loops"):
        assert not differences(whole[part], halves[part])


def test_another_criterion_is_refused_with_what_is_another(capsys):
    fit = ["fit", "--config", "run/config.yaml", "--run", "run", "--resume", "--trainer.max_steps", "70"]
    for option, message in (
        ("--model.criterion.sample_weight=0.2", "the checkpoint has criterion.sample_weight 0.1, this run 0.2"),
        ("--model.encoder.channels=16", "the checkpoint has encoder.channels 8, this run 16"),
    ):
        assert stopped([*fit, option]) == 2
        assert message in capsys.readouterr().err


def test_another_decoder_may_score_a_checkpoint(capsys):
    test = ["test", "--config", "run/config.yaml", "--ckpt_path", BEST, "--run"]
    main([*test, "best_path", "--model.decoder", "lightning_wavenet.decoding.BestPath"])
    assert "phone error rate" in capsys.readouterr().out
    assert stopped([*test, "beam", "--model.decoder", "lightning_wavenet.decoding.PrefixBeam"]) == 2
    assert "PrefixBeam does not decode nets without a blank" in capsys.readouterr().err
