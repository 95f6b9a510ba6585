"""A study as a folder: blinded clips of one loudness, who is given which, the page, and the key to them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from lightning_wavenet import __version__
from lightning_wavenet.backbone.distributions import MuLawSoftmax
from lightning_wavenet.errors import RequestError
from lightning_wavenet.files.reading import FULL_SCALE, DecodingError, read_mono, to_pcm, to_rate
from lightning_wavenet.listening import levels, tools
from lightning_wavenet.listening.assignment import BAD, POOR, Form, Stimulus, assign
from lightning_wavenet.listening.levels import Waveform
from lightning_wavenet.listening.study import MULAW, RECORDED, Sources

Q_DB = {BAD: 0.0, POOR: 15.0}
"""Of the speech in noise."""
_ID_BYTES = 6
_PAGE = Path(__file__).parent / "page"


@dataclass(frozen=True)
class Leveled:
    """A stimulus, measured.

    Attributes:
        stimulus: Which.
        source: The file it is made of.
        samples: How many it has.
        loudness: Before any gain (LUFS).
        peak: Before any gain (dBFS).
    """

    stimulus: Stimulus
    source: Path
    samples: int
    loudness: float
    peak: float


class Exporter:
    """Measures and writes the stimuli of a study.

    Args:
        sources: Whose clips are all there.
    """

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        study = self.study = sources.study
        self.rate = self._common_rate()
        self.forms = assign(study.kind, list(study.systems), sources.sentences, study.design, study.seed, study.clean)
        self.stimuli = sorted({stimulus for form in self.forms for trial in form for stimulus in trial.heard})

    def _common_rate(self) -> int:
        """That of all clips but the recordings, which are brought to it (Hz)."""
        rates: dict[int, Path] = {}
        systems = [name for name in self.study.systems if name not in RECORDED] or list(self.study.systems)
        for name in systems:
            for sentence in self.sources.sentences:
                path = self.sources.path(Stimulus(name, sentence))
                try:
                    rates.setdefault(soundfile.info(path).samplerate, path)
                except (soundfile.LibsndfileError, OSError) as error:
                    raise RequestError(f"{path} cannot be read: {error}") from error
        if len(rates) > 1:
            (one, first), (other, second) = list(rates.items())[:2]
            raise RequestError(
                f"{first} has {one} Hz and {second} {other}: a listening test compares clips of one rate"
            )
        return next(iter(rates))

    def read(self, stimulus: Stimulus) -> Waveform:
        """The audio of a stimulus before any gain, float64 `[T]`.

        Raises:
            RequestError: It cannot be read, is silent or clipped.
        """
        noisy = stimulus.system in Q_DB
        path = self.sources.path(Stimulus(self.study.clean, stimulus.sentence) if noisy else stimulus)
        try:
            pcm = to_pcm(to_rate(*read_mono(path), self.rate))
        except DecodingError as error:
            raise RequestError(f"{path} cannot be used: {error}") from error
        waveform = pcm / FULL_SCALE
        if levels.peak(waveform) < levels.SILENT_DBFS:
            raise RequestError(f"{path} is silent: leave out {stimulus.sentence}, or mend it")
        if levels.clipped(pcm):
            raise RequestError(f"{path} is clipped: leave out {stimulus.sentence}, or mend it")
        if stimulus.system == MULAW:
            waveform = _mulaw(waveform)
        if noisy:
            seed = int.from_bytes(hashlib.sha256(f"{self.study.seed} {stimulus}".encode()).digest()[:4], "big")
            waveform = levels.in_noise(waveform, Q_DB[stimulus.system], seed)
        return waveform

    def measured(self) -> Iterable[Leveled]:
        """Every stimulus, one after another, measured with the silence around it, as a listener gets it."""
        for _, group in groupby(sorted(self.stimuli, key=lambda one: one.sentence), lambda one: one.sentence):
            waveforms = {stimulus: self.read(stimulus) for stimulus in group}
            longest = max(map(len, waveforms.values()))
            for stimulus, waveform in waveforms.items():
                clean = Stimulus(self.study.clean, stimulus.sentence)
                source = self.sources.path(clean if stimulus.system in Q_DB else stimulus)
                meter = levels.loudness(waveform, self.rate, self._padded(waveform, longest))
                yield Leveled(stimulus, source, len(waveform), meter, levels.peak(waveform))

    def _padded(self, waveform: Waveform, longest: int) -> Waveform:
        """With the silence before and after it, as long as the longest of its sentence."""
        edge = round(self.study.edge_seconds * self.rate)
        padded = np.zeros(longest + 2 * edge)
        padded[edge : edge + len(waveform)] = waveform
        return padded

    def write(self, measured: Sequence[Leveled], folder: Path) -> Iterable[Path]:
        """Writes the study, wav by wav.

        Args:
            measured: All stimuli.
            folder: An empty one.

        Yields:
            Each wav.
        """
        study = self.study
        target = self.target(measured)
        longest: dict[str, int] = {}
        for one in measured:
            sentence = one.stimulus.sentence
            longest[sentence] = max(longest.get(sentence, 0), one.samples)
        names = self._names()
        audio = folder / "public" / "audio"
        audio.mkdir(parents=True)
        (folder / "private").mkdir(exist_ok=True)
        rows = []
        for one in measured:
            gain = target - one.loudness
            samples = self._padded(self.read(one.stimulus), longest[one.stimulus.sentence]) * 10 ** (gain / 20)
            pcm = to_pcm(samples.astype(np.float32))
            path = audio / f"{names[one.stimulus]}.wav"
            soundfile.write(path, pcm, self.rate, subtype="PCM_16")
            rows.append(self._row(one, names[one.stimulus], gain, path))
            yield path
        manifest = _csv(rows)
        _write(folder / "private" / "manifest.csv", manifest)
        _write(folder / "private" / "trials.csv", _csv(_trials(self.forms, names)))
        id = hashlib.sha256(f"{manifest}{json.dumps(self._options(), sort_keys=True)}".encode()).hexdigest()[:12]
        public = {
            "study": id,
            "kind": study.kind,
            "title": study.title,
            "language": study.language,
            "post": study.post,
            "forms": [_shown(form, names) for form in self.forms],
        }
        # A script, because a page that is opened as a file can fetch none.
        _write(folder / "public" / "study.js", f"window.STUDY = {_in_script(public)};\n")
        for name in ("index.html", "page.js", "style.css"):
            shutil.copyfile(_PAGE / name, folder / "public" / name)
        self._write_tools(folder / "private", names, id)
        files = [{"id": names[stimulus], "file": f"audio/{names[stimulus]}.wav"} for stimulus in self.stimuli]
        _write(folder / "public" / "stimuli.csv", _csv(sorted(files, key=lambda row: row["id"])))
        private = {
            "study": id,
            "version": __version__,
            "sample_rate_hz": self.rate,
            "loudness_lufs": round(target, 3),
            "sentences": self.sources.sentences,
            "listeners": len(self.forms),
            "options": self._options(),
        }
        _write(folder / "study.json", json.dumps(private, indent=2) + "\n")

    def _write_tools(self, folder: Path, names: Mapping[Stimulus, str], id: str) -> None:
        """What other tools read."""
        study, url = self.study, f"{self.study.url.rstrip('/')}/" if self.study.url else ""
        for name, rows in tools.p808(self.forms, names, url).items():
            _write(folder / "p808" / f"{name}.csv", _csv(rows))
        for number, form in enumerate(self.forms):
            config = tools.webmushra(form, number, names, study.kind, id, study.title)
            _write(folder / "webmushra" / f"form_{number:04d}.yaml", config)
        _write(folder / "links.csv", _csv(tools.links(self.forms, url)))

    def target(self, measured: Sequence[Leveled]) -> float:
        """The loudness of all clips (LUFS): as loud as was asked for, or as the clip with the highest peak allows."""
        return min(self.study.loudness, *(levels.PEAK_DBFS - one.peak + one.loudness for one in measured))

    def _names(self) -> dict[Stimulus, str]:
        draws = np.random.default_rng([self.study.seed, 2])
        ids: list[str] = []
        while len(ids) < len(self.stimuli):
            if (id := draws.bytes(_ID_BYTES).hex()) not in ids:
                ids.append(id)
        return dict(zip(self.stimuli, ids, strict=True))

    def _row(self, one: Leveled, id: str, gain: float, path: Path) -> dict[str, Any]:
        system = self.study.systems.get(one.stimulus.system)
        return {
            "id": id,
            "system": one.stimulus.system,
            "sentence": one.stimulus.sentence,
            "text": self.sources.texts.get(one.stimulus.sentence, ""),
            "seconds": round(one.samples / self.rate, 4),
            "loudness_before_lufs": round(one.loudness, 3),
            "gain_db": round(gain, 4),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "source": str(one.source),
            "checkpoint": "" if system is None or system.checkpoint is None else str(system.checkpoint),
            "seed": self.study.seed,
        }

    def _options(self) -> Mapping[str, Any]:
        """All options, in plain values."""
        options: Mapping[str, Any] = json.loads(json.dumps(asdict(self.study), default=str))
        return options


def _mulaw(waveform: Waveform) -> Waveform:
    """After 8 bits of mu-law (section 2.2)."""
    codec = MuLawSoftmax()
    return codec.decode(codec.encode(torch.from_numpy(waveform).float())).double().numpy()


def _in_script(value: Any) -> str:
    """JSON that no HTML parser takes for the end of a script."""
    return json.dumps(value).replace("<", "\\u003c")


def _shown(form: Form, names: Mapping[Stimulus, str]) -> list[list[Any]]:
    """What the page is told of a form: whether each trial is an example, and what is heard in it."""
    return [[int(trial.role == "calibration"), *(names[stimulus] for stimulus in trial.heard)] for trial in form]


def _trials(forms: Sequence[Form], names: Mapping[Stimulus, str]) -> list[dict[str, Any]]:
    return [
        {
            "form": number,
            "trial": place,
            "role": trial.role,
            "first": names[trial.heard[0]],
            "second": names[trial.heard[1]] if len(trial.heard) > 1 else "",
            "expected": " ".join(trial.expected),
            "original": "" if trial.original is None else trial.original,
        }
        for number, form in enumerate(forms)
        for place, trial in enumerate(form)
    ]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
