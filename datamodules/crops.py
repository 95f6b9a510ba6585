"""What is cut out of clips: crops to train on, windows to evaluate on, whole clips to listen to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from datamodules.augmentation import Augmentation
from datamodules.clips import Clips
from datamodules.fields import Field, Window
from lightning_wavenet.data.batch import Batch, Request
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.text.phones import Phone

Alter = Callable[[NDArray[np.float32], list[Phone]], tuple[NDArray[np.float32], list[Phone]]]
"""Makes another waveform `[T']` and other phones out of a clip's."""


@dataclass(frozen=True)
class Crops:
    """What is cut out of the clips."""

    samples: int | None = 8_000
    """Samples in a training crop that count in the loss; the model's history comes in front of them. Null: whole clips,
    in evaluation too. A task that needs whole clips has them whatever this is."""
    seed: int = 0
    """Another seed draws other crops in another order."""
    evaluation_samples: int | None = None
    """Samples in a window that is validated or tested on; null: as many as in a crop."""
    validation_windows: int | None = None
    """Validate on this many windows (or whole clips) only, spread evenly over the split; null: on every sample. Tests
    are always on every sample."""
    prompts: int = 8
    """Clips of the test split that `predict` yields."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """How whole clips are altered in training."""

    def __post_init__(self) -> None:
        for name in ("samples", "evaluation_samples", "validation_windows", "prompts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RequestError(f"crops.{name} is {value}, but must be at least 1")
        if self.seed < 0:
            raise RequestError(f"crops.seed is {self.seed}, but must not be negative")
        if self.samples is None and self.evaluation_samples is not None:
            raise RequestError("crops.samples is null for whole clips: leave crops.evaluation_samples null as well")


class Excerpt(NamedTuple):
    """A stretch of one clip: an element of a `Batch`, T samples long."""

    waveform: NDArray[np.float32] | None
    target_mask: NDArray[np.bool_]
    id: str
    fields: Mapping[str, Any]
    """What `Field.cut` gave, by name."""


@dataclass
class Slicer:
    """Cuts excerpts out of the clips of one split, as a task asked for them.

    Attributes:
        clips: The clips of the whole corpus.
        chosen: Those of the split, as indices into `clips`.
        vocabulary: Names behind the fields.
        request: What an excerpt has, and how much of it comes in front of what counts in the loss.
    """

    clips: Clips
    chosen: NDArray[np.int64]
    vocabulary: Vocabulary
    request: Request

    def __post_init__(self) -> None:
        self.lengths = self.clips.lengths[self.chosen]

    @property
    def fields(self) -> list[Field]:
        """The fields that were asked for."""
        return [self.clips.fields[name] for name in sorted(self.request.fields)]

    def cut(self, position: int, start: int, samples: int) -> Excerpt:
        """Cut `history + samples` samples out of clip `chosen[position]`, with the targets beginning at `start`.

        What lies before the clip or after it is silence. The mask is True on samples `start` to
        `start + samples - 1` of the clip, as far as there are any.
        """
        clip, history = int(self.chosen[position]), self.request.history
        begin, stop = start - history, start + samples
        first, last = max(0, begin), min(stop, int(self.clips.lengths[clip]))
        waveform = None
        if self.request.waveform:
            waveform = np.zeros(history + samples, np.float32)
            waveform[first - begin : last - begin] = self.clips.waveform(clip, first, last)
        target_mask = np.zeros(history + samples, np.bool_)
        target_mask[history : last - begin] = True
        return self._excerpt(clip, waveform, target_mask, begin, stop)

    def whole(self, position: int, alter: Alter | None = None) -> Excerpt:
        """All of clip `chosen[position]` behind `history` samples of silence."""
        clip, history = int(self.chosen[position]), self.request.history
        changed: dict[str, Any] = {}
        length = int(self.clips.lengths[clip])
        waveform = None
        if self.request.waveform:
            waveform = self.clips.waveform(clip)
            if alter is not None:
                waveform, changed["phones"] = alter(waveform, self.clips.value("phones", clip))
            length = len(waveform)
            waveform = np.pad(waveform, (history, 0))
        target_mask = np.pad(np.ones(length, np.bool_), (history, 0))
        return self._excerpt(clip, waveform, target_mask, -history, length, changed)

    def _excerpt(
        self,
        clip: int,
        waveform: NDArray[np.float32] | None,
        target_mask: NDArray[np.bool_],
        start: int,
        stop: int,
        changed: Mapping[str, Any] | None = None,
    ) -> Excerpt:
        """An excerpt of samples start to stop - 1 of a clip; `changed` are values of fields in place of the clip's."""
        if waveform is None:  # Of whole frames alone.
            stop = start - (start - stop) // self.request.hop * self.request.hop
        cut = {}
        for known in self.fields:
            names = self.vocabulary.names_of(known.name)
            window = Window(self.clips, clip, start, stop, self.request.hop, self.request.left_frames, names)
            value = (changed or {}).get(known.name)
            cut[known.name] = known.cut(self.clips.value(known.name, clip) if value is None else value, window)
        mask = target_mask if waveform is not None else target_mask[:: self.request.hop]
        return Excerpt(waveform, mask, self.clips.ids[clip], cut)


