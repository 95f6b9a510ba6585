"""Audio from frames: the model, its task, and the command around them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

import lightning_wavenet as lw
from datamodules import Audio, AudioFolderDataModule, Crops
from lightning_wavenet.backbone import RepeatUpsampling, TransposedUpsampling, WaveNet
from lightning_wavenet.cli.main import main
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.features import Linguistic, LogF0, MelSpectrogram
from lightning_wavenet.models import TTSModel, UnconditionalModel
from lightning_wavenet.tasks import TTSWaveNet

RATE, HOP, BANDS = 4_000, 40, 6
MEL = ["--data.features+=MelSpectrogram", f"--data.features.hop={HOP}", "--data.features.window=200"]
MEL += [f"--data.features.bands={BANDS}", "--data.features.high_hz=2000"]


def net(**options) -> WaveNet:
    return WaveNet("1..4", residual_channels=8, gate_channels=12, skip_channels=10, head_channels=9, **options)


def vocabulary(*extractors, speakers: tuple[str, ...] = ()) -> Vocabulary:
    features = tuple(extractor.describe() for extractor in extractors)
    channels = sum(one.channels for one in extractors)
    return Vocabulary(RATE, speakers, hop=extractors[0].hop, frame_channels=channels, features=features)


@pytest.fixture
def fit(tones, tmp_path, monkeypatch) -> list[str]:
    """The command that trains a tiny vocoder of the tones' three speakers."""
    monkeypatch.chdir(tmp_path)
    command = ["fit", "--model=TTSWaveNet", "--model.backbone.dilations=1..4", "--model.backbone.residual_channels=8"]
    command += [f"--model.backbone.{name}_channels=12" for name in ("gate", "skip", "head")]
    command += ["--model.upsampling=TransposedUpsampling", "--model.upsampling.strides=[4,10]"]
    command += ["--model.upsampling.channels=5", "--model.speaker=true"]
    command += ["--data=AudioFolderDataModule", "--data.root", str(tones), "--data.pattern", "(?P<speaker>[^/]+)/"]
    command += [f"--data.audio.sample_rate={RATE}", *MEL, "--data.crops.samples=400", "--data.crops.prompts=2"]
    command += ["--data.split.validation=0.2", "--data.split.test=0.2"]
    return [*command, "--trainer.accelerator=cpu", "--trainer.max_steps=2", "--run=run"]


# The model


def test_what_does_not_fit_together_is_refused():
    mel = MelSpectrogram(HOP, 200, BANDS, high_hz=2_000)
    with pytest.raises(ValueError, match="set its upsampling"):
        TTSModel(net(), vocabulary(mel))
    with pytest.raises(ValueError, match=r"takes frames of 20 samples, and data\.features have a hop of 40"):
        TTSModel(net(upsampling=RepeatUpsampling(BANDS, 20)), vocabulary(mel))
    with pytest.raises(ValueError, match="takes frames of 5 channels, and the features have 6"):
        TTSModel(net(upsampling=RepeatUpsampling(5, HOP)), vocabulary(mel))
    task = TTSWaveNet(lambda channels: RepeatUpsampling(channels, HOP), net, speaker=True)
    with pytest.raises(ValueError, match="the corpus names no speakers"):
        task.build(vocabulary(mel))
    with pytest.raises(ValueError, match=r"say with data\.features what makes them"):
        task.build(Vocabulary(RATE, ("a",)))
    with pytest.raises(ValueError, match=r"of a model\.speaker that is true; got 4"):
        TTSWaveNet(lambda channels: RepeatUpsampling(channels, HOP), net, embedding=4)


def test_l_and_l_f_are_built_of_the_features_that_are_named():
    """268 linguistic channels; with log F0 and V/UV 270; three speakers as an embedding of 2."""
    known = vocabulary(Linguistic(HOP), LogF0(HOP, high_hz=600), speakers=("a", "b", "c"))
    for features, channels in ((["linguistic"], 268), (["linguistic", "f0"], 270), (None, 270)):
        task = TTSWaveNet(lambda channels: TransposedUpsampling(channels, [4, 10], 5), net, features)
        model = task.build(known)
        assert model.backbone.upsampling.frame_channels == channels
        assert model.request.fields == {"frames"}
        assert model.request.hop == HOP
    task = TTSWaveNet(lambda channels: TransposedUpsampling(channels, [4, 10], 5), net, speaker=True, embedding=2)
    model = task.build(known)
    assert model.request.fields == {"frames", "speaker"}
    assert model.voices.weight.shape == (3, 2)


