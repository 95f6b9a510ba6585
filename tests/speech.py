"""A corpus whose recordings, phones and texts a test says itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from recordings import RATE

from datamodules import Audio, AudioDataModule, Crops, Listing, Phone, Record, Split
from lightning_wavenet.data.batch import Request


@dataclass(frozen=True)
class Utterance:
    """A recording of `samples` samples, which count on from 1."""

    samples: int
    phones: Sequence[Phone] = ()
    text: str = ""
    speaker: str = ""
    split: str | None = None


class Speech(AudioDataModule):
    """Utterances u00, u01, ..., after setup and connect."""

    name = "speech"

    def __init__(
        self,
        root: Path,
        utterances: Sequence[Utterance],
        crops: Crops,
        split: Split | None = None,
        request: Request | None = None,
        **options: Any,
    ) -> None:
        audio = Audio(RATE, cache_dir=root / "cache")
        super().__init__(audio, split or Split(validation=0, test=0), crops, **options)
        self.root = root
        self.utterances = utterances
        for index, utterance in enumerate(utterances):
            ramp = np.arange(1, utterance.samples + 1, dtype=np.int16)
            sf.write(root / f"u{index:02d}.wav", ramp, RATE, subtype="PCM_16")
        self.setup()
        self.connect(request or Request())

    def listing(self) -> Listing:
        return Listing(
            self.root,
            tuple(
                Record(
                    f"u{index:02d}",
                    self.root / f"u{index:02d}.wav",
                    one.split,
                    one.speaker,
                    one.text,
                    phones=tuple(one.phones),
                )
                for index, one in enumerate(self.utterances)
            ),
        )
