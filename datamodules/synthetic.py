"""Small corpora made on the spot, in the layouts of real ones, with the true time of every phone.

Sentences and digits are spoken by espeak-ng (the `synthetic` extra; see `datamodules.espeak` for why it runs in a
process of its own), tones are made by numpy alone. The same options give the same bytes; a corpus appears whole or not
at all.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torchaudio.functional import resample

from datamodules.american import in_arpabet, in_timit
from datamodules.espeak import PAUSE, Espeak, Voice
from datamodules.phone_times import write_phones
from datamodules.sentences import sentences
from lightning_wavenet.errors import RequestError
from lightning_wavenet.files.atomic import need_folder, refuse_existing
from lightning_wavenet.files.audio import complete
from lightning_wavenet.text.phones import Phone

Source = Literal["speech", "digits", "tones"]

VCTK_SAMPLE_RATE = 48_000
"""Hz."""
FOLDER_SAMPLE_RATE = 22_050
"""Hz: espeak's own rate, so that nothing is resampled."""
LJSPEECH_SAMPLE_RATE = 22_050
"""Hz."""
TIMIT_SAMPLE_RATE = 16_000
"""Hz."""

MADE_BY = "synthetic.json"
"""Beside the audio: how the corpus was made. Only a folder that has it is ever overwritten."""


@dataclass(frozen=True)
class Speaker:
    """One who speaks in a synthetic corpus.

    Attributes:
        name: Folder of the speaker's clips.
        gender: `F` or `M`; `-` for a tone.
        accent: As in VCTK's speaker list.
        region: As in VCTK's speaker list.
        sound: What is heard: a voice of espeak, or a tone's frequency (Hz).
        shift: How many times as high as the voice's pitch and formants are: those of a smaller head.
    """

    name: str
    gender: str
    accent: str
    region: str
    sound: Voice | float
    shift: float = 1.0


# No voice here has an echo (espeak's f2 to f5 and m2 do): pauses are silent, and phones end where they are said to.
SPEAKERS: tuple[Speaker, ...] = (
    Speaker("anna", "F", "American", "General", Voice("en-us+f1")),
    Speaker("ben", "M", "American", "General", Voice("en-us+m3", rate=165)),
    Speaker("clara", "F", "English", "Southern", Voice("en+linda", pitch=40, rate=160)),
    Speaker("david", "M", "English", "Southern", Voice("en-gb-x-rp+m7", pitch=60, pitch_range=60)),
    Speaker("erin", "F", "Caribbean", "Islands", Voice("en-029+aunty", rate=185)),
    Speaker("frank", "M", "American", "NewYork", Voice("en-us-nyc+m1", pitch=35, rate=180)),
    Speaker("grace", "F", "English", "Southern", Voice("en-gb-x-rp+belinda", pitch=60, pitch_range=65)),
    Speaker("henry", "M", "English", "Lancashire", Voice("en-gb-x-gbclan+m4", pitch=45, rate=160)),
    Speaker("iris", "F", "American", "General", Voice("en-us+Andrea", pitch=30, rate=185)),
    Speaker("jack", "M", "Caribbean", "Islands", Voice("en-029+m8", pitch_range=65)),
    Speaker("kate", "F", "English", "Birmingham", Voice("en-gb-x-gbcwmd+f1", pitch=70, rate=190)),
    Speaker("liam", "M", "American", "General", Voice("en-us+m5", pitch=70, rate=190)),
    Speaker("mary", "F", "American", "NewYork", Voice("en-us-nyc+grandma", pitch_range=35, rate=155)),
    Speaker("noah", "M", "English", "Southern", Voice("en+quincy", pitch_range=30, rate=170)),
    Speaker("olive", "F", "English", "Lancashire", Voice("en-gb-x-gbclan+steph", pitch=55)),
    Speaker("peter", "M", "English", "Birmingham", Voice("en-gb-x-gbcwmd+m6", pitch=25)),
    Speaker("ruth", "F", "English", "Southern", Voice("en+Annie", pitch=45, pitch_range=35)),
    Speaker("sam", "M", "American", "General", Voice("en-us+robert", pitch=85, pitch_range=60, rate=170)),
    Speaker("tess", "F", "Caribbean", "Islands", Voice("en-029+linda", pitch=75, rate=165)),
    Speaker("will", "M", "English", "Southern", Voice("en-gb-x-rp+victor", pitch=50, rate=195)),
)
"""The speakers of synthetic speech; a corpus of n speakers has the first n."""


