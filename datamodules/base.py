"""The DataModule that all corpora share: everything that the layout of a corpus does not decide."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import defaultdict
from dataclasses import replace
from itertools import chain, zip_longest
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from datamodules.cache import Audio, Clips, open_cache
from datamodules.crops import (
    Crops,
    EvaluationWindows,
    Excerpt,
    Prompts,
    Scissors,
    TrainingCrops,
    WholeClips,
    collate,
)
from datamodules.description import Description, by_reason, describe
from datamodules.loaders import CropSampler, ResumableLoader, WindowSampler
from datamodules.records import Listing, Problem, SplitName
from datamodules.splits import Split, divide
from datamodules.transcripts import SPOKEN, Transcript, transcript
from lightning_wavenet.batch import Batch
from lightning_wavenet.errors import CorpusError, RequestError
from lightning_wavenet.vocabulary import Vocabulary

log = logging.getLogger(__name__)


class AudioDataModule(pl.LightningDataModule, ABC):
    """Batches of a corpus of recordings. A corpus is a subclass with a `name` and a `listing`.

    Attributes:
        name: Short name of the corpus, part of the names of files.
        context: Samples of left context in front of what counts in the loss, for all batches but prompts. A task
            sets it to what its model needs after `setup` and before it asks for a loader.
        frame: Samples a phone label, for a task that recognises phones; None gives no phones.
    """

    name: str

    def __init__(self, audio: Audio, split: Split, crops: Crops) -> None:
        super().__init__()
        self.audio = audio
        self.split = split
        self.crops = crops
        self.context = 0
        self.frame: int | None = None
        self._clips: Clips | None = None
        self._problems: list[Problem] = []

    @abstractmethod
    def listing(self) -> Listing:
        """Everything that the corpus has on disk.

        Raises:
            CorpusError: The corpus is not where, or what, it should be.
        """

    def prepare_data(self) -> None:
        """Decode the corpus into its cache, unless that is done, and say what had to be skipped.

        Raises:
            CorpusError: The corpus is not where, or what, it should be, or has nothing usable in it.
        """
        listing = self.listing()
        _, problems = open_cache(self.name, listing, self.audio)
        for reason, ids in by_reason([*listing.problems, *problems]).items():
            some = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
            log.warning("%s: skipped %s (%s): %s", self.name, f"{len(ids):,}", some, reason)

    def setup(self, stage: str | None = None) -> None:
        """Open the cache and divide the corpus; the same for every stage, and nothing the second time.

        Raises:
            CorpusError: As in `prepare_data`; or the corpus is too small to be divided.
        """
        if self._clips is not None:
            return
        listing = self.listing()
        clips, problems = open_cache(self.name, listing, self.audio)
        self._clips = replace(clips, splits=divide(clips.split_keys, clips.splits, self.split, clips.speakers))
        self._problems = [*listing.problems, *problems]

    @property
    def clips(self) -> Clips:
        """All usable clips of the corpus, after `setup`."""
        if self._clips is None:
            raise RuntimeError("the corpus is not open yet: call setup() first")
        return self._clips

    @property
    def vocabulary(self) -> Vocabulary:
        """Names behind the indices of a batch, of all splits together, after `setup`."""
        speakers, labels = set(self.clips.speakers) - {""}, set(self.clips.labels) - {""}
        return Vocabulary(
            self.audio.sample_rate,
            speakers=tuple(sorted(speakers)),
            labels=tuple(sorted(labels)),
            tags=tuple(sorted(set(chain(*self.clips.tags)))),
            phones=() if self.frame is None else self.phone_names(),
        )

    def phone_names(self) -> tuple[str, ...]:
        """The phones of the corpus: those that have times, or else those of English texts and silence."""
        timed = {phone.label for phones in self.clips.phones for phone in phones}
        return tuple(sorted(timed)) or SPOKEN

    def clips_of(self, split: SplitName) -> NDArray[np.int64]:
        """Indices into `clips` of those in a split, in the order of the corpus, after `setup`.

        Where phones are asked for, clips are left out that have neither phones nor text, or no phones where others have
        some, or that are shorter than a frame.
        """
        chosen = np.array(self.clips.splits) == split
        if self.frame is not None:
            timed = np.array([bool(phones) for phones in self.clips.phones])
            chosen &= timed if timed.any() else np.array([bool(text) for text in self.clips.texts])
            chosen &= self.clips.frames >= self.frame
        return np.flatnonzero(chosen)

    def transcript(self, clip: int) -> Transcript:
        """The phones of a clip in their order, after `setup` and where phones are asked for."""
        return transcript(self.clips.phones[clip], self.clips.texts[clip], self.phone_names())

    def describe(self) -> Description:
        """The corpus in numbers, after `setup`."""
        return describe(self.name, self.audio.sample_rate, self.clips, self._problems)

    def train_dataloader(self) -> ResumableLoader:
        """Crops `[B, context + samples]`, or whole clips padded to the longest of a batch, resumable in mid-epoch.

        All batches are full, unless there are too few crops in an epoch for a single one.

        Raises:
            CorpusError: There is nothing to train on.
        """
        chosen = self.clips_of("train")
        if not len(chosen):
            raise CorpusError(f"{self.name} has no clips to train on{_with_phones(self.frame)}")
        scissors, seed = self._scissors(chosen, self.context), self.crops.seed
        crops = (
            WholeClips(scissors, augmentation=self.crops.augmentation, seed=seed)
            if self.crops.samples is None
            else TrainingCrops(scissors, self.crops.samples, seed)
        )
        sampler = CropSampler(crops, *self._rank_of_ranks())
        drop_last = len(sampler) >= self.crops.batch_size
        loader = ResumableLoader(crops, sampler=sampler, drop_last=drop_last, **self._loading())
        if self.trainer is not None:
            limit = self.trainer.limit_train_batches
            loader.epoch_batches = min(limit, len(loader)) if isinstance(limit, int) else int(limit * len(loader))
        return loader

    def val_dataloader(self) -> DataLoader[Excerpt]:
        """Windows `[B, context + evaluation_samples]` that cover the validation split."""
        return self._evaluation_loader("validation")

    def test_dataloader(self) -> DataLoader[Excerpt]:
        """Windows `[B, context + evaluation_samples]` that cover the test split."""
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> DataLoader[Excerpt]:
        """Whole clips of the test split, one a batch, chosen as in `prompts` and dealt out to the processes in turn."""
        prompts = Prompts(self._scissors(self._round_robin("test")[: self.crops.prompts], context=0))
        return DataLoader(prompts, batch_size=1, sampler=self._in_turn(prompts, "test prompts"), collate_fn=collate)

    def prompts(self, count: int, samples: int, split: SplitName = "validation") -> Batch:
        """The same clips every time, from their beginnings, taken from all speakers in turn.

        Args:
            count: Number of clips; fewer come back where the split has fewer.
            samples: Cut longer clips to this length; shorter ones are padded to the longest.
            split: Where to take them from.

        Raises:
            CorpusError: The split is empty.
        """
        chosen = self._round_robin(split)[:count]
        if not len(chosen):
            raise CorpusError(f"{self.name} has no {split} clips to take prompts from; raise split.{split}")
        prompts = Prompts(self._scissors(chosen, context=0), samples)
        return collate([prompts[index] for index in range(len(prompts))])

    def _evaluation_loader(self, split: SplitName) -> DataLoader[Excerpt]:
        scissors, limit = self._scissors(self.clips_of(split), self.context), self.crops.evaluation_windows
        samples = self.crops.evaluation_samples or self.crops.samples
        windows = WholeClips(scissors, limit) if samples is None else EvaluationWindows(scissors, samples, limit)
        return DataLoader(windows, sampler=self._in_turn(windows, f"{split} windows"), **self._loading())

    def _in_turn(self, pieces: EvaluationWindows | WholeClips | Prompts, name: str) -> WindowSampler:
        rank, ranks = self._rank_of_ranks()
        if 0 < len(pieces) < ranks:
            # A process without a window would never log, and the others would wait for it.
            raise RequestError(f"{len(pieces)} {name} are too few for {ranks} processes; use fewer of them")
        return WindowSampler(pieces, rank, ranks)

    def _loading(self) -> dict[str, Any]:
        return {
            "batch_size": self.crops.batch_size,
            "collate_fn": collate,
            "num_workers": self.crops.workers,
            "persistent_workers": self.crops.workers > 0,
            "pin_memory": torch.cuda.is_available(),
            # One of its own, because iterating would draw from the global one.
            "generator": torch.Generator(),
        }

    def _scissors(self, chosen: NDArray[np.int64], context: int) -> Scissors:
        return Scissors(self.clips, chosen, self.vocabulary, context, self.frame)

    def _rank_of_ranks(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _round_robin(self, split: SplitName) -> NDArray[np.int64]:
        by_speaker = defaultdict(list)
        for clip in self.clips_of(split):
            by_speaker[self.clips.speakers[clip]].append(clip)
        turns = zip_longest(*(by_speaker[name] for name in sorted(by_speaker)))
        return np.array([clip for turn in turns for clip in turn if clip is not None], np.int64)


def _with_phones(frame: int | None) -> str:
    return "" if frame is None else ": none of the training split has phones or a text"
