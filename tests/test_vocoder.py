"""Mel frames from elsewhere: read, told from those of another kind, trained on, and generated from."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from runs import stopped

from datamodules import Audio, AudioFolderDataModule, Crops, Split
from lightning_wavenet.backbone import RepeatUpsampling, WaveNet
from lightning_wavenet.cli.main import main
from lightning_wavenet.data.batch import Request
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.features import Extractor, Linguistic, LogF0, MelSpectrogram, Unusable, Utterance
from lightning_wavenet.features.mel_files import must_be_logarithms, read_mel
from lightning_wavenet.models import TTSModel

RATE, HOP, WINDOW, BANDS = 8_000, 100, 400, 6
MEL = {"hop": HOP, "window": WINDOW, "bands": BANDS, "high_hz": None}
IDS = ("ann/one", "ann/two.5", "bob/three")
LENGTHS = (4_000, 4_050, 3_999)


def voice(samples: int) -> np.ndarray:
    """Pulses that come and pass, in a little noise."""
    rng = np.random.default_rng(samples)
    pulses = (np.arange(samples) % 80 == 0) * (np.sin(np.arange(samples) / 300) > 0)
    return (0.5 * pulses + 1e-4 * rng.standard_normal(samples)).astype(np.float32)


@pytest.fixture
def recordings(tmp_path) -> Path:
    for id, samples in zip(IDS, LENGTHS, strict=True):
        path = tmp_path / "corpus" / f"{id}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, voice(samples), RATE, subtype="PCM_16")
    return tmp_path / "corpus"


def front_end(root: Path, framing: str = "hifi-gan") -> dict[str, np.ndarray]:
    """What a front end says of each recording: frames beside those that are right, in the front end's own number."""
    made = {}
    for id in IDS:
        wave, _ = sf.read(root / f"{id}.wav", dtype="float32")
        padded = np.concatenate([wave, np.zeros(HOP, np.float32)])
        count = len(wave) // HOP + (framing == "tacotron2")
        frames = MelSpectrogram(**MEL, framing=framing).logarithms(padded, RATE)[:, :count]
        made[id] = (frames + np.float32(0.25)).astype(np.float32)
    return made


def write(folder: Path, made: dict[str, np.ndarray], suffix: str = ".npy") -> Path:
    for id, frames in made.items():
        path = folder / f"{id}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, frames) if suffix.lower() == ".npy" else torch.save(torch.from_numpy(frames), path)
        if suffix == ".NPY":
            path.with_name(f"{path.name}.npy").rename(path)
    return folder


def opened(
    root: Path, frames: Path | None, feature: Extractor | None = None, trim_silence_db: float | None = None
) -> AudioFolderDataModule:
    data = AudioFolderDataModule(
        root,
        audio=Audio(RATE, trim_silence_db, cache_dir=root.parent / "cache"),
        split=Split(validation=0, test=0),
        crops=Crops(None),
        features=[feature or MelSpectrogram(**MEL)],
        frames=frames,
    )
    data.prepare_data()
    data.setup()
    return data


# Files


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize(
    ("suffix", "kind"),
    [(".npy", "float16"), (".npy", "float32"), (".npy", "float64"), (".pt", "float32"), (".pt", "bfloat16")],
)
def test_arrays_and_tensors_of_either_order_are_read(tmp_path, suffix, turned, batch, kind):
    frames = torch.arange(3 * 7).reshape(3, 7).to(getattr(torch, kind)) - 10
    shaped = (frames.T if turned else frames)[None] if batch else (frames.T if turned else frames)
    path = tmp_path / f"mel{suffix}"
    if suffix == ".pt":
        torch.save(shaped.requires_grad_(), path)
    else:
        np.save(path, shaped.numpy())
    read = read_mel(path, 3)
    assert read.dtype == np.float32
    assert read.tolist() == frames.float().tolist()


def test_a_square_is_bands_by_frames(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(9.0).reshape(3, 3))
    assert read_mel(tmp_path / "a.npy", 3).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