# Of all of espeak's voices these four are heard to be clear and different after the little that a small net learns of
# them: slow ones of its formant synthesizer with little hiss.
DIGIT_SPEAKERS: tuple[Speaker, ...] = (
    Speaker("anna", "F", "American", "General", Voice("en-us+klatt4", pitch=99, rate=140)),
    Speaker("ben", "M", "American", "General", Voice("en-us+benjamin", pitch=20, rate=140)),
    Speaker("clara", "F", "American", "General", Voice("en-us+klatt4", pitch=15, rate=112), shift=1.25),
    Speaker("david", "M", "American", "General", Voice("en-us+klatt4", pitch=35, rate=140)),
)
"""The speakers of digits; a corpus of n speakers has the first n."""

READER = Speaker("reader", "M", "American", "General", Voice("en-us+klatt4", pitch=60, pitch_range=99, rate=140))
"""Who reads the sentences of LJSpeech's layout: the clearest voice of the digits, with all the melody that it can have,
84 to 151 Hz (5th to 95th percentile of F0, a deviation of three semitones)."""


def _american(speaker: Speaker) -> Speaker:
    """The speaker with an American accent."""
    assert isinstance(speaker.sound, Voice)
    variant = speaker.sound.voice.partition("+")[2]
    return replace(speaker, accent="American", region="General", sound=replace(speaker.sound, voice=f"en-us+{variant}"))


TIMIT_SPEAKERS = tuple(map(_american, SPEAKERS))
"""Those of TIMIT's layout, whose phones are those of American English; a corpus of n speakers has the first n."""

_HELD_OUT = {1: ("mjsw0", "faks0", "mreb0", "fdac1"), 2: ("felc0", "mdab0", "fpas0", "mwbt0")}
"""Of every five speakers of TIMIT's layout, the second and the third have names of whom the standard division validates
and tests on; so far as there are women and men among these, they are called as what they are."""

_DIGITS = "zero one two three four five six seven eight nine".split()
_SECONDS_A_DIGIT = 0.37
"""At the rate of those speakers."""
_EDGE = 0.05
"""Seconds of silence at either end of a clip, in the layouts of LJSpeech and TIMIT."""


def tone_speakers(count: int) -> tuple[Speaker, ...]:
    """Speakers that are heard as one tone each: at 100 Hz times the square root of a prime, from 141 Hz.

    Square roots of primes have no rational ratio, so no tone is a harmonic of another. The 20th has 843 Hz, the
    109th 2,447 Hz.
    """
    primes: list[int] = []
    candidate = 2
    while len(primes) < count:
        if all(candidate % prime for prime in primes):
            primes.append(candidate)
        candidate += 1
    frequencies = [100.0 * prime**0.5 for prime in primes]
    return tuple(Speaker(f"tone{i:03d}", "-", "Tone", f"{f:.1f}Hz", f) for i, f in enumerate(frequencies, 1))


class Clip(NamedTuple):
    """One recording: what is said, how it sounds, and when."""

    text: str
    samples: npt.NDArray[np.int16]
    """`[T]`."""
    phones: list[Phone]