class TrainingCrops(Dataset[Excerpt]):
    """Random crops that visit every stretch of the split once an epoch, clips in proportion to their length.

    Crop `index` of `epoch` is a function of (seed, epoch, index) alone. Crop i of M is centered on a uniform draw from
    the i-th of M equal parts of all clips laid end to end, and then moved inside the clip that its center is in, to a
    multiple of the hop. Only clips shorter than a crop, and last crops by less than a hop, are padded.
    """

    def __init__(self, slicer: Slicer, samples: int, seed: int) -> None:
        self.slicer = slicer
        self.samples = samples
        self.seed = seed
        self._ends = np.cumsum(slicer.lengths)

    def __len__(self) -> int:
        return math.ceil(int(self._ends[-1]) / self.samples)

    def __getitem__(self, key: tuple[int, int] | int) -> Excerpt:
        """Crop `(epoch, index)`; a bare index, which Lightning's `overfit_batches` asks for, is one of epoch 0."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        draw = np.random.default_rng((self.seed, epoch, index)).random()
        total = int(self._ends[-1])
        center = min(int((index + draw) * total / len(self)), total - 1)
        position = int(np.searchsorted(self._ends, center, side="right"))
        length = int(self.slicer.lengths[position])
        in_clip = center - (int(self._ends[position]) - length)
        hop = self.slicer.request.hop
        wanted = max(0, in_clip - self.samples // 2)
        # The last crop of a clip begins late enough for the clip's end, which may be no multiple of the hop.
        latest = -(-max(0, length - self.samples) // hop) * hop
        start = latest if wanted >= length - self.samples else wanted // hop * hop
        return self.slicer.cut(position, start, self.samples)


class EvaluationWindows(Dataset[Excerpt]):
    """Consecutive windows that hold every sample of every clip of the split once, in order.

    Args:
        slicer: Cuts them.
        samples: Length of a window, or the next multiple of the hop; the last of a clip is padded.
        limit: Take only so many windows, spread evenly over the split; None takes all.
    """

    def __init__(self, slicer: Slicer, samples: int, limit: int | None = None) -> None:
        self.slicer = slicer
        self.samples = -(-samples // slicer.request.hop) * slicer.request.hop
        self._ends = np.cumsum(-(-slicer.lengths // self.samples))
        total = int(self._ends[-1]) if len(self._ends) else 0
        self._windows = _spread(total, limit)

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> Excerpt:
        window = int(self._windows[index])
        position = int(np.searchsorted(self._ends, window, side="right"))
        before = int(self._ends[position - 1]) if position else 0
        return self.slicer.cut(position, (window - before) * self.samples, self.samples)


class WholeClips(Dataset[Excerpt]):
    """The clips of a split, each once an epoch.

    Clip `index` of `epoch` is altered as (seed, epoch, index) alone decide.

    Args:
        slicer: Cuts them.
        limit: Take only so many clips, spread evenly over the split; None takes all.
        augmentation: How clips are altered; None leaves them as they are.
        seed: Decides how.
    """

    def __init__(
        self, slicer: Slicer, limit: int | None = None, augmentation: Augmentation | None = None, seed: int = 0
    ) -> None:
        self.slicer = slicer
        self.augmentation = augmentation
        self.seed = seed
        self._positions = _spread(len(slicer.chosen), limit)

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, key: tuple[int, int] | int) -> Excerpt:
        """Clip `(epoch, index)`; a bare index is one of epoch 0."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        alter: Alter | None = None
        if self.augmentation:
            rng = np.random.default_rng((self.seed, epoch, index))
            rate = self.slicer.vocabulary.sample_rate
            alter = partial(self.augmentation.alter, sample_rate=rate, rng=rng)
        return self.slicer.whole(int(self._positions[index]), alter)


class Prompts(Dataset[Excerpt]):
    """The beginnings of the clips of a split, with nothing in front of them.

    Args:
        slicer: Cuts them.
        samples: Cut longer clips to this length; None leaves them whole.
    """

    def __init__(self, slicer: Slicer, samples: int | None = None) -> None:
        self.slicer = slicer
        self.samples = samples

    def __len__(self) -> int:
        return len(self.slicer.chosen)

    def __getitem__(self, index: int) -> Excerpt:
        length = int(self.slicer.lengths[index])
        return self.slicer.cut(index, 0, length if self.samples is None else min(length, self.samples))


def _spread(total: int, limit: int | None) -> NDArray[np.int64]:
    """At most `limit` of `total` indices, spread evenly."""
    taken = total if limit is None else min(limit, total)
    return (2 * np.arange(taken) + 1) * total // (2 * taken) if taken else np.arange(0)


def collate(excerpts: Sequence[Excerpt], fields: Sequence[Field] = ()) -> Batch:
    """A batch of excerpts; the shorter ones end in silence that does not count in the loss.

    Args:
        excerpts: Its elements.
        fields: What they have beside audio.
    """
    longest = max(len(excerpt.target_mask) for excerpt in excerpts)
    # In numpy, because torch would set its threads to work on a few kilobytes.
    waveform = np.zeros((len(excerpts), longest), np.float32)
    target_mask = np.zeros((len(excerpts), longest), np.bool_)
    for row, excerpt in enumerate(excerpts):
        target_mask[row, : len(excerpt.target_mask)] = excerpt.target_mask
        if excerpt.waveform is not None:
            waveform[row, : len(excerpt.waveform)] = excerpt.waveform
    collated = {
        name: value
        for known in fields
        for name, value in known.collate([excerpt.fields[known.name] for excerpt in excerpts]).items()
    }
    others = {name: collated.pop(name) for name in list(collated) if name not in Batch._fields}
    return Batch(
        waveform=None if excerpts[0].waveform is None else torch.from_numpy(waveform),
        target_mask=torch.from_numpy(target_mask),
        ids=[excerpt.id for excerpt in excerpts],
        **collated,
        others=others or None,
    )
