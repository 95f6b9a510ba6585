"""Synthetic corpora: phones where they are said to be, voices that differ, exact layouts, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from datamodules import synthetic
from datamodules.american import in_arpabet, in_timit
from datamodules.audio_folder import AudioFolderDataModule
from datamodules.cache import Audio
from datamodules.espeak import PAUSE, Espeak, Utterance, Voice, phones_of
from datamodules.ljspeech import LJSpeechDataModule
from datamodules.phone_times import read_phones
from datamodules.sentences import sentences
from datamodules.splits import Split
from datamodules.synthetic import (
    DIGIT_SPEAKERS,
    READER,
    SPEAKERS,
    TIMIT_SPEAKERS,
    synthesize_folder,
    synthesize_ljspeech,
    synthesize_timit,
    synthesize_vctk,
    tone_speakers,
    tones,
)
from datamodules.timit import TIMITDataModule
from datamodules.vctk import VCTKDataModule
from lightning_wavenet.errors import RequestError
from lightning_wavenet.features import Linguistic
from lightning_wavenet.text.phones import TIMIT_61, Phone
from lightning_wavenet.text.pronunciation import Lexicon
from lightning_wavenet.text.symbols import arpabet, unstressed

needs_espeak = pytest.mark.skipif(
    find_spec("espeakng_loader") is None, reason="espeak-ng is not installed: pip install lightning-wavenet[synthetic]"
)

SIBILANTS = {"s", "S", "tS"}
VOWELS = {"a", "aa", "aI", "aU", "E", "eI", "I", "i:", "O:", "oU", "u:", "V", "3:", "A:", "0"}
# What English needs, in espeak's writing of American English: 24 consonants, and vowels in its kinds.
PHONES = {*"pbtdkgfvszhmnlrwj", "T", "D", "S", "Z", "N", "tS", "dZ"} | VOWELS - {"A:"} | {"U", "OI", "@", "A@", "O@"}


def said(texts: list[str], voice: Voice) -> list[Utterance]:
    with Espeak() as espeak:
        return [espeak.say(text, voice) for text in texts]


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples.astype(float)))))


def tree(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_phones_of_events():
    sound, silence = np.full(1000, 9, np.int16), np.zeros(500, np.int16)
    samples = np.concatenate([silence, sound, silence, sound, silence, silence])
    # A vowel, a stop with its closure, another vowel with an l that is the end of it, and two pauses.
    events = [("'E", 500), ("k", 2000), (",oU", 2500), ("l", 3000), ("_:", 3500), ("_", 4000)]
    assert phones_of(samples, events) == [
        Phone(PAUSE, 0, 500),
        Phone("E", 500, 1500),
        Phone("k", 1500, 2500),
        Phone("oU", 2500, 2800),
        Phone("l", 2800, 3000),
        Phone(PAUSE, 3000, 4000),
    ]


@needs_espeak
def test_phones_of_a_known_sentence():
    (utterance,) = said(["The quick cat, near the church, sat down."], Voice("en-us"))
    labels = " ".join(phone.label for phone in utterance.phones)
    assert labels == "_ D @2 k w I k k a t _ n i@3 D @2 tS 3: tS _ s a t d aU n _"
    assert utterance.sample_rate == 22_050


@needs_espeak
@pytest.mark.parametrize("speaker", SPEAKERS[:8], ids=lambda speaker: speaker.name)
def test_phones_cover_the_clip_and_pauses_are_silent(speaker):
    for utterance in said(sentences(25, seconds=4, seed=3), speaker.sound):
        phones = utterance.phones
        assert phones[0].start == 0
        assert phones[-1].end == len(utterance.samples)
        assert all(one.end == other.start and one.label + other.label != "__" for one, other in pairwise(phones))
        for label, start, end in phones:
            assert (label == PAUSE) == (not utterance.samples[start:end].any()), label


def spoken_clips(source: str, sample_rate: int) -> Iterator[synthetic.Clip]:
    if source == "speech":
        return synthetic.speech(SPEAKERS[0], sentences(30, seed=1), sample_rate)
    shifted = DIGIT_SPEAKERS[2]
    return synthetic.digits(shifted, ["six seven zero five", "one zero seven six"] * 10, sample_rate)


@needs_espeak
@pytest.mark.parametrize(("source", "sample_rate"), [("speech", 16_000), ("speech", 48_000), ("digits", 22_050)])
def test_phones_are_where_they_sound(source, sample_rate):
    window = sample_rate // 80  # 12.5 ms

    def hiss(samples: np.ndarray) -> float:
        """The part of the power above 3 kHz."""
        power = np.abs(np.fft.rfft(samples)) ** 2
        return float(power[round(3000 * len(power) / (sample_rate / 2)) :].sum() / power.sum())

    sibilants, vowels = [], []
    for clip in spoken_clips(source, sample_rate):
        spoken = [rms(clip.samples[p.start : p.end]) for p in clip.phones if p.label in VOWELS]
        # Resampling rings a little into a pause: 10 ms in, there is nothing left.
        edge = sample_rate // 100
        pauses = [clip.samples[p.start + edge : p.end - edge] for p in clip.phones if p.label == PAUSE]
        assert max(np.abs(pause).max(initial=0) for pause in pauses) < min(spoken) / 1000
        for one, other in pairwise(clip.phones):
            before, after = clip.samples[one.end - window : one.end], clip.samples[one.end : one.end + window]
            if one.label in VOWELS and other.label in SIBILANTS and np.mean(after == 0) < 0.3:  # No closure between.
                vowels.append(hiss(before))
                sibilants.append(hiss(after))
            elif one.label in SIBILANTS and other.label in VOWELS:
                sibilants.append(hiss(before))
                vowels.append(hiss(after))
    # Boundaries that were all 5 ms early or late would bring either below or above.
    assert len(sibilants) > 25
    assert np.percentile(sibilants, 5) > 0.5
    assert np.percentile(vowels, 95) < 0.4


@needs_espeak
def test_clips_of_digits_begin_and_end_with_the_voice():
    text = "nine two eight"
    for speaker in DIGIT_SPEAKERS:
        (clip,), (whole,) = (list(say(speaker, [text], 8_000)) for say in (synthetic.digits, synthetic.speech))
        heard = np.flatnonzero(np.abs(clip.samples) > 0.01 * np.abs(clip.samples).max())
        assert heard[0] < 0.03 * 8_000
        assert len(clip.samples) - heard[-1] < 0.06 * 8_000 < len(whole.samples) - len(clip.samples)
        assert [phone.label for phone in clip.phones] == [phone.label for phone in whole.phones]
        assert clip.phones[0].start == 0
        assert clip.phones[-1].end == len(clip.samples)
        assert all(one.end == other.start for one, other in pairwise(clip.phones))


@needs_espeak
def test_a_smaller_head_is_higher_and_no_longer_at_it():
    """Played 1.25 times as fast: pauses, vowels and periods of the voice are 0.8 times as long."""
    voice = replace(DIGIT_SPEAKERS[2], shift=1.0)
    (small,), (large,) = (synthetic.speech(speaker, ["two"], 22_050) for speaker in (DIGIT_SPEAKERS[2], voice))
    assert len(small.samples) / len(large.samples) == pytest.approx(0.8, abs=0.01)
    periods = []
    for clip in (small, large):
        vowel = max((phone for phone in clip.phones if phone.label in VOWELS), key=lambda p: p.end - p.start)
        middle = (vowel.start + vowel.end) // 2
        part = clip.samples[middle - 800 : middle + 800].astype(float)
        similarity = np.correlate(part, part, "full")[len(part) - 1 :]
        periods.append(100 + similarity[100:400].argmax())  # 55 to 220 Hz
    assert periods[0] / periods[1] == pytest.approx(0.8, abs=0.04)


@needs_espeak
def test_a_final_l_leaves_the_vowel_as_long_as_before_d():
    lengths = {}
    for word in ("bell", "bed"):
        (utterance,) = said([f"A {word} now."], Voice("en-us"))
        lengths[word] = {phone.label: phone.end - phone.start for phone in utterance.phones}
    assert lengths["bell"]["l"] > 0.05 * 22_050
    assert lengths["bell"]["E"] == pytest.approx(lengths["bed"]["E"], rel=0.1)


def median_f0(samples: np.ndarray, rate: int) -> float:
    """Hz, by autocorrelation between 60 and 400 Hz of frames of 50 ms that are loud and periodic."""
    size = rate // 20
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(float), size)[:: size // 2]
    frames = frames[frames.std(1) > 0.3 * samples.std()] - 0
    frames -= frames.mean(1, keepdims=True)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames, 2 * size)) ** 2)[:, :size]
    low, high = rate // 400, rate // 60
    lag = low + correlation[:, low:high].argmax(1)
    periodic = correlation[np.arange(len(lag)), lag] > 0.5 * correlation[:, 0]
    return float(np.median(rate / lag[periodic]))


@needs_espeak
def test_speakers_are_told_apart_by_pitch_and_spectrum():
    def traits(utterances: list[Utterance]) -> list[float]:
        samples = np.concatenate([utterance.samples for utterance in utterances])
        frames = samples[: len(samples) // 512 * 512].reshape(-1, 512).astype(float)
        power = (np.abs(np.fft.rfft(frames * np.hanning(512))) ** 2).mean(0)[1:].reshape(32, 8).mean(1)
        spectrum = 10 * np.log10(power)  # dB, in bands of 345 Hz
        return [*(spectrum - spectrum.mean()), 12 * np.log2(median_f0(samples, 22_050))]  # and in semitones

    spoken = [said(sentences(8, seed=4), speaker.sound) for speaker in SPEAKERS]
    known, heard = (np.array([traits(part[half]) for part in spoken]) for half in (slice(4), slice(4, 8)))
    distances = np.abs(known[:, None] - heard).mean(2)
    assert (distances.argmin(0) == np.arange(len(SPEAKERS))).sum() >= 19
    female = np.array([speaker.gender == "F" for speaker in SPEAKERS])
    assert known[female, -1].min() > known[~female, -1].max()


@needs_espeak
def test_espeak_stays_out_of_this_process(tmp_path):
    synthesize_folder(tmp_path / "corpus", speakers=1, clips=1)
    assert "espeakng_loader" not in sys.modules
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert "libespeak" not in maps.read_text()


@needs_espeak
def test_what_espeak_cannot_say():
    with Espeak() as espeak:
        with pytest.raises(RequestError, match="unknown voice 'xx-klingon'"):
            espeak.say("Hello.", Voice("xx-klingon"))
        with pytest.raises(RequestError, match="nothing to say"):
            espeak.say(" ", Voice("en-us"))
        assert len(espeak.say("Hello.", Voice("en-us")).phones) > 3
        espeak._process.kill()
        espeak._process.wait()
        with pytest.raises(RequestError, match=r"ended \(exit code -9\) at: Goodbye"):
            espeak.say("Goodbye.", Voice("en-us"))


def test_without_espeak(tmp_path, monkeypatch):
    monkeypatch.setattr("datamodules.espeak.find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r'pip install "lightning-wavenet\[synthetic\]"'):
        synthesize_vctk(tmp_path)
    assert not list(tmp_path.iterdir())


def test_sentences_are_distinct_and_follow_from_the_seed():
    texts = sentences(5000, seed=7)
    assert len(set(texts)) == 5000
    assert sentences(100, seed=7) == texts[:100]
    assert len(set(sentences(100, seed=8)) & set(texts[:100])) < 5
    assert len({word for text in texts for word in text.lower().strip(".?").split()}) > 200
    assert all(text[0].isupper() and text[-1] in ".?" for text in texts)


@needs_espeak
def test_sentences_have_all_phones_and_about_the_length_asked_for():
    for seconds in (2.0, 6.0):
        utterances = said(sentences(150, seconds, seed=2), Voice("en-us"))
        lengths = [len(utterance.samples) / utterance.sample_rate for utterance in utterances]
        assert np.mean(lengths) == pytest.approx(seconds, rel=0.2)
        heard = {phone.label for utterance in utterances for phone in utterance.phones}
        assert heard >= PHONES, PHONES - heard


@needs_espeak
def test_vctk_layout(tmp_path):
    root = synthesize_vctk(tmp_path, speakers=2, clips=8, seed=1)
    assert root == tmp_path / "VCTK-Corpus-0.92"
    stems = [f"{name}/{name}_{number:03d}" for name in ("p225", "p226") for number in range(1, 9)]
    expected = {f"wav48_silence_trimmed/{stem}_mic{mic}.flac" for stem in stems for mic in (1, 2)}
    expected |= {f"txt/{stem}.txt" for stem in stems} | {f"phones/{stem}.phn" for stem in stems}
    assert tree(root).keys() == expected | {"speaker-info.txt", "synthetic.json"}
    for stem in stems:
        near, far = (root / f"wav48_silence_trimmed/{stem}_mic{mic}.flac" for mic in (1, 2))
        info = soundfile.info(near)
        assert (info.samplerate, info.channels, info.format, info.subtype) == (48_000, 1, "FLAC", "PCM_16")
        samples = soundfile.read(near)[0]
        assert 10 ** (-12 / 20) < np.abs(samples).max() < 10 ** (-3 / 20)
        assert 0.2 < rms(soundfile.read(far)[0]) / rms(samples) < 0.6
        phones = read_phones(root / f"phones/{stem}.phn")
        assert phones[0].start == 0
        assert phones[-1].end == info.frames
        assert all(one.end == other.start for one, other in pairwise(phones))
    texts = {stem: (root / f"txt/{stem}.txt").read_text() for stem in stems}
    assert [texts[stem] for stem in stems[:2]] == [texts[stem] for stem in stems[8:10]]
    assert len(set(texts.values())) == 14
    header, *rows = (root / "speaker-info.txt").read_text().splitlines()
    assert header.split() == ["ID", "AGE", "GENDER", "ACCENTS", "REGION", "COMMENTS"]
    assert [row.split()[:4] for row in rows] == [["p225", "30", "F", "American"], ["p226", "30", "M", "American"]]

    records = VCTKDataModule(root, audio=Audio(sample_rate=16_000)).listing().records
    assert {record.id: record.text for record in records} == {Path(s).name: t.strip() for s, t in texts.items()}


@needs_espeak
@pytest.mark.parametrize("sample_rate", [22_050, 8_000])
def test_folder_layout(tmp_path, sample_rate):
    root = synthesize_folder(tmp_path / "mine", speakers=2, clips=3, sample_rate=sample_rate)
    stems = [f"{name}/{name}_{number:03d}" for name in ("anna", "ben") for number in (1, 2, 3)]
    expected = {f"{stem}.{suffix}" for stem in stems for suffix in ("wav", "txt", "phn")}
    assert tree(root).keys() == expected | {"synthetic.json"}
    for stem in stems:
        info = soundfile.info(root / f"{stem}.wav")
        assert (info.samplerate, info.channels, info.format, info.subtype) == (sample_rate, 1, "WAV", "PCM_16")
        assert read_phones(root / f"{stem}.phn")[-1].end == info.frames
    assert len({(root / f"{stem}.txt").read_text() for stem in stems}) == 6

    data = AudioFolderDataModule(root, "(?P<speaker>[^/]+)/", audio=Audio(sample_rate=16_000))
    records = data.listing().records
    assert [(record.id, record.speaker) for record in records] == [(f"{s}.wav", s.split("/")[0]) for s in stems]


def test_phones_by_other_names():
    """A pause, a stop after 10 ms of silence, one with none, vowels with r, glides that are the end of a vowel."""
    espeak = [("_", 100), ("t", 300), ("A@", 500), ("r-", 600), ("d", 700), ("@L", 800), ("i:", 900), (";", 950)]
    starts = [0, *(end for _, end in espeak[:-1])]
    phones = [Phone(label, start, end) for (label, end), start in zip(espeak, starts, strict=True)]
    phones += [Phone("3", 950, 1000), Phone("_", 1000, 1100)]
    samples = np.full(1100, 9_000, np.int16)
    for start, end in ((0, 260), (600, 605), (1000, 1100)):
        samples[start:end] = 0
    shared = [(300, 420), (420, 600), (600, 700), (700, 760), (760, 800), (800, 950), (950, 1000)]
    times = [(0, 100), (100, 260), (260, 300), *shared, (1000, 1100)]
    names = "h# tcl t aa r d ax l iy axr h#".split()
    assert in_timit(phones, samples, 16_000) == [Phone(name, *time) for name, time in zip(names, times, strict=True)]
    times[1:3] = [(100, 300)]
    names = "sil T AA R D AH L IY ER sil".split()
    assert in_arpabet(phones) == [Phone(name, *time) for name, time in zip(names, times, strict=True)]


@needs_espeak
def test_phones_are_those_that_cmudict_has_for_the_words():
    """Of words without homographs, in whose weak syllables espeak and CMUdict may differ."""
    words = "bottle better garden north square cheer choir tour bird vision joyful change thin this wash father cotton"
    lexicon = Lexicon.cmudict()
    for word, utterance in zip(words.split(), said(words.split(), READER.sound), strict=True):
        heard = [phone.label for phone in in_arpabet(utterance.phones) if phone.label != "sil"]
        ways = [[unstressed(phone) for phone in way] for way in lexicon.pronunciations(word)]
        assert heard in ways, word


@needs_espeak
def test_ljspeech_layout(tmp_path):
    """Read whole by its DataModule, with the phones where the reader says them."""
    root = synthesize_ljspeech(tmp_path, clips=4, seed=3)
    assert root == tmp_path / "LJSpeech-1.1"
    ids = [f"LJ001-{number:04d}" for number in (1, 2, 3, 4)]
    expected = {f"wavs/{id}.wav" for id in ids} | {f"phones/{id}.phn" for id in ids}
    assert tree(root).keys() == expected | {"metadata.csv", "synthetic.json"}
    texts = sentences(4, seed=3)
    assert (root / "metadata.csv").read_text().splitlines() == [
        f"{id}|{text}|{text}" for id, text in zip(ids, texts, strict=True)
    ]
    info = soundfile.info(root / "wavs/LJ001-0001.wav")
    assert (info.samplerate, info.channels, info.format, info.subtype) == (22_050, 1, "WAV", "PCM_16")

    audio = Audio(sample_rate=22_050, cache_dir=tmp_path / "cache")
    linguistic = Linguistic(hop=110)  # 5 ms
    data = LJSpeechDataModule(root, audio=audio, split=Split(0, 0), features=[linguistic], alignments=root / "phones")
    data.prepare_data()
    data.setup()
    clips = data.clips
    (features,) = clips.features
    assert features.usable.all()
    channels = list(linguistic.channel_names)
    assert clips.values("text") == texts
    assert clips.lengths.tolist() == [soundfile.info(root / f"wavs/{id}.wav").frames for id in ids]
    edge = round(0.05 * 22_050)
    for row, utterance in enumerate(said(texts, READER.sound)):
        phones, length = clips.value("phones", row), int(clips.lengths[row])
        assert (phones[0].start, phones[-1].end) == (0, length)
        assert all(one.end == other.start for one, other in pairwise(phones))
        assert phones[0] == Phone("sil", 0, edge)
        assert phones[-1] == Phone("sil", length - edge, length)
        # All bounds of what espeak said are among them, from the first phone on.
        first = next(phone.start for phone in utterance.phones if phone.label != PAUSE)
        glides = {";", "r-"}
        bounds = {phone.start - first + edge for phone in utterance.phones if phone.label not in {PAUSE} | glides}
        assert bounds <= {phone.start for phone in phones}
        samples = soundfile.read(root / f"wavs/{ids[row]}.wav", dtype="int16")[0]
        frames = features.frames(row, 0, -(-length // 110))
        for label, start, end in phones:
            assert (label == "sil") == (not samples[start:end].any()), label
            assert frames[channels.index(f"phone: {label}"), (start + end) // 220] == 1


@needs_espeak
def test_the_reader_is_one_voice_with_a_melody(tmp_path):
    root = synthesize_ljspeech(tmp_path, clips=3, sample_rate=8_000, seconds=2)
    f0 = []
    for path in sorted(root.glob("phones/*.phn")):
        samples, rate = soundfile.read(root / "wavs" / f"{path.stem}.wav")
        assert rate == 8_000
        spoken = [phone for phone in read_phones(path) if phone.label != "sil"]
        third = rate // 3
        starts = range(spoken[0].start, spoken[-1].end - third, third)
        f0 += [median_f0(samples[start : start + third], rate) for start in starts]
    assert len(f0) > 15
    low, high = np.percentile(f0, [5, 95])
    assert 100 < low < high < 160
    assert 12 * np.log2(high / low) > 4  # semitones


@needs_espeak
def test_timit_layout(tmp_path):
    """Read whole by its DataModule in the standard division, with the phones where the speakers say them."""
    root = synthesize_timit(tmp_path, speakers=5, clips=4, seconds=2)
    assert root == tmp_path / "TIMIT"
    folders = {"fann0": "TRAIN", "mjsw0": "TEST", "felc0": "TEST", "mdav0": "TRAIN", "feri0": "TRAIN"}
    stems = [
        f"{part}/DR1/{name.upper()}/{stem}"
        for speaker, (name, part) in enumerate(folders.items())
        for stem in ("SA1", "SA2", f"SX{2 * speaker + 3}", f"SX{2 * speaker + 4}")
    ]
    assert tree(root).keys() == {f"{stem}.{end}" for stem in stems for end in ("WAV", "PHN", "TXT")} | {
        "synthetic.json"
    }
    info = soundfile.info(root / f"{stems[0]}.WAV")
    assert (info.samplerate, info.channels, info.format, info.subtype) == (16_000, 1, "NIST", "PCM_16")

    data = TIMITDataModule(root, audio=Audio(16_000, cache_dir=tmp_path / "cache"))
    data.prepare_data()
    data.setup()
    clips = data.clips
    found = dict(zip(clips.values("speaker"), clips.splits, strict=True))
    assert found == {"fann0": "train", "mjsw0": "validation", "felc0": "test", "mdav0": "train", "feri0": "train"}
    assert len(clips.ids) == 10
    texts = sentences(2 + 5 * 2, 2)
    rows = dict(zip(clips.ids, range(10), strict=True))
    for speaker, name in enumerate(folders):
        own = texts[2 + 2 * speaker :][:2]
        spoken = said([*texts[:2], *own], TIMIT_SPEAKERS[speaker].sound)[2:]
        for number, (text, utterance) in enumerate(zip(own, spoken, strict=True)):
            row = rows[f"{name}_sx{2 * speaker + 3 + number}"]
            assert clips.value("text", row) == text
            phones = clips.value("phones", row)
            assert {phone.label for phone in phones} <= set(TIMIT_61)
            assert phones[0].label == phones[-1].label == "h#"
            assert (phones[0].start, phones[-1].end) == (0, clips.lengths[row])
            assert all(one.end == other.start for one, other in pairwise(phones))
            # The same as LJSpeech's layout has, but for closures, and at another rate.
            joined = [phone for phone in phones if not phone.label.endswith("cl")]
            expected = in_arpabet(utterance.phones)
            expected = expected[expected[0].label == "sil" : -1]
            assert [arpabet(phone.label) for phone in joined[1:-1]] == [phone.label for phone in expected]
            ends = [(phone.end - expected[0].start) * 16_000 / 22_050 + 800 for phone in expected]
            assert [phone.end for phone in joined[1:-1]] == pytest.approx(ends, abs=1.5)


@needs_espeak
def test_closures_of_timit_are_silent_and_bursts_are_not(tmp_path):
    root = synthesize_timit(tmp_path, speakers=3, clips=5)
    bursts = 0
    for path in root.rglob("SX*.WAV"):
        samples = soundfile.read(path)[0]
        phones = read_phones(path.with_suffix(".PHN"))
        for closure, burst in pairwise(phones):
            if closure.label.endswith("cl"):
                assert {"tcl": "t ch", "dcl": "d jh"}.get(closure.label, closure.label[0]).split().count(burst.label)
                assert np.abs(samples[closure.start : closure.end]).max() < 0.002 * np.abs(samples).max()
                assert np.abs(samples[burst.start : burst.end]).max() > 0.01 * np.abs(samples).max()
                bursts += 1
    assert bursts > 25


@pytest.mark.parametrize("source", [pytest.param("speech", marks=needs_espeak), "tones"])
def test_bytes_follow_from_the_seed(tmp_path, source):
    one, same, other = (
        tree(synthesize_vctk(tmp_path / name, 2, 2, source, seed, seconds=1))
        for name, seed in (("one", 5), ("same", 5), ("other", 6))
    )
    assert one == same
    audio = [name for name in one if name.endswith(".flac")]
    assert len(audio) == 8
    assert all(one[name] != other[name] for name in audio)


def test_tones_have_their_power_at_their_frequency():
    for speaker in tone_speakers(12):
        clips = list(tones(speaker, 3, 16_000, 1.0))
        for clip in clips:
            assert [phone.label for phone in clip.phones] == [PAUSE, "tone", PAUSE]
            _, (_, start, end), _ = clip.phones
            assert not clip.samples[:start].any()
            assert not clip.samples[end:].any()
            power = np.abs(np.fft.rfft(clip.samples * np.hanning(len(clip.samples)))) ** 2
            hertz = np.fft.rfftfreq(len(clip.samples), 1 / 16_000)
            assert power[np.abs(hertz - speaker.sound) < 5].sum() > 0.999 * power.sum()
        assert len({len(clip.samples) for clip in clips}) == 3
        assert len({np.abs(clip.samples).max() for clip in clips}) == 3
        assert all(0.8 <= len(clip.samples) / 16_000 <= 1.2 for clip in clips)


def test_tones_are_no_harmonics_of_each_other():
    frequencies = [speaker.sound for speaker in tone_speakers(109)]
    assert len({round(f, 1) for f in frequencies}) == 109
    assert 141 < min(frequencies) < max(frequencies) < 2448
    # Exactly rational ratios would square to squares of rationals.
    squares = [round(f * f / 10_000) for f in frequencies]
    assert np.allclose(np.sqrt(squares) * 100, frequencies)
    assert all(np.sqrt(a * b) != int(np.sqrt(a * b)) for a, b in combinations(squares, 2))


def test_a_failure_leaves_nothing_and_an_old_corpus_as_it_was(tmp_path, monkeypatch):
    root = synthesize_vctk(tmp_path, 2, 2, "tones", seconds=1)
    before = tree(tmp_path)
    write, written = soundfile.write, []

    def full_disk(path, *rest, **named):
        written.append(path)
        if len(written) > 3:
            raise OSError("no space left on device")
        write(path, *rest, **named)

    monkeypatch.setattr(soundfile, "write", full_disk)
    with pytest.raises(OSError, match="no space left"):
        synthesize_vctk(tmp_path, 2, 2, "tones", seed=1, seconds=1, overwrite=True)
    with pytest.raises(OSError, match="no space left"):
        synthesize_folder(tmp_path / "new", 2, 2, "tones", seconds=1)
    assert len(written) > 4
    assert list(tmp_path.iterdir()) == [root]
    assert tree(tmp_path) == before


def test_what_exists_is_replaced_only_if_asked_and_only_if_synthetic(tmp_path):
    root = synthesize_folder(tmp_path / "corpus", 1, 2, "tones", seconds=1)
    before = tree(tmp_path)
    with pytest.raises(RequestError, match=r"corpus has files in it: choose another --out, or say --overwrite"):
        synthesize_folder(root, 1, 1, "tones", seconds=1)
    assert tree(tmp_path) == before
    synthesize_folder(root, 1, 1, "tones", seconds=1, overwrite=True)
    assert tree(root).keys() == {f"tone001/tone001_001.{suffix}" for suffix in ("wav", "txt", "phn")} | {
        "synthetic.json"
    }
    assert json.loads((root / "synthetic.json").read_text())["clips"] == 1
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.txt").write_text("years of work")
    with pytest.raises(RequestError, match="not a synthetic corpus"):
        synthesize_folder(tmp_path / "home", 1, 1, "tones", overwrite=True)
    assert (tmp_path / "home/thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speakers": 21}, "speech has 1 to 20 speakers, not 21"),
        ({"speakers": 110, "source": "tones"}, "tones has 1 to 109 speakers, not 110"),
        ({"clips": 0}, "1 to 999 clips, not 0"),
        ({"seconds": 0.1}, "1 to 30 seconds long, not 0.1"),
        ({"seed": -1}, "0 or more, not -1"),
        ({"sample_rate": 16}, "16 Hz is out of range"),
    ],
)
def test_options_out_of_range(tmp_path, options, message):
    with pytest.raises(RequestError, match=message):
        synthesize_folder(tmp_path / "corpus", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (synthesize_ljspeech, {"clips": 10_000}, "1 to 9,999 clips, not 10000"),
        (synthesize_ljspeech, {"sample_rate": 16}, "16 Hz is out of range"),
        (synthesize_timit, {"speakers": 2}, "3 to 20 speakers, not 2"),
        (synthesize_timit, {"clips": 2}, "3 clips or more, of which SA1 and SA2 are in no split, not 2"),
    ],
)
def test_options_of_a_layout_out_of_range(tmp_path, make, options, message):
    with pytest.raises(RequestError, match=message):
        make(tmp_path, **options)
    assert not list(tmp_path.iterdir())
