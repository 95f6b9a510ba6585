"""Small corpora whose every sample says where it comes from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from datamodules import Audio, AudioFolderDataModule, Crops, Split
from lightning_wavenet.data.batch import Request

RATE = 8000


def ramps(lengths: Sequence[int]) -> list[NDArray[np.int16]]:
    """Clips that count on from one to the next, from 1, so that no two samples of the corpus are equal."""
    ends = np.cumsum(lengths)
    assert ends[-1] < 2**15
    return [np.arange(end - length + 1, end + 1, dtype=np.int16) for end, length in zip(ends, lengths, strict=True)]


def write_clips(root: Path, clips: Sequence[NDArray[np.int16]], name: str = "clip_{:03d}.wav") -> None:
    """Write clips as 16-bit files."""
    root.mkdir(parents=True, exist_ok=True)
    for index, clip in enumerate(clips):
        sf.write(root / name.format(index), clip, RATE, subtype="PCM_16")


def opened(
    root: Path,
    crops: Crops,
    split: Split | None = None,
    pattern: str | None = None,
    request: Request | None = None,
    **options: Any,
) -> AudioFolderDataModule:
    """A folder as a DataModule after setup, with its cache beside it; all of it to train on unless said otherwise.

    Batches have audio alone unless a request says otherwise.
    """
    split = split or Split(validation=0, test=0)
    audio = Audio(RATE, cache_dir=root.parent / "cache")
    data = AudioFolderDataModule(root, pattern, audio=audio, split=split, crops=crops, **options)
    data.prepare_data()
    data.setup()
    data.connect(request or Request())
    return data


def values(waveform: object) -> NDArray[np.int64]:
    """The PCM16 values of a waveform, exactly."""
    scaled = np.asarray(waveform, np.float64) * 2**15
    assert (scaled == np.round(scaled)).all()
    return scaled.astype(np.int64)
