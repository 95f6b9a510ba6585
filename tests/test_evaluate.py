"""`wavenet evaluate`: clips beside the recordings of the same sentences."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
import torch

from lightning_wavenet.cli.main import main
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.evaluation.clips import GivenClip, find_clips, next_sentence
from lightning_wavenet.evaluation.figures import Case, Phones, Sound, Value, pitch, spectrum
from lightning_wavenet.evaluation.report import Evaluated, Report
from lightning_wavenet.features import f0 as f0_module
from lightning_wavenet.files.audio import write_clip
from lightning_wavenet.metrics import judges
from lightning_wavenet.models import PhoneRecognizer, TimedPhone, checkpoint

RATE = 8_000
needs_pyworld = pytest.mark.skipif(find_spec("pyworld") is None, reason="pyworld is not installed")


def buzz(hertz: float, seconds: float, formant: float) -> np.ndarray:
    """A vowel with a pause before and after."""
    times = np.arange(round(seconds * RATE)) / RATE
    wave = sum(
        np.sin(2 * np.pi * k * hertz * times) / (1 + (k * hertz - formant) ** 2 / 2e4)
        for k in range(1, int(3_900 / hertz))
    )
    return np.pad(0.1 * wave, 800).astype(np.float32)


def describe(path: Path, wave: np.ndarray, **about) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, wave, RATE)
    if about:
        path.with_suffix(".json").write_text(json.dumps(about))


@pytest.fixture
def folders(tmp_path, monkeypatch) -> list[str]:
    """Recordings of two vowels, and clips: one that is its recording, and one a tenth higher and half as long again."""
    monkeypatch.chdir(tmp_path)
    describe(Path("corpus/a/s1.wav"), buzz(120, 0.4, 500))
    describe(Path("corpus/b/s2.wav"), buzz(200, 0.4, 2_500))
    describe(Path("clips/000.wav"), buzz(120, 0.4, 500), id="000", conditions={"frames_from": "x/s1.wav"}, text="One.")
    describe(Path("clips/s2_anna_000.wav"), buzz(220, 0.7, 2_500), id="s2_anna_000", rtf=0.5)
    Path("texts.csv").write_text("s2|2|two or three\n")
    return ["evaluate", "clips", "--recordings", "corpus", "--texts", "texts.csv"]


def refused(arguments: list[str], capsys) -> str:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def found(name: str = "found.json") -> tuple[dict, dict]:
    """The means, and the figures of each clip."""
    read = json.loads(Path(name).read_text())
    return read["means"], {one["clip"]: one for one in read["clips"]}


@needs_pyworld
def test_clips_are_compared_with_their_recordings(folders, capsys):
    main([*folders, "--judges", "none", "--out", "found.json"])
    told = capsys.readouterr().out
    means, clips = found()
    same, other = clips["000.wav"]["figures"]["clips"], clips["s2_anna_000.wav"]["figures"]["clips"]
    assert (clips["000.wav"]["recording"], clips["s2_anna_000.wav"]["recording"]) == (
        "corpus/a/s1.wav",
        "corpus/b/s2.wav",
    )
    assert (clips["000.wav"]["text"], clips["s2_anna_000.wav"]["text"]) == ("One.", "two or three")
    # It is its recording, in 16 bits.
    assert same["mcd_db"] == same["mcd_in_step_db"] == same["f0_rmse_hz"] == same["voicing_wrong_percent"] == 0
    assert (same["duration_ratio"], same["duration_difference_s"]) == (1, 0)
    # 0.9 s beside 0.6 s, and 220 Hz beside 200.
    assert other["duration_ratio"] == pytest.approx(1.5)
    assert other["duration_difference_s"] == pytest.approx(0.3)
    assert other["f0_rmse_hz"] == pytest.approx(20, abs=2)
    assert "mcd_in_step_db" not in other
    assert 0 < other["mcd_db"] < other["mcd_of_other_db"]
    assert means["mcd_db"]["clips"]["mean"] == pytest.approx(other["mcd_db"] / 2)
    assert means["rtf"] == {"clips": {"mean": 0.5, "low": None, "high": None, "clips": 1}}
    assert means["duration_ratio"]["mu-law"] == {"mean": 1, "low": 1, "high": 1, "clips": 2}
    assert 0 < means["mcd_db"]["mu-law"]["mean"] < other["mcd_db"]
    # A recording is not compared with itself, but with that of another sentence.
    assert {name for name, columns in means.items() if "natural" in columns} == {"mcd_of_other_db"}
    assert "2 clips, 2 with a recording" in told
    assert "2 of 2 clips are nearer to the recording of their own sentence than of another" in told
    assert "(p = 0.25, signs flipped)" in told
    assert [line.split()[-1] for line in told.splitlines() if line.startswith("mel-cepstral")] == ["-"]
    assert "found.json exists" in refused([*folders, "--out", "found.json"], capsys)


def test_judges_are_asked_of_clips_codes_and_recordings(folders, monkeypatch, capsys):
    monkeypatch.setattr(
        judges, "spoken_words", lambda wave, rate: ["one"] if len(wave) < 6_000 else ["to", "or", "three"]
    )
    monkeypatch.setattr(judges, "quality", lambda wave, rate: judges.Quality(len(wave) / rate, 2.0, 1.0))
    monkeypatch.setattr(
        judges, "voice", lambda wave, rate: torch.nn.functional.normalize(torch.ones(2) * wave.std(), dim=0)
    )
    main([*folders, "--out", "found.json"])
    means, clips = found()
    # "One." is understood; of "two or three" the clip has one word and one letter wrong: 1 of 4 words, 1 of 15 letters.
    assert means["words_wrong_percent"]["clips"]["mean"] == pytest.approx(25)
    assert means["letters_wrong_percent"]["clips"]["mean"] == pytest.approx(100 / 15)
    # Of the recordings both are too short to be more than "one": 3 of 4.
    assert means["words_wrong_percent"]["natural"]["mean"] == pytest.approx(75)
    # Exchanged: "one" for "two or three" is 3 of 3, "to or three" for "one" 3 of 1.
    assert means["words_of_other_wrong_percent"]["clips"]["mean"] == pytest.approx(100 * 6 / 4)
    assert means["dnsmos_overall"]["clips"]["mean"] == pytest.approx((0.6 + 0.9) / 2)
    assert means["dnsmos_signal"]["natural"]["mean"] == 2
    assert means["voice_cosine"].keys() == {"clips", "mu-law"}
    assert means["voice_cosine"]["clips"]["mean"] == pytest.approx(1)
    assert clips["s2_anna_000.wav"]["recognized"] == {"clips": "to or three", "mu-law": "one", "natural": "one"}


def hearing(labels: str, phones: tuple[str, ...], rate: int = 2 * RATE) -> PhoneRecognizer:
    """A recognizer that finds the same phones in everything, and remembers how long the audio was."""
    lengths: list[int] = []

    def recognize(waveform: torch.Tensor) -> list[TimedPhone]:
        lengths.append(len(waveform))
        return [TimedPhone(label, 0, 1, 0, 0) for label in labels.split()]

    return SimpleNamespace(vocabulary=Vocabulary(rate, phones=phones), recognize=recognize, lengths=lengths)


def test_phones_are_counted_by_a_recognizer_of_ones_own(folders, monkeypatch, capsys):
    recognizer = hearing("h# w ah n pau", ("ah", "h#", "n", "pau", "w"))
    measure = Phones(recognizer)
    found = measure(Case(Sound(torch.zeros(800), RATE), text="One.", other_text="two or"))
    # "One" is W AH N; "two or" T UW AO R, of which nothing is there.
    assert found == {"phones_wrong_percent": (0.0, 3), "phones_of_other_wrong_percent": (100.0, 4)}
    assert recognizer.lengths == [1_600]
    with pytest.raises(RequestError, match="phones that are no ARPAbet, such as a#: give another"):
        Phones(hearing("", ("AA", "a#")))
    with pytest.raises(RequestError, match="no text"):
        measure(Case(Sound(torch.zeros(800), RATE)))

    monkeypatch.setattr(checkpoint, "load", lambda path: recognizer)
    assert "a.ckpt holds a SimpleNamespace, which recognizes no phones" in refused(
        [*folders, "--recognizer", "a.ckpt"], capsys
    )


def test_what_is_not_installed_is_left_out_with_a_line(folders, monkeypatch, capsys):
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(judges, "import_module", missing)
    monkeypatch.setattr(f0_module, "import_module", missing)
    main([*folders, "--out", "found.json"])
    told = capsys.readouterr().out
    means, clips = found()
    assert set(means) == {
        *("mcd_db", "mcd_in_step_db", "mcd_of_other_db", "duration_ratio", "duration_difference_s", "rtf")
    }
    assert 'left out (2 of 2 clips): pitch: F0 needs pyworld: pip install "lightning-wavenet[speech]"' in told
    for name, package in (("words", "pocketsphinx"), ("quality", "speechmos.dnsmos"), ("voice", "resemblyzer")):
        assert f"left out (2 of 2 clips): {name}: the judges are not installed ({package}): pip install" in told
    assert len(clips["000.wav"]["left_out"]) == 4


def test_a_clip_without_a_recording_is_judged_without_it(folders, monkeypatch, capsys):
    describe(Path("clips/odd.wav"), buzz(100, 0.3, 900))
    monkeypatch.setattr(judges, "quality", lambda wave, rate: judges.Quality(3.0, 2.0, 1.0))
    main([*folders, "--judges", "quality", "--out", "found.json"])
    means, clips = found()
    assert "3 clips, 2 with a recording" in capsys.readouterr().out
    assert clips["odd.wav"]["figures"].keys() == {"clips"}
    assert means["dnsmos_overall"]["clips"]["clips"] == 3
    assert means["dnsmos_overall"]["natural"]["clips"] == 2
    # Without recordings only judges speak.
    main(["evaluate", "clips", "--judges", "quality", "words"])
    told = capsys.readouterr().out
    assert "3 clips, 0 with a recording" in told
    assert "mel-cepstral" not in told
    assert "left out (2 of 3 clips): words: the clip has no text: give --texts" in told


def test_what_cannot_be_evaluated_is_refused(folders, tmp_path, capsys):
    assert "there is no folder nowhere" in refused(["evaluate", "nowhere"], capsys)
    assert "there is no folder nowhere" in refused(["evaluate", "clips", "--recordings", "nowhere"], capsys)
    Path("empty").mkdir()
    assert "there are no clips in empty" in refused(["evaluate", "empty"], capsys)
    assert "empty has no recording of any clip, such as 000" in refused(
        ["evaluate", "clips", "--recordings", "empty"], capsys
    )
    assert "empty is a folder: give a file as --out" in refused([*folders, "--out", "empty"], capsys)
    assert "texts.csv is a file and no folder" in refused([*folders, "--out", "texts.csv/x.json"], capsys)
    Path("bad.csv").write_text("s1|one\n\ns2\n")
    assert "line 3 of bad.csv is not ID|TEXT" in refused([*folders, "--texts", "bad.csv"], capsys)
    assert "absent.csv cannot be read" in refused([*folders, "--texts", "absent.csv"], capsys)
    describe(Path("corpus/b/s1.wav"), buzz(100, 0.1, 900))
    assert "corpus/a/s1.wav and corpus/b/s1.wav may both be the recording of 000.wav" in refused(folders, capsys)
    Path("corpus/b/s1.wav").unlink()
    Path("clips/000.json").write_text("[]")
    assert "000.json does not describe a clip" in refused(folders, capsys)
    Path("clips/000.json").write_text("{")
    assert "000.json is not JSON" in refused(folders, capsys)
    Path("clips/000.json").unlink()
    Path("clips/000.wav").write_bytes(b"RIFF")
    assert "000.wav cannot be used" in refused([*folders, "--judges", "none"], capsys)


def test_recordings_among_the_samples_of_a_run_are_no_clips(tmp_path):
    for name, recorded in (("a", False), ("a_recorded", True)):
        write_clip(tmp_path / name, torch.zeros(800), RATE, {"id": name, "recorded": recorded})
    assert [clip.name for clip in find_clips(tmp_path)] == ["a.wav"]


def test_a_clip_is_known_by_the_longest_name_that_it_continues(tmp_path):
    for name in ("s1", "s1_a", "s10"):
        describe(tmp_path / f"corpus/{name}.flac", np.zeros(80))
    for name in ("s1", "s1_a_000", "s1_b_000", "s10_a", "s100"):
        describe(tmp_path / f"clips/{name}.wav", np.zeros(80))
    known = {clip.name: clip.recording for clip in find_clips(tmp_path / "clips", tmp_path / "corpus")}
    assert {name: path and path.stem for name, path in known.items()} == {
        "s1.wav": "s1",
        "s1_a_000.wav": "s1_a",
        "s1_b_000.wav": "s1",
        "s10_a.wav": "s10",
        "s100.wav": None,
    }


def test_the_next_sentence_is_another_one():
    here = Path()
    clips = [
        GivenClip("a0", here, Path("a"), "A"),
        GivenClip("a1", here, Path("a"), "A"),
        GivenClip("by another voice", here, Path("a2"), "A"),
        GivenClip("no recording", here, None, "B"),
        GivenClip("c", here, Path("c"), "C"),
    ]
    assert [next_sentence(clips, place) for place in range(5)] == [
        (Path("c"), "B"),
        (Path("c"), "B"),
        (Path("c"), "B"),
        (Path("c"), "C"),
        (Path("a"), "A"),
    ]
    assert next_sentence(clips[:2], 0) == (None, None)


def test_eight_bits_of_mu_law_are_those_of_the_formula():
    wave = torch.linspace(-1, 1, 4_001)
    coded = Sound(wave, RATE).coded.waveform.numpy().astype(np.float64)
    code = np.rint((np.sign(wave.numpy()) * np.log1p(255 * np.abs(wave.numpy())) / np.log(256) + 1) / 2 * 255)
    companded = 2 * code / 255 - 1
    expected = np.sign(companded) * (256 ** np.abs(companded) - 1) / 255
    assert coded == pytest.approx(expected, abs=0.02)  # A step at full scale: where rounding is on the edge.
    assert np.median(np.abs(coded - expected)) < 1e-6


def test_silence_has_figures():
    case = Case(*(Sound(torch.zeros(count), RATE) for count in (4_000, 4_000)))
    assert spectrum(case)["mcd_db"].value == pytest.approx(0, abs=1e-3)
    if find_spec("pyworld"):
        assert pitch(case) == {"voicing_wrong_percent": (0.0, 1.0)}


def test_clips_that_are_as_near_to_another_sentence_do_not_follow_theirs():
    def clip(own: float, other: float) -> Evaluated:
        values = {"mcd_db": Value(own), "mcd_of_other_db": Value(other)}
        return Evaluated(GivenClip("", Path()), {"clips": values})

    # Differences 2, -1 and 3: sums at least 4 are those of +++ (6) and +-+ (4); of ++- 2 at most.
    assert Report([clip(5, 7), clip(6, 5), clip(4, 7)]).follows() == pytest.approx((2, 3, 4 / 3, 2 / 8))
    assert Report([Evaluated(GivenClip("", Path()), {"clips": {}})]).follows() is None
