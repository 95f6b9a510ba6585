"""What judges from outside say of clips; the networks themselves run where they are installed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from datamodules.espeak import Espeak, Voice
from lightning_wavenet.cli.main import main
from lightning_wavenet.metrics import judges

RATE = 8_000


def vector(degrees: float) -> torch.Tensor:
    angle = torch.tensor(degrees).deg2rad()
    return torch.stack([angle.cos(), angle.sin()])


def test_a_voice_is_nearest_to_a_mean_by_angle():
    # Means at 10 and at 60 degrees: the border is at 35.
    voices = {"a": [vector(0), vector(20)], "b": [vector(50), vector(70)]}
    assert [judges.nearest(vector(degrees), voices) for degrees in (0, 34, 36, 90)] == ["a", "a", "b", "b"]


def test_a_recording_is_not_compared_with_itself():
    # Without the voice at 40 itself, "a" is at 0 and "b" at 70; with it, "a" would be at 20.
    voices = {"a": [vector(0), vector(40)], "b": [vector(70)]}
    assert judges.nearest(voices["a"][1], voices) == "b"
    assert judges.nearest(voices["b"][0], voices) == "a"


@pytest.fixture
def folders(tmp_path, monkeypatch) -> list[str]:
    """Recordings of two speakers at 200 and 400 Hz, and three clips, of which one has the other's voice."""
    monkeypatch.chdir(tmp_path)

    def write(path: Path, frequency: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, 0.5 * np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE), RATE)

    for speaker, frequency in (("ann", 200), ("bob", 400)):
        for number in range(3):
            write(Path(f"corpus/{speaker}/{number}.wav"), frequency + 10 * number)
    for id, speaker, frequency in (("one", "ann", 210), ("two", "ann", 390), ("three", "bob", 410)):
        write(Path(f"clips/{id}.wav"), frequency)
        Path(f"clips/{id}.json").write_text(json.dumps({"conditions": {"speaker": speaker}}))
    return ["judge", "clips", "--recordings", "corpus"]


@pytest.fixture
def ears(monkeypatch) -> None:
    """Judges that hear the pitch of a tone."""

    def pitch(waveform: torch.Tensor, rate: int) -> float:
        return float(torch.fft.rfft(waveform).abs().argmax()) * rate / len(waveform)

    monkeypatch.setattr(judges, "voice", lambda waveform, rate: vector(pitch(waveform, rate) / 10))
    monkeypatch.setattr(
        judges, "quality", lambda waveform, rate: judges.Quality(pitch(waveform, rate) / 100, 3.0, float(rate / 4000))
    )


def test_judge_compares_clips_with_recordings(folders, ears, capsys):
    main([*folders, "--json", "found.json"])
    # Pitches 210, 390 and 410: 3.37 in the mean; of the recordings 200 to 220 and 400 to 420: 3.1.
    assert capsys.readouterr().out.splitlines() == [
        "3 clips: DNSMOS 3.37 overall, 3.00 signal, 2.00 background; 2 of 3 nearest to their own of 2 voices",
        "6 recordings: DNSMOS 3.10 overall, 3.00 signal, 2.00 background; 6 of 6 nearest to their own of 2 voices",
    ]
    found = {row["clip"]: row for row in json.loads(Path("found.json").read_text())}
    assert {id: (row["speaker"], row["nearest"]) for id, row in found.items()} == {
        "one": ("ann", "ann"),
        "two": ("ann", "bob"),
        "three": ("bob", "bob"),
    }
    assert found["two"]["overall"] == pytest.approx(3.9)


def test_judge_refuses_what_it_cannot_compare(folders, ears, capsys):
    for arguments, said in (
        (["judge", "corpus", "--recordings", "corpus"], "corpus has no clips of speakers"),
        ([*folders, "--pattern", r"(?P<speaker>\d)\.wav"], "corpus has no recordings of ann, bob; see --pattern"),
        (["judge", "clips", "--recordings", "nowhere"], "nowhere"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert said in capsys.readouterr().err


def test_judges_that_are_not_installed_are_named(monkeypatch):
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(judges, "import_module", missing)
    with pytest.raises(judges.RequestError, match=r"not installed \(speechmos.dnsmos\): pip install"):
        judges.quality(torch.zeros(RATE), RATE)


@pytest.mark.skipif(not (find_spec("speechmos") and find_spec("resemblyzer")), reason="the judges are not installed")
def test_the_judges_themselves_hear_noise_and_silence():
    generator = torch.Generator().manual_seed(0)
    noise, silence = 0.3 * torch.randn(2 * RATE, generator=generator), torch.zeros(2 * RATE)
    assert 1 <= judges.quality(noise, RATE).overall < 1.6
    for wave in (noise, silence):
        voice = judges.voice(wave, RATE)
        assert voice.shape == (256,)
        assert voice.norm() == pytest.approx(1, abs=1e-4)


@pytest.mark.skipif(not find_spec("pocketsphinx"), reason="the judges are not installed")
def test_words_of_a_clip_do_not_depend_on_the_clips_before_it():
    with Espeak() as espeak:
        said = espeak.say("Seven hundred and thirty five.", Voice("en-us+f3", rate=140))
    waveform = torch.from_numpy(said.samples.astype(np.float32) / 32_768)
    words = judges.spoken_words(waveform, said.sample_rate)
    assert words[-2:] == ["thirty", "five"]
    judges.spoken_words(0.3 * torch.randn(RATE), RATE)
    assert judges.spoken_words(waveform, said.sample_rate) == words
