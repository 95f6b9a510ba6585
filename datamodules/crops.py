"""What is cut out of clips: crops to train on, windows to evaluate on, whole clips to listen to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.augmentation import Augmentation
from datamodules.cache import Clips
from datamodules.decoding import FULL_SCALE
from datamodules.records import Phone
from datamodules.transcripts import UNKNOWN, Transcript, frame_labels, transcript
from lightning_wavenet.batch import Batch
from lightning_wavenet.errors import RequestError
from lightning_wavenet.vocabulary import Vocabulary

Alter = Callable[[NDArray[np.float32], list[Phone]], tuple[NDArray[np.float32], list[Phone]]]
"""Makes another waveform `[T']` and other phones out of a clip's."""


@dataclass(frozen=True)
class Crops:
    """What is cut out of the clips, and how it is put into batches."""

    samples: int | None = 8_000
    """Samples in a training crop that count in the loss; the model's receptive field comes in front of them. Null:
    whole clips, in evaluation too."""
    batch_size: int = 8
    """Crops, or whole clips, in a batch, on each device."""
    workers: int = 0
    """Processes that load batches, on each device; 0 loads in the training process. Crops do not depend on it."""
    seed: int = 0
    """Another seed draws other crops in another order."""
    evaluation_samples: int | None = None
    """Samples in a window that is validated or tested on; null: as many as in a crop."""
    evaluation_windows: int | None = None
    """Use only this many windows (or whole clips) of the validation and of the test split, spread evenly; null: every
    sample."""
    prompts: int = 8
    """Clips of the test split that `predict` yields, a batch each."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """How whole clips are altered in training."""

    def __post_init__(self) -> None:
        for name in ("samples", "batch_size", "evaluation_samples", "evaluation_windows", "prompts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RequestError(f"crops.{name} is {value}, but must be at least 1")
        for name in ("workers", "seed"):
            if getattr(self, name) < 0:
                raise RequestError(f"crops.{name} is {getattr(self, name)}, but must not be negative")
        if self.samples is None and self.evaluation_samples is not None:
            raise RequestError("crops.samples is null for whole clips: leave crops.evaluation_samples null as well")
        if self.samples is not None and self.augmentation:
            raise RequestError("crops.augmentation is for whole clips: set crops.samples to null")


class Excerpt(NamedTuple):
    """A stretch of one clip: an element of a `Batch`, T samples long."""

    waveform: NDArray[np.float32]
    target_mask: NDArray[np.bool_]
    id: str
    speaker: int | None
    label: int | None
    tags: NDArray[np.float32] | None
    text: str | None
    phones: NDArray[np.int64] | None = None
    transcript: Transcript | None = None


@dataclass
class Scissors:
    """Cuts excerpts out of the clips of one split, and labels them.

    Attributes:
        clips: The clips of the whole corpus.
        chosen: Those of the split, as indices into `clips`.
        vocabulary: Names behind the labels.
        context: Samples that come in front of each excerpt and do not count in the loss.
        frame: Samples a phone label, for whole clips; None labels no phones.
    """

    clips: Clips
    chosen: NDArray[np.int64]
    vocabulary: Vocabulary
    context: int
    frame: int | None = None

    def __post_init__(self) -> None:
        self.lengths = self.clips.frames[self.chosen]
        self._speakers = {name: index for index, name in enumerate(self.vocabulary.speakers)}
        self._labels = {name: index for index, name in enumerate(self.vocabulary.labels)}
        self._has_text = any(self.clips.texts)

    def cut(self, position: int, start: int, samples: int) -> Excerpt:
        """Cut `context + samples` samples out of clip `chosen[position]`, with the targets beginning at `start`.

        What lies before the clip or after it is silence. The mask is True on samples `start` to
        `start + samples - 1` of the clip, as far as there are any.
        """
        clip = int(self.chosen[position])
        first = max(0, start - self.context)
        pcm = self.clips.read(clip, first, start + samples)
        at = self.context - (start - first)
        waveform = np.zeros(self.context + samples, np.float32)
        waveform[at : at + len(pcm)] = pcm.astype(np.float32) / FULL_SCALE
        target_mask = np.zeros(len(waveform), np.bool_)
        target_mask[self.context : at + len(pcm)] = True
        return self._excerpt(clip, waveform, target_mask)

    def whole(self, position: int, alter: Alter | None = None) -> Excerpt:
        """All of clip `chosen[position]` behind `context` samples of silence, with its phones."""
        clip = int(self.chosen[position])
        pcm = self.clips.read(clip, 0, int(self.clips.frames[clip]))
        waveform: NDArray[np.float32] = pcm.astype(np.float32) / np.float32(FULL_SCALE)
        phones = self.clips.phones[clip]
        if alter is not None:
            waveform, phones = alter(waveform, phones)
        target_mask = np.ones(len(waveform), np.bool_)
        silence = self.context, 0
        excerpt = self._excerpt(clip, np.pad(waveform, silence), np.pad(target_mask, silence))
        if self.frame is None:
            return excerpt
        names = self.vocabulary.phones
        frames = len(excerpt.waveform) // self.frame
        placed = [Phone(label, start + self.context, end + self.context) for label, start, end in phones]
        return excerpt._replace(
            phones=frame_labels(placed, names, frames, self.frame),
            transcript=transcript(phones, self.clips.texts[clip], names),
        )

    def _excerpt(self, clip: int, waveform: NDArray[np.float32], target_mask: NDArray[np.bool_]) -> Excerpt:
        holding = set(self.clips.tags[clip])
        tags = [name in holding for name in self.vocabulary.tags]
        return Excerpt(
            waveform,
            target_mask,
            self.clips.ids[clip],
            self._speakers[self.clips.speakers[clip]] if self._speakers else None,
            self._labels.get(self.clips.labels[clip], -1) if self._labels else None,
            np.array(tags, np.float32) if tags else None,
            self.clips.texts[clip] if self._has_text else None,
        )


class TrainingCrops(Dataset[Excerpt]):
    """Random crops that visit every stretch of the split once an epoch, clips in proportion to their length.

    Crop `index` of `epoch` is a function of (seed, epoch, index) alone. Crop i of M is centred on a uniform draw from
    the i-th of M equal parts of all clips laid end to end, and then moved inside the clip that its centre is in. Only
    clips shorter than a crop are padded.
    """

    def __init__(self, scissors: Scissors, samples: int, seed: int) -> None:
        self.scissors = scissors
        self.samples = samples
        self.seed = seed
        self._ends = np.cumsum(scissors.lengths)

    def __len__(self) -> int:
        return math.ceil(int(self._ends[-1]) / self.samples)

    def __getitem__(self, key: tuple[int, int] | int) -> Excerpt:
        """Crop `(epoch, index)`; a bare index, which Lightning's `overfit_batches` asks for, is one of epoch 0."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        draw = np.random.default_rng((self.seed, epoch, index)).random()
        total = int(self._ends[-1])
        centre = min(int((index + draw) * total / len(self)), total - 1)
        position = int(np.searchsorted(self._ends, centre, side="right"))
        length = int(self.scissors.lengths[position])
        in_clip = centre - (int(self._ends[position]) - length)
        start = min(max(0, in_clip - self.samples // 2), max(0, length - self.samples))
        return self.scissors.cut(position, start, self.samples)


class EvaluationWindows(Dataset[Excerpt]):
    """Consecutive windows that hold every sample of every clip of the split once, in order.

    Args:
        scissors: Cuts them.
        samples: Length of a window; the last of a clip is padded.
        limit: Take only so many windows, spread evenly over the split; None takes all.
    """

    def __init__(self, scissors: Scissors, samples: int, limit: int | None = None) -> None:
        self.scissors = scissors
        self.samples = samples
        self._ends = np.cumsum(-(-scissors.lengths // samples))
        total = int(self._ends[-1]) if len(self._ends) else 0
        self._windows = _spread(total, limit)

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> Excerpt:
        window = int(self._windows[index])
        position = int(np.searchsorted(self._ends, window, side="right"))
        before = int(self._ends[position - 1]) if position else 0
        return self.scissors.cut(position, (window - before) * self.samples, self.samples)


class WholeClips(Dataset[Excerpt]):
    """The clips of a split, each once an epoch.

    Clip `index` of `epoch` is altered as (seed, epoch, index) alone decide.

    Args:
        scissors: Cuts them.
        limit: Take only so many clips, spread evenly over the split; None takes all.
        augmentation: How clips are altered; None leaves them as they are.
        seed: Decides how.
    """

    def __init__(
        self, scissors: Scissors, limit: int | None = None, augmentation: Augmentation | None = None, seed: int = 0
    ) -> None:
        self.scissors = scissors
        self.augmentation = augmentation
        self.seed = seed
        self._positions = _spread(len(scissors.chosen), limit)

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, key: tuple[int, int] | int) -> Excerpt:
        """Clip `(epoch, index)`; a bare index is one of epoch 0."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        alter: Alter | None = None
        if self.augmentation:
            rng = np.random.default_rng((self.seed, epoch, index))
            rate = self.scissors.vocabulary.sample_rate
            alter = partial(self.augmentation.alter, sample_rate=rate, rng=rng)
        return self.scissors.whole(int(self._positions[index]), alter)


class Prompts(Dataset[Excerpt]):
    """The beginnings of the clips of a split, with nothing in front of them.

    Args:
        scissors: Cuts them.
        samples: Cut longer clips to this length; None leaves them whole.
    """

    def __init__(self, scissors: Scissors, samples: int | None = None) -> None:
        self.scissors = scissors
        self.samples = samples

    def __len__(self) -> int:
        return len(self.scissors.chosen)

    def __getitem__(self, index: int) -> Excerpt:
        length = int(self.scissors.lengths[index])
        return self.scissors.cut(index, 0, length if self.samples is None else min(length, self.samples))


def _spread(total: int, limit: int | None) -> NDArray[np.int64]:
    """At most `limit` of `total` indices, spread evenly."""
    taken = total if limit is None else min(limit, total)
    return (2 * np.arange(taken) + 1) * total // (2 * taken) if taken else np.arange(0)


def collate(excerpts: Sequence[Excerpt]) -> Batch:
    """A batch of excerpts; the shorter ones end in silence that does not count in the loss."""
    longest = max(len(excerpt.waveform) for excerpt in excerpts)
    # In numpy, because torch would set its threads to work on a few kilobytes.
    waveform = np.zeros((len(excerpts), longest), np.float32)
    target_mask = np.zeros((len(excerpts), longest), np.bool_)
    for row, excerpt in enumerate(excerpts):
        waveform[row, : len(excerpt.waveform)] = excerpt.waveform
        target_mask[row, : len(excerpt.waveform)] = excerpt.target_mask
    speakers = [excerpt.speaker for excerpt in excerpts if excerpt.speaker is not None]
    labels = [excerpt.label for excerpt in excerpts if excerpt.label is not None]
    tags = [excerpt.tags for excerpt in excerpts if excerpt.tags is not None]
    texts = [excerpt.text for excerpt in excerpts if excerpt.text is not None]
    phones = [excerpt.phones for excerpt in excerpts if excerpt.phones is not None]
    said = [excerpt.transcript for excerpt in excerpts if excerpt.transcript is not None]
    return Batch(
        waveform=torch.from_numpy(waveform),
        target_mask=torch.from_numpy(target_mask),
        ids=[excerpt.id for excerpt in excerpts],
        speaker=torch.tensor(speakers) if speakers else None,
        label=torch.tensor(labels) if labels else None,
        tags=torch.from_numpy(np.stack(tags)) if tags else None,
        text=texts or None,
        phones=_padded(phones, UNKNOWN) if phones else None,
        transcript=_padded([transcript.phones for transcript in said], UNKNOWN) if said else None,
        optional=_padded([transcript.optional for transcript in said], False) if said else None,
    )


def _padded(rows: Sequence[NDArray[Any]], padding: int) -> Tensor:
    """Rows of several lengths as one tensor, `[rows, longest]`."""
    padded = np.full((len(rows), max(map(len, rows))), padding, rows[0].dtype)
    for row, values in enumerate(rows):
        padded[row, : len(values)] = values
    return torch.from_numpy(padded)