def synthesize_vctk(
    out: Path,
    speakers: int = 4,
    clips: int = 10,
    source: Source = "speech",
    seed: int = 0,
    seconds: float = 3.0,
    overwrite: bool = False,
) -> Path:
    """Write a corpus in the layout of VCTK 0.92, with phone times in `phones/pXXX/pXXX_NNN.phn` besides.

    As in VCTK the first sentences, at most 24 and here at most a quarter, are read by all speakers, and the others by
    one. Microphone 2 is quieter and duller than microphone 1.

    Args:
        out: Folder that `VCTK-Corpus-0.92` is made in.
        speakers: How many, at most 20 with speech and 4 with digits.
        clips: Recordings a speaker.
        source: `speech` by espeak-ng, `digits` by four of its clearest voices, or `tones`.
        seed: Decides texts and levels.
        seconds: About how long a recording is (s).
        overwrite: Replace a corpus that was made here before.

    Returns:
        The corpus folder.

    Raises:
        RequestError: The corpus exists, an option is out of range, or espeak-ng is not installed.
    """
    people = _people(speakers, source)
    # p280 and p315 lack files in the real corpus, and readers know it.
    names = [f"p{number}" for number in range(225, 377) if number not in (280, 315)][:speakers]
    shared = min(24, clips // 4)
    texts = _texts(speakers, clips, shared, source, seconds, seed)
    with whole_corpus(Path(out) / "VCTK-Corpus-0.92", overwrite) as folder:
        rows = [
            f"{name}  30  {person.gender}    {person.accent}    {person.region}  \n"
            for name, person in zip(names, people, strict=True)
        ]
        (folder / "speaker-info.txt").write_text("".join(["ID  AGE  GENDER  ACCENTS  REGION COMMENTS \n", *rows]))

        def write(speaker: int, number: int, clip: Clip) -> None:
            name = names[speaker]
            audio, text, phones = (folder / part / name for part in ("wav48_silence_trimmed", "txt", "phones"))
            for part in (audio, text, phones):
                part.mkdir(parents=True, exist_ok=True)
            stem = f"{name}_{number:03d}"
            far = np.convolve(clip.samples, [0.25, 0.25])[: len(clip.samples)].astype(np.int16)
            for microphone, samples in (("mic1", clip.samples), ("mic2", far)):
                path = audio / f"{stem}_{microphone}.flac"
                with complete(path):
                    soundfile.write(path, samples, VCTK_SAMPLE_RATE, subtype="PCM_16")
            (text / f"{stem}.txt").write_text(clip.text + "\n")
            write_phones(phones / f"{stem}.phn", clip.phones)

        _make_all(people, texts, source, VCTK_SAMPLE_RATE, seed, seconds, write)
        _write_origin(folder, "vctk", speakers, clips, source, seed, seconds, VCTK_SAMPLE_RATE)
    return Path(out) / "VCTK-Corpus-0.92"


def synthesize_folder(
    out: Path,
    speakers: int = 4,
    clips: int = 10,
    source: Source = "speech",
    seed: int = 0,
    seconds: float = 3.0,
    sample_rate: int = FOLDER_SAMPLE_RATE,
    overwrite: bool = False,
) -> Path:
    """Write a folder of recordings, `SPEAKER/SPEAKER_NNN.wav` (16 bit), each with its `.txt` and `.phn` beside it.

    Args:
        out: The corpus folder.
        speakers: How many, at most 20 with speech and 4 with digits.
        clips: Recordings a speaker, no two with the same text where they are speech.
        source: `speech` by espeak-ng, `digits` by four of its clearest voices, or `tones`.
        seed: Decides texts and levels.
        seconds: About how long a recording is (s).
        sample_rate: Samples a second (Hz).
        overwrite: Replace a corpus that was made here before.

    Returns:
        The corpus folder.

    Raises:
        RequestError: The corpus exists, an option is out of range, or espeak-ng is not installed.
    """
    check_rate(sample_rate)
    people = _people(speakers, source)
    texts = _texts(speakers, clips, 0, source, seconds, seed)
    with whole_corpus(Path(out), overwrite) as folder:

        def write(speaker: int, number: int, clip: Clip) -> None:
            name = people[speaker].name
            path = folder / name / f"{name}_{number:03d}.wav"
            path.parent.mkdir(exist_ok=True)
            with complete(path):
                soundfile.write(path, clip.samples, sample_rate, subtype="PCM_16")
            path.with_suffix(".txt").write_text(clip.text + "\n")
            write_phones(path.with_suffix(".phn"), clip.phones)

        _make_all(people, texts, source, sample_rate, seed, seconds, write)
        _write_origin(folder, "folder", speakers, clips, source, seed, seconds, sample_rate)
    return Path(out)


def synthesize_ljspeech(
    out: Path,
    clips: int = 100,
    source: Source = "speech",
    seed: int = 0,
    seconds: float = 3.0,
    sample_rate: int = LJSPEECH_SAMPLE_RATE,
    overwrite: bool = False,
) -> Path:
    """Write a corpus in the layout of LJSpeech 1.1, with phone times in `phones/LJ001-NNNN.phn` besides.

    One voice reads, `READER` where it is sentences. Phones are ARPAbet, as the feature `Linguistic` reads them from
    `data.alignments`. Every clip begins and ends with 50 ms of silence.

    Args:
        out: Folder that `LJSpeech-1.1` is made in.
        clips: How many, at most 9,999.
        source: `speech` or `digits` by espeak-ng, or `tones`, whose one phone is no ARPAbet.
        seed: Decides texts and levels.
        seconds: About how long a recording is (s).
        sample_rate: Samples a second (Hz).
        overwrite: Replace a corpus that was made here before.

    Returns:
        The corpus folder.

    Raises:
        RequestError: The corpus exists, an option is out of range, or espeak-ng is not installed.
    """
    check_rate(sample_rate)
    people = (READER,) if source == "speech" else _people(1, source)
    texts = _texts(1, clips, 0, source, seconds, seed, most=9_999)
    rows: list[str] = []
    with whole_corpus(Path(out) / "LJSpeech-1.1", overwrite) as folder:
        audio, times = folder / "wavs", folder / "phones"
        audio.mkdir()
        times.mkdir()

        def write(_: int, number: int, clip: Clip) -> None:
            clip = _between_silences(clip, sample_rate)
            id = f"LJ001-{number:04d}"
            rows.append(f"{id}|{clip.text}|{clip.text}\n")
            with complete(audio / f"{id}.wav"):
                soundfile.write(audio / f"{id}.wav", clip.samples, sample_rate, subtype="PCM_16")
            write_phones(times / f"{id}.phn", in_arpabet(clip.phones))

        _make_all(people, texts, source, sample_rate, seed, seconds, write)
        (folder / "metadata.csv").write_text("".join(rows))
        _write_origin(folder, "ljspeech", 1, clips, source, seed, seconds, sample_rate)
    return Path(out) / "LJSpeech-1.1"


def synthesize_timit(
    out: Path, speakers: int = 5, clips: int = 10, seed: int = 0, seconds: float = 3.0, overwrite: bool = False
) -> Path:
    """Write sentences in the layout of TIMIT: `TRAIN/DR1/FANN0/SX3.WAV` (NIST SPHERE, 16 kHz), `.PHN` and `.TXT`.

    Of every five speakers three train, one validates and one tests in the standard division. As in TIMIT, all read SA1
    and SA2, which no split has; here all others are SX, read by one speaker each.

    Args:
        out: Folder that `TIMIT` is made in.
        speakers: How many, 3 to 20; with an American accent.
        clips: Recordings a speaker, 3 or more.
        seed: Decides texts and levels.
        seconds: About how long a recording is (s).
        overwrite: Replace a corpus that was made here before.

    Returns:
        The corpus folder.

    Raises:
        RequestError: The corpus exists, an option is out of range, or espeak-ng is not installed.
    """
    if not 3 <= speakers <= len(TIMIT_SPEAKERS):
        raise RequestError(f"a corpus in TIMIT's layout has 3 to {len(TIMIT_SPEAKERS)} speakers, not {speakers}")
    if clips < 3:
        raise RequestError(f"a speaker of TIMIT has 3 clips or more, of which SA1 and SA2 are in no split, not {clips}")
    people = TIMIT_SPEAKERS[:speakers]
    texts = _texts(speakers, clips, 2, "speech", seconds, seed)
    with whole_corpus(Path(out) / "TIMIT", overwrite) as folder:

        def write(speaker: int, number: int, clip: Clip) -> None:
            clip = _between_silences(clip, TIMIT_SAMPLE_RATE)
            fifth, place = divmod(speaker, 5)
            if place in _HELD_OUT:
                home = folder / "TEST" / "DR1" / _HELD_OUT[place][fifth].upper()
            else:
                person = people[speaker]
                home = folder / "TRAIN" / "DR1" / f"{person.gender}{person.name[:3]}0".upper()
            home.mkdir(parents=True, exist_ok=True)
            path = home / (f"SA{number}.WAV" if number <= 2 else f"SX{speaker * (clips - 2) + number}.WAV")
            with complete(path):
                soundfile.write(path, clip.samples, TIMIT_SAMPLE_RATE, subtype="PCM_16", format="NIST")
            path.with_suffix(".TXT").write_text(f"0 {len(clip.samples)} {clip.text}\n")
            write_phones(path.with_suffix(".PHN"), in_timit(clip.phones, clip.samples, TIMIT_SAMPLE_RATE))

        _make_all(people, texts, "speech", TIMIT_SAMPLE_RATE, seed, seconds, write)
        _write_origin(folder, "timit", speakers, clips, "speech", seed, seconds, TIMIT_SAMPLE_RATE)
    return Path(out) / "TIMIT"


def speech(speaker: Speaker, texts: list[str], sample_rate: int, seed: tuple[int, ...] = (0,)) -> Iterator[Clip]:
    """A speaker reads texts aloud.

    Args:
        speaker: One whose sound is a `Voice`.
        texts: What to read, in this order.
        sample_rate: Samples a second of the clips (Hz).
        seed: Decides the clips' levels.
    """
    assert isinstance(speaker.sound, Voice)
    with Espeak() as espeak:
        for number, text in enumerate(texts, 1):
            said = espeak.say(text, speaker.sound)
            rate = round(said.sample_rate * speaker.shift / 50) * 50  # Resampling by odd rates takes long.
            samples = resample(torch.tensor(said.samples).double(), rate, sample_rate).numpy()
            scale = sample_rate / rate
            phones = [Phone(p.label, round(p.start * scale), round(p.end * scale)) for p in said.phones]
            phones[-1] = phones[-1]._replace(end=len(samples))
            yield Clip(text, at_level(samples, np.random.default_rng((*seed, number))), phones)


def digits(speaker: Speaker, texts: list[str], sample_rate: int, seed: tuple[int, ...] = (0,)) -> Iterator[Clip]:
    """As `speech`, with hardly any silence at the ends of clips: in silence a small net loses its voice.

    Args:
        speaker: As in `speech`.
        texts: As in `speech`.
        sample_rate: As in `speech`.
        seed: As in `speech`.
    """
    for clip in speech(speaker, texts, sample_rate, seed):
        heard = np.flatnonzero(np.abs(clip.samples) > 0.002 * np.abs(clip.samples).max())
        first = max(0, int(heard[0]) - sample_rate // 70)
        samples = clip.samples[first : heard[-1] + sample_rate // 33]
        phones = [
            phone._replace(start=max(0, phone.start - first), end=min(len(samples), phone.end - first))
            for phone in clip.phones
        ]
        yield Clip(clip.text, samples, [phone for phone in phones if phone.start < phone.end])


def tones(
    speaker: Speaker, clips: int, sample_rate: int, seconds: float, seed: tuple[int, ...] = (0,)
) -> Iterator[Clip]:
    """Clips of a speaker's tone, each of another length (within 20 %), level and phase, with silence at both ends.

    Args:
        speaker: One whose sound is a frequency.
        clips: How many.
        sample_rate: Samples a second of the clips (Hz).
        seconds: Mean length of a clip (s).
        seed: Decides length, level and phase.
    """
    assert isinstance(speaker.sound, float)
    silence, ramp = round(0.05 * sample_rate), round(0.01 * sample_rate)
    for number in range(1, clips + 1):
        rng = np.random.default_rng((*seed, number))
        length = round(seconds * rng.uniform(0.8, 1.2) * sample_rate) - 2 * silence
        tone = np.sin(2 * np.pi * (speaker.sound * np.arange(length) / sample_rate + rng.random()))
        fade = np.sin(np.pi / 2 * (np.arange(ramp) + 0.5) / ramp) ** 2
        tone[:ramp] *= fade
        tone[-ramp:] *= fade[::-1]
        phones = [
            Phone(PAUSE, 0, silence),
            Phone("tone", silence, silence + length),
            Phone(PAUSE, silence + length, length + 2 * silence),
        ]
        text = f"Take {number} of a tone of {speaker.sound:.1f} hertz."
        yield Clip(text, at_level(np.pad(tone, silence), rng), phones)


def _between_silences(clip: Clip, sample_rate: int) -> Clip:
    """The clip with as much silence before its first phone as after its last."""
    edge = round(_EDGE * sample_rate)
    spoken = [phone for phone in clip.phones if phone.label != PAUSE]
    first, last = spoken[0].start - edge, spoken[-1].end + edge
    samples = np.pad(clip.samples, (max(0, -first), max(0, last - len(clip.samples))))
    samples = samples[max(0, first) :][: last - first]
    inside = [phone for phone in clip.phones if spoken[0].start <= phone.start < spoken[-1].end]
    phones = [phone._replace(start=phone.start - first, end=phone.end - first) for phone in inside]
    ends = Phone(PAUSE, 0, edge), Phone(PAUSE, len(samples) - edge, len(samples))
    return Clip(clip.text, samples, [ends[0], *phones, ends[1]])


def at_level(samples: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """PCM16 with a peak of -10 to -4 dBFS."""
    peak = 32768 * 10 ** (rng.uniform(-10, -4) / 20)
    return np.round(samples * (peak / np.abs(samples).max())).astype(np.int16)


def check_rate(sample_rate: int) -> None:
    """Refuses a sample rate (Hz) that no corpus has.

    Raises:
        RequestError: It is one of those.
    """
    if not 4_000 <= sample_rate <= 192_000:
        raise RequestError(f"a sample rate of {sample_rate} Hz is out of range; ask for 4000 to 192000 Hz")


def _people(count: int, source: Source) -> tuple[Speaker, ...]:
    known = {"speech": SPEAKERS, "digits": DIGIT_SPEAKERS}.get(source, ())
    most = len(known) or 109
    if not 1 <= count <= most:
        raise RequestError(f"a corpus of {source} has 1 to {most} speakers, not {count}")
    return known[:count] or tone_speakers(count)


def _texts(
    speakers: int, clips: int, shared: int, source: Source, seconds: float, seed: int, most: int = 999
) -> list[list[str]]:
    """What each speaker reads: first the shared texts, then the speaker's own. Tones have as many empty texts."""
    if not 1 <= clips <= most:
        raise RequestError(f"a speaker has 1 to {most:,} clips, not {clips}")
    if not 1 <= seconds <= 30:
        raise RequestError(f"clips are 1 to 30 seconds long, not {seconds:g}")
    if seed < 0:
        raise RequestError(f"a seed is 0 or more, not {seed}")
    if source == "tones":
        return [[""] * clips] * speakers
    own = clips - shared
    count = shared + speakers * own
    texts = sentences(count, seconds, seed) if source == "speech" else _digit_texts(count, seconds, seed)
    return [texts[:shared] + texts[shared + i * own : shared + (i + 1) * own] for i in range(speakers)]


def _digit_texts(count: int, seconds: float, seed: int) -> list[str]:
    """Digits in random order, as many as fit into a clip; texts may repeat."""
    rng = np.random.default_rng(seed)
    length = max(1, round(seconds / _SECONDS_A_DIGIT))
    return [" ".join(_DIGITS[digit] for digit in rng.integers(0, 10, length)) for _ in range(count)]


def _make_all(
    people: tuple[Speaker, ...],
    texts: list[list[str]],
    source: Source,
    sample_rate: int,
    seed: int,
    seconds: float,
    write: Callable[[int, int, Clip], None],
) -> None:
    """Make every clip and hand it to `write` with the speaker's index and the clip's number from 1.

    Speakers are made side by side, in threads: espeak is another process, and resampling and FLAC free the lock.
    """
    columns = (TextColumn("synthesizing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=sum(map(len, texts)))

        def make(index: int) -> None:
            speaker, lines = people[index], texts[index]
            if source == "tones":
                made = tones(speaker, len(lines), sample_rate, seconds, (seed, index))
            else:
                made = (digits if source == "digits" else speech)(speaker, lines, sample_rate, (seed, index))
            for number, clip in enumerate(made, 1):
                write(index, number, clip)
                progress.advance(bar)

        with ThreadPoolExecutor(min(len(people), os.cpu_count() or 1)) as threads:
            futures = [threads.submit(make, index) for index in range(len(people))]
            try:
                for future in futures:
                    future.result()
            finally:
                threads.shutdown(cancel_futures=True)


@contextmanager
def whole_corpus(target: Path, overwrite: bool) -> Iterator[Path]:
    """A new folder that takes its place as `target` when all went well, and vanishes otherwise.

    Raises:
        RequestError: There is something that must not be replaced.
    """
    need_folder(target)
    refuse_existing([target], overwrite)
    if target.exists() and any(target.iterdir()) and not (target / MADE_BY).is_file():
        raise RequestError(f"{target} is not a synthetic corpus (it has no {MADE_BY}), so it is not overwritten")
    part, old = (target.with_name(f".{target.name}.{os.getpid()}.{end}") for end in ("part", "old"))
    part.mkdir(parents=True)
    try:
        yield part
        if target.exists():
            target.rename(old)
        part.rename(target)
    except BaseException:
        shutil.rmtree(part)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_origin(
    folder: Path, layout: str, speakers: int, clips: int, source: Source, seed: int, seconds: float, sample_rate: int
) -> None:
    origin = {
        "made by": "wavenet data synthesize",
        "layout": layout,
        "speakers": speakers,
        "clips": clips,
        "source": source,
        "seed": seed,
        "seconds": seconds,
        "sample_rate": sample_rate,
    }
    (folder / MADE_BY).write_text(json.dumps(origin, indent=2) + "\n")