@dataclass
class Pickled:
    """What nobody should load."""

    number: int = 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((4, 7)), r"must hold \[3, N\] numbers, 3 bands as the features have \(it has \[4, 7\]\)"),
        (np.zeros((2, 3, 7)), r"it has \[2, 3, 7\]"),
        (np.zeros(3), r"it has \[3\]"),
        (np.zeros((3, 0)), r"it has \[3, 0\]"),
        (np.array([[0, np.nan, 1]] * 3), "infinite or NaN"),
        (np.array([[0, -np.inf, 1]] * 3), "infinite or NaN"),
        (np.zeros((3, 7), np.int64), "int64, not one array of floats"),
        (np.array([[None]] * 3), "Object arrays cannot be loaded"),
        ({"mel": torch.zeros(3, 7)}, "a dict, not a tensor"),
        (Pickled(), "it holds more than a tensor, or is damaged"),
        (b"", "No data left in file"),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'", "the file cannot be read"),
    ],
)
def test_files_of_something_else_are_refused_in_one_line(tmp_path, value, message):
    path = tmp_path / ("mel.npy" if isinstance(value, np.ndarray | bytes) else "mel.pt")
    if isinstance(value, bytes):
        path.write_bytes(value)
    elif isinstance(value, np.ndarray):
        np.save(path, value)
    else:
        torch.save(value, path)
    with pytest.raises(Unusable, match=message) as refused:
        read_mel(path, 3)
    assert "\n" not in str(refused.value)


def test_what_is_no_natural_logarithm_is_named():
    """Of speech-like magnitudes, from the floor to e^1.5."""
    logarithms = np.linspace(math.log(1e-5), 1.5, 500, dtype=np.float32).reshape(5, 100)
    magnitudes = np.exp(logarithms)
    decibels = 20 * np.log10(magnitudes)
    scaled = (decibels + 100) / (decibels.max() + 100)
    for frames, found in [
        (np.log10(magnitudes), "log10"),
        (np.log10(magnitudes + 1e-4), "log10"),
        (decibels, "dB"),
        (decibels - decibels.max(), "dB"),
        (scaled, "values normalized to 0 to 1"),
        (8 * scaled - 4, "values normalized to -4 to 4"),
        (2 * scaled - 1, "values normalized to -1 to 1"),
        (magnitudes, "magnitudes without a logarithm"),
        (0.1 * magnitudes, "magnitudes without a logarithm"),
        (2 * logarithms, "logarithms of power, or with a lower floor"),
        (logarithms + 8, "logarithms of louder sound, or of other units"),
    ]:
        with pytest.raises(Unusable, match=rf"^values look like {found};.* be -11\.5 to 1\.5\)$"):
            must_be_logarithms(frames, math.log(1e-5), 1.5, 1e-5)
    for frames in (
        logarithms,
        logarithms * 0.8 - 2,
        logarithms[:3],
        logarithms[1:],
        logarithms + np.random.default_rng(0).normal(0, 0.5, (5, 100)),
    ):
        must_be_logarithms(frames.astype(np.float32), math.log(1e-5), 1.5, 1e-5)


# Training


