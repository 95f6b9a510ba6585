"""Stand-ins for TIMIT in its layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile as sf

from datamodules.timit import _CORE_TEST, _DEVELOPMENT

RATE = 16_000
NOT_USED = [f"mzz{letter}0" for letter in "abc"]
"""In the test set, but neither of the development nor of the core test speakers."""


def write_utterance(folder: Path, stem: str, upper: bool, audio: bool) -> None:
    name = stem.upper() if upper else stem
    wav, phn, txt = (f"{name}.{ending.upper() if upper else ending}" for ending in ("wav", "phn", "txt"))
    if audio:
        wave = (8_000 * np.sin(np.arange(2_000) / 9)).astype(np.int16)
        sf.write(folder / wav, wave, RATE, format="NIST", subtype="PCM_16")
    else:
        (folder / wav).touch()
    (folder / phn).write_text("0 500 h#\n500 900 q\n900 1200 bcl\n1200 1300 b\n1300 1800 ao\n1800 2000 h#\n")
    (folder / txt).write_text("0 2000 Bore, said she.\n")


def write_timit(root: Path, upper: bool = True, speakers: int = 462, audio: bool = False) -> Path:
    """Every speaker with SA1, SA2 and eight other sentences; empty files for recordings unless asked for."""
    train = [f"{'fm'[n % 2]}{chr(97 + n // 100)}{chr(97 + n // 10 % 10)}x{n % 10}" for n in range(speakers)]
    case = str.upper if upper else str.lower
    for part, names in (("train", train), ("test", [*sorted(_DEVELOPMENT), *sorted(_CORE_TEST), *NOT_USED])):
        for number, name in enumerate(names):
            folder = root / case("timit") / case(part) / case(f"dr{number % 8 + 1}") / case(name)
            folder.mkdir(parents=True)
            for stem in ("sa1", "sa2", "si10", "si20", "si30", "sx1", "sx2", "sx3", "sx4", "sx5"):
                write_utterance(folder, stem, upper, audio)
    return root


def write_timit_sample(root: Path, speakers: tuple[str, ...]) -> Path:
    """As NLTK publishes it: every speaker with SA1 and three other sentences."""
    for name in speakers:
        (root / f"dr1-{name}").mkdir(parents=True)
        for stem in ("sa1", "sx1", "sx2", "si3"):
            write_utterance(root / f"dr1-{name}", stem, upper=False, audio=True)
    return root