def test_a_clip_in_windows_is_as_likely_as_the_clip(tones):
    """Windows of 400 samples, with the history and the frames before them, against whole clips."""
    torch.manual_seed(0)
    options = {"features": [MelSpectrogram(HOP, 200, BANDS, high_hz=2_000)], "batch_size": 1}
    totals = []
    for samples in (400, None):
        data = AudioFolderDataModule(tones, audio=Audio(RATE), crops=Crops(samples), **options)
        data.prepare_data()
        data.setup()
        if samples:
            make = TTSWaveNet(lambda channels: TransposedUpsampling(channels, [4, 10], 5), net)
            model = make.build(data.vocabulary).eval()
        data.connect(model.request)
        nats: dict[str, float] = {}
        for batch in data.val_dataloader():
            with torch.no_grad():
                found, mask = model.nats(batch)
            nats[batch.ids[0]] = nats.get(batch.ids[0], 0.0) + float(found[mask].sum())
        totals.append(nats)
    assert totals[0].keys() == totals[1].keys()
    for id, nats in totals[0].items():
        assert nats == pytest.approx(totals[1][id], rel=1e-5)


# The command


def test_recordings_lend_their_frames(fit, tones, capsys):
    main([*fit, "--samples.every_n_steps=1", "--samples.clips=2", "--samples.seconds=0.1"])
    assert len(list(Path("run/samples/step_0000002").glob("*.wav"))) == 2
    recordings = sorted((tones / "tone001").glob("*.wav"))[:2]
    generate = ["generate", "run/checkpoints/last.ckpt", "--out", "clips", "--speaker", "tone002", "--seed", "3"]
    main([*generate, "--frames-from", *map(str, recordings)])
    stems = [path.stem for path in recordings]
    for place, (stem, recording) in enumerate(zip(stems, recordings, strict=True)):
        name = f"clips/{stem}_tone002"
        about = json.loads(Path(f"{name}.json").read_text())
        assert about["conditions"] == {"speaker": "tone002", "frames_from": str(recording)}
        assert about["seed"] == 3 + place
        clip, _ = sf.read(f"{name}.wav", dtype="int16")
        assert len(clip) == -(-len(sf.read(recording)[0]) // HOP) * HOP
    model = lw.load("run/checkpoints/last.ckpt")
    (alone,) = model.generate(frames_from=[recordings[1]], speaker="tone002", seed=4)
    assert np.array_equal(np.round(alone.waveform.numpy() * 32_768).clip(max=32_767), clip)
    assert model.generate(0.05, frames_from=recordings, num=2)[-1].description.id == f"{stems[1]}_tone003_001"
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(generate)
    assert "speaks from frames (mel): say of which recordings with --frames_from" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["say", "run/checkpoints/last.ckpt", "--text", "Hello.", "--out", "hello.wav"])
    assert "speaks from mel frames, not from a text" in capsys.readouterr().err


def test_clips_of_the_test_split_are_generated_from_their_own_frames(fit):
    main(fit)
    main(["predict", "--config", "run/config.yaml", "--ckpt_path", "run/checkpoints/last.ckpt"])
    clips = sorted(Path("run/predictions").glob("**/*.json"))
    assert len(clips) == 2
    about = json.loads(clips[0].read_text())
    assert about["conditions"].keys() == {"speaker"}


def test_a_speaker_is_added_by_fine_tuning(fit, tones, tmp_path, capsys):
    two = tmp_path / "two"
    two.mkdir()
    for name in ("tone001", "tone002"):
        (two / name).symlink_to(tones / name)
    main([one if one != str(tones) else str(two) for one in fit])
    main([*fit, "--run=more", "--weights=run/checkpoints/last.ckpt"])
    assert "taken by name: 2 (tone001, tone002); new by name: 1 (tone003)" in capsys.readouterr().out
    assert lw.load("more/checkpoints/last.ckpt").vocabulary.speakers == ("tone001", "tone002", "tone003")


def test_frames_are_not_asked_of_models_without_them():
    model = UnconditionalModel(net(), Vocabulary(RATE))
    with pytest.raises(RequestError, match="not conditioned on frames: leave out --frames_from"):
        model.generate(0.1, frames_from=["a.wav"])