@pytest.mark.parametrize("suffix", [".npy", ".pt", ".NPY"])
@pytest.mark.parametrize("framing", ["hifi-gan", "tacotron2"])
def test_frames_of_a_front_end_count_in_place_of_the_recordings(recordings, tmp_path, suffix, framing):
    made = front_end(recordings, framing)
    folder = write(tmp_path / "mels", made, suffix)
    data = opened(recordings, folder, MelSpectrogram(**MEL, framing=framing))
    assert not data.problems
    (table,) = data.clips.features
    assert data.clips.ids == [f"{id}.wav" for id in IDS]
    for clip, (id, samples) in enumerate(zip(IDS, LENGTHS, strict=True)):
        count = -(-samples // HOP)
        kept, theirs = table.kept(clip), made[id]
        assert kept.shape == (BANDS, count)
        assert (kept[:, : theirs.shape[1]] == theirs[:, :count]).all()
        assert (kept[:, theirs.shape[1] :] == theirs[:, -1:]).all()  # HiFi-GAN has none of the last part of a hop.
    values = np.concatenate([table.kept(clip) for clip in range(3)], axis=1).astype(np.float64)
    (described,) = data.vocabulary.features
    assert described["fitted"]["mean"] == pytest.approx(values.mean(), abs=1e-5)
    data.connect(Request(frozenset({"frames"}), hop=HOP))
    batch = next(iter(data.train_dataloader()))
    row = batch.ids.index("ann/one.wav")
    expected = (table.kept(0) - values.mean()) / values.std()
    assert batch.frames[row, :, :40].numpy() == pytest.approx(expected, abs=1e-4)


def test_changed_files_are_read_anew_and_others_are_not(recordings, tmp_path, monkeypatch):
    made = front_end(recordings)
    folder = write(tmp_path / "mels", made)
    without = opened(recordings, None).clips.features[0]
    first = opened(recordings, folder).clips.features[0]
    assert abs(first.kept(0) - without.kept(0)).max() == pytest.approx(0.25, abs=1e-4)
    extract = MelSpectrogram.extract
    monkeypatch.setattr(MelSpectrogram, "extract", None)  # Whoever extracts fails.
    assert (opened(recordings, folder).clips.features[0].kept(0) == first.kept(0)).all()
    monkeypatch.setattr(MelSpectrogram, "extract", extract)
    write(folder, {IDS[0]: made[IDS[0]] + np.float32(0.5)})
    os.utime(folder / f"{IDS[0]}.npy", ns=(1, 1))
    assert opened(recordings, folder).clips.features[0].kept(0) == pytest.approx(first.kept(0) + 0.5, abs=1e-5)


def test_clips_without_frames_or_with_others_are_listed_with_the_reason(recordings, tmp_path):
    made = front_end(recordings)
    del made[IDS[0]]
    made[IDS[1]] = made[IDS[1]][:, :30]
    folder = write(tmp_path / "mels", made)
    data = opened(recordings, folder)
    assert {problem.id: (problem.reason, problem.place) for problem in data.problems} == {
        "ann/one.wav": ("no mel frames: data.frames has no file of the clip", ""),
        "ann/two.5.wav": ("no mel frames: not as many frames as the clip has of 100 samples", "30 of 4,050 samples"),
    }
    data.connect(Request(frozenset({"frames"}), hop=HOP))
    assert data.train_ids == ["bob/three.wav"]


@pytest.mark.parametrize(
    ("framing", "frames", "other"),
    # Of 4,000, 4,050 and 3,999 samples in hops of 100.
    [
        ("hifi-gan", (40, 40, 39), None),
        ("hifi-gan", (40, 41, 40), None),
        ("hifi-gan", (41, 41, 40), "tacotron2"),
        ("tacotron2", (41, 41, 40), None),
        ("tacotron2", (40, 41, 40), None),
        ("tacotron2", (41, 40, 40), "hifi-gan"),
    ],
)
def test_a_number_of_frames_that_only_the_other_framing_makes_names_it(recordings, tmp_path, framing, frames, other):
    longest = {id: np.pad(made, ((0, 0), (0, 9)), mode="edge") for id, made in front_end(recordings, framing).items()}
    made = {id: longest[id][:, :count] for id, count in zip(IDS, frames, strict=True)}
    data = opened(recordings, write(tmp_path / "mels", made), MelSpectrogram(**MEL, framing=framing))
    reasons = [problem.reason for problem in data.problems]
    expected = f"no mel frames: the frames are those of the {other} framing: say data.features.framing {other}"
    assert reasons == ([] if other is None else [expected])


@pytest.mark.parametrize(("framing", "other"), [("hifi-gan", "tacotron2"), ("tacotron2", "hifi-gan")])
def test_frames_of_the_other_framing_are_known_where_their_number_tells_nothing(recordings, tmp_path, framing, other):
    """Half a hop later or earlier, with an error of two thirds of what that makes."""
    rng = np.random.default_rng(0)
    made = {}
    for id, samples in zip(IDS[1:], LENGTHS[1:], strict=True):
        wave, _ = sf.read(recordings / f"{id}.wav", dtype="float32")
        right, wrong = (MelSpectrogram(**MEL, framing=one).logarithms(wave, RATE) for one in (other, framing))
        assert right.shape[1] == -(-samples // HOP)
        made[id] = right + rng.normal(0, 0.67 * np.sqrt(np.mean((right - wrong) ** 2)), right.shape).astype(np.float32)
    folder = write(tmp_path / "mels", made)
    (without, *wrong) = opened(recordings, folder, MelSpectrogram(**MEL, framing=framing)).problems
    assert {one.reason for one in wrong} == {
        f"no mel frames: the frames are those of the {other} framing: say data.features.framing {other}"
    }
    assert len(wrong) == 2
    assert opened(recordings, folder, MelSpectrogram(**MEL, framing=other)).problems == [without]


def test_frames_of_another_kind_are_listed_and_where_all_are_training_is_refused(recordings, tmp_path):
    made = {id: frames / np.float32(math.log(10)) for id, frames in front_end(recordings).items()}
    data = opened(recordings, write(tmp_path / "mels", made))
    assert {problem.reason for problem in data.problems} == {
        "no mel frames: values look like log10; they must be natural logarithms of magnitudes"
    }
    with pytest.raises(RequestError, match=r"^none of 3 clips has frames: .* look like log10; .*\(ann/one\.wav, from"):
        data.connect(Request(frozenset({"frames"}), hop=HOP))


def test_what_cannot_be_done_with_a_folder_of_frames_is_refused(recordings, tmp_path):
    folder = write(tmp_path / "mels", {"someone/else": np.zeros((BANDS, 9), np.float32)})
    for frames, options, message in [
        (folder, {}, r"mels has frames of none of 3 clips: looked for ID\.npy or ID\.pt$"),
        (tmp_path / "nowhere", {}, "data.frames is .*nowhere, which is not a folder"),
        (
            folder,
            {"feature": LogF0(HOP)},
            r"^data\.frames are mel frames: add what they are with .* MelSpectrogram$",
        ),
        (folder, {"trim_silence_db": 40}, r"leave out data\.audio\.trim_silence_db"),
    ]:
        with pytest.raises(RequestError, match=message):
            opened(recordings, frames, **options)


# Generation


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([MelSpectrogram(**MEL), LogF0(HOP)], "holds mel frames, and the model is conditioned on mel and f0: give"),
        ([LogF0(HOP)], "holds mel frames, and the model is conditioned on f0: give recordings"),
        ([Linguistic(HOP)], "linguistic frames are made of a text"),
    ],
)
def test_models_of_other_frames_take_no_files_of_mel_frames(tmp_path, features, message):
    np.save(tmp_path / "mel.npy", np.zeros((BANDS, 9), np.float32))
    channels = sum(feature.channels for feature in features)
    vocabulary = Vocabulary(
        RATE, hop=HOP, frame_channels=channels, features=tuple(feature.describe() for feature in features)
    )
    net = WaveNet("1..4", upsampling=RepeatUpsampling(channels, HOP))
    with pytest.raises(RequestError, match=message):
        TTSModel(net, vocabulary).plan(frames_from=[tmp_path / "mel.npy"])


NET = """
seed_everything: 0
model:
  class_path: lightning_wavenet.tasks.TTSWaveNet
  init_args:
    backbone:
      dilations: 1..4
      residual_channels: 4
      gate_channels: 8
      skip_channels: 4
      head_channels: 4
    upsampling:
      class_path: lightning_wavenet.backbone.TransposedUpsampling
      init_args:
        strides: [10, 10]
        channels: 4
data:
  class_path: datamodules.AudioFolderDataModule
  init_args:
    root: corpus
    audio:
      sample_rate: 8000
    split:
      validation: 0.34
      test: 0
    features:
    - class_path: lightning_wavenet.features.MelSpectrogram
      init_args: {hop: 100, window: 400, bands: 6, high_hz: null}
    crops:
      samples: 500
trainer:
  accelerator: cpu
  max_steps: 1
samples:
  every_n_steps: 0
"""


@pytest.fixture
def trained(recordings, tmp_path, monkeypatch) -> Path:
    """A vocoder after a step, in a folder of its own with the recordings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WAVENET_CACHE", str(tmp_path / "cache"))
    Path("net.yaml").write_text(NET)
    main(["fit", "--config", "net.yaml", "--run", "run"])
    return Path("run/checkpoints/last.ckpt")


def test_the_command_generates_from_frames_and_recordings_and_refuses_what_was_not_trained_on(
    trained, recordings, capsys
):
    wave, _ = sf.read(recordings / "ann/one.wav", dtype="float32")
    frames = MelSpectrogram(**MEL).extract(Utterance(wave, RATE, (), ""))
    for name, made in (("same", frames), ("turned", frames.T[None]), ("log10", frames / math.log(10))):
        np.save(f"{name}.npy", made)
    np.save("other.npy", np.zeros((80, 20), np.float32))
    torch.save(torch.from_numpy(frames), "tensor.pt")
    sources = [str(recordings / "ann/one.wav"), "same.npy", "turned.npy", "tensor.pt"]
    main(["generate", str(trained), "--out", "clips", "--seed", "0", "--frames_from", sources[0]])
    for source in sources[1:]:
        main(["generate", str(trained), "--out", "clips", "--seed", "0", "--frames_from", source])
    clips = [sf.read(f"clips/{Path(source).stem}.wav", dtype="int16")[0] for source in sources]
    for clip in clips:
        assert len(clip) == 4_000
        assert (clip == clips[0]).all()
    capsys.readouterr()
    for source, message in (
        ("log10.npy", "log10.npy cannot be used: values look like log10; they must be natural logarithms"),
        ("other.npy", "other.npy cannot be used: the file must hold [6, N] numbers"),
        ("nowhere.npy", "there is no file nowhere.npy"),
    ):
        assert stopped(["generate", str(trained), "--out", "more", "--frames_from", source]) == 2
        assert message in capsys.readouterr().err
    assert not Path("more").exists()
