"""The DataModule that all corpora share: everything that the layout of a corpus does not decide."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from datamodules.cache import Audio, open_cache
from datamodules.clips import Clips
from datamodules.crops import (
    Crops,
    EvaluationWindows,
    Excerpt,
    Prompts,
    Slicer,
    TrainingCrops,
    WholeClips,
    collate,
)
from datamodules.description import Description, by_reason, describe, for_programs
from datamodules.features import FeatureTable, open_features
from datamodules.fields import FIELDS, WORDLESS, Field, Phones
from datamodules.folders import Neighbors
from datamodules.loaders import CropSampler, ResumableLoader, WindowSampler
from datamodules.phone_times import ALIGNMENT_SUFFIXES, find_alignment
from datamodules.records import Listing, Problem, SplitName, nameable
from datamodules.splits import Split, divide
from datamodules.transcripts import Transcript
from lightning_wavenet.data.batch import Batch, Request
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import CorpusError, RequestError
from lightning_wavenet.features import FRAME_SUFFIXES, Extractor
from lightning_wavenet.files.atomic import need_distinct
from lightning_wavenet.files.audio import clip_stem
from lightning_wavenet.text.pronunciation import read_lexicon

log = logging.getLogger(__name__)

_SPLIT, _CROPS = Split(), Crops()


class AudioDataModule(pl.LightningDataModule, ABC):
    """Batches of a corpus of recordings. A corpus is a subclass with a `name` and a `listing`.

    Attributes:
        name: Short name of the corpus, part of the names of files.
        fields: What is known of its clips; a corpus may add some of its own.
        request: What the task asked for (`connect`).

    Args:
        audio: How recordings become waveforms.
        split: How clips are divided that the corpus puts nowhere.
        crops: What is cut out of the clips.
        batch_size: Crops, or whole clips, in a batch, on each device.
        num_workers: Processes that load batches, on each device; 0 loads in the training process. Crops do not depend
            on it.
        features: What makes the conditioning frames of the clips, one after another.
        alignments: Folder of files that say when each phone is said, ID.phn, ID.TextGrid or ID.lab (HTS), such as
            `wavenet align` writes, in place of what the corpus says.
        lexicon: File of lines `WORD  PH O1 N`, as CMUdict has them, whose pronunciations count before its own where
            phones are made from texts.
        frames: Folder of ID.npy or ID.pt, mel frames that a text-to-speech front end made of each clip, in place of
            those that MelSpectrogram makes.
    """

    name: str
    fields: Sequence[Field] = FIELDS

    def __init__(
        self,
        audio: Audio,
        split: Split = _SPLIT,
        crops: Crops = _CROPS,
        batch_size: int = 8,
        num_workers: int = 0,
        features: Sequence[Extractor] = (),
        alignments: Path | None = None,
        lexicon: Path | None = None,
        frames: Path | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1 or num_workers < 0:
            raise RequestError(
                f"data.batch_size must be at least 1 and data.num_workers not negative, got {batch_size} and "
                f"{num_workers}"
            )
        if len({feature.name for feature in features}) < len(features):
            raise RequestError(f"data.features names one twice: {', '.join(feature.name for feature in features)}")
        if len({feature.hop for feature in features}) > 1:
            hops = ", ".join(f"{feature.name} {feature.hop}" for feature in features)
            raise RequestError(f"the frames of all features must have one hop (samples), got {hops}")
        if frames is not None and not any(feature.takes_frames for feature in features):
            raise RequestError("data.frames are mel frames: add what they are with --data.features+ MelSpectrogram")
        if frames is not None and audio.trim_silence_db is not None:
            raise RequestError("data.frames are those of whole recordings: leave out data.audio.trim_silence_db")
        self.audio = audio
        self.split = split
        self.crops = crops
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.features = tuple(features)
        self.alignments = None if alignments is None else Path(alignments).expanduser()
        self.lexicon = None if lexicon is None else Path(lexicon).expanduser()
        self.frames = None if frames is None else Path(frames).expanduser()
        self.request = Request()
        self._clips: Clips | None = None
        self._served: Clips | None = None
        self._problems: list[Problem] = []

    @abstractmethod
    def listing(self) -> Listing:
        """Everything that the corpus has on disk.

        Raises:
            CorpusError: The corpus is not where, or what, it should be.
        """

    def prepare_data(self) -> None:
        """Decode the corpus into its cache and extract its features, unless that is done, and say what was skipped.

        Raises:
            CorpusError: The corpus is not where, or what, it should be, or has nothing usable in it.
        """
        _, problems = self._open()
        for reason, ids in by_reason(problems).items():
            some = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
            log.warning("%s: skipped %s (%s): %s", self.name, f"{len(ids):,}", some, reason)

    def setup(self, stage: str | None = None) -> None:
        """Open the cache and divide the corpus; the same for every stage, and nothing the second time.

        Raises:
            CorpusError: As in `prepare_data`; or the corpus is too small to be divided.
        """
        if self._clips is None:
            clips, self._problems = self._open()
            divided = divide(clips.split_keys, clips.splits, self.split, clips.values("speaker"))
            fitted = tuple(table.fitted(divided) for table in clips.features)
            self._clips = self._served = replace(clips, splits=divided, features=fitted)

    def connect(self, request: Request) -> None:
        """Takes note, after `setup` and before a loader is asked for, of what batches must hold.

        Raises:
            RequestError: The corpus does not have that; the message says what to do.
        """
        unknown = request.fields - {field.name for field in self.fields}
        if unknown:
            raise RequestError(f"the task asks for {', '.join(sorted(unknown))}, which {self.name} does not know")
        if "frames" in request.fields:
            if not self.features:
                raise RequestError("the task is conditioned on frames: say with data.features what makes them")
            if request.hop != self.features[0].hop:
                raise RequestError(
                    f"the net takes frames of {request.hop} samples, and data.features have a hop of "
                    f"{self.features[0].hop}: set both to the same number"
                )
            if self.crops.augmentation:
                raise RequestError("crops.augmentation alters recordings, but not their frames: leave one of them out")
            self._served = replace(self.clips, features=self._features_for(request))
            self._tell_without_frames(self._served)
        if request.fields & {"phones", "transcript"}:
            self._tell_wordless()
        if request.phone_times and not self._timed():
            raise RequestError(
                "the corpus does not say when its phones are spoken, which criterion.frame_weight needs: set "
                "data.alignments to a folder that wavenet align wrote, or model.criterion.frame_weight to 0 and "
                "model.criterion.ctc_weight to 1"
            )
        if self.crops.samples is not None and self.crops.samples < request.hop and not request.whole_clips:
            raise RequestError(
                f"crops.samples is {self.crops.samples}, but must be at least a frame, which has {request.hop} samples"
            )
        if self.crops.augmentation and not (request.whole_clips or self.crops.samples is None):
            raise RequestError("crops.augmentation is for whole clips: set crops.samples to null")
        self.request = request

    def _features_for(self, request: Request) -> tuple[FeatureTable, ...]:
        """What the frames of a task consist of: the features that it names, with what its model has fitted, or all."""
        tables = {table.extractor.name: table for table in self.clips.features}
        if not request.features:
            return tuple(tables.values())
        wanted = [described["name"] for described in request.features]
        if missing := [name for name in wanted if name not in tables]:
            raise RequestError(
                f"the task is conditioned on {' and '.join(wanted)}: add what makes {missing[0]} to data.features, "
                f"which have {', '.join(tables)}"
            )
        return tuple(tables[described["name"]].adopted(described) for described in request.features)

    def _tell_without_frames(self, clips: Clips) -> None:
        for table in clips.features:
            if not table.usable.any():
                problem = table.problems(clips.ids)[0]
                where = f", {problem.place}" if problem.place else ""
                raise RequestError(f"none of {len(clips):,} clips has frames: {problem.reason} ({problem.id}{where})")

    def _tell_wordless(self) -> None:
        phones = self.clips.fields.get("phones")
        if not isinstance(phones, Phones) or not (ids := phones.wordless(self.clips)):
            return
        if not phones.known(self.clips).any():
            said = self.clips.value("text", self.clips.ids.index(ids[0]))
            raise RequestError(
                f"none of the {len(ids):,} texts of {self.name} has a word in it that can be pronounced, such as that "
                f"of {ids[0]}: {said[:40]!r}; texts must be English, or "
                "phones in braces, or phones given with data.alignments"
            )
        if self._rank_of_ranks()[0] == 0:
            some = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
            log.warning("%s: left out %s (%s): %s", self.name, f"{len(ids):,}", some, WORDLESS)

    @property
    def clips(self) -> Clips:
        """All usable clips of the corpus, after `setup`."""
        if self._clips is None:
            raise RuntimeError("the corpus is not open yet: call setup() first")
        return self._clips

    @property
    def vocabulary(self) -> Vocabulary:
        """Names behind the indices of a batch, of all splits together, after `setup`."""
        names = {field.name: self.clips.names(field.name) for field in self.fields if field.named}
        names.pop("transcript", None)  # Its names are those of the phones.
        return Vocabulary(
            self.audio.sample_rate,
            speakers=names.pop("speaker", ()),
            labels=names.pop("label", ()),
            tags=names.pop("tags", ()),
            phones=names.pop("phones", ()),
            hop=self.features[0].hop if self.features else None,
            frame_channels=sum(table.extractor.channels for table in self.clips.features),
            features=tuple(table.extractor.describe() for table in self.clips.features),
            others=names,
        )

    @property
    def train_ids(self) -> list[str]:
        """Ids of the clips that are trained on, after `setup` and `connect`."""
        return [self.clips.ids[clip] for clip in self.clips_of("train")]

    def clips_of(self, split: SplitName) -> NDArray[np.int64]:
        """Indices into `clips` of those in a split, in the order of the corpus, after `setup` and `connect`.

        Clips are left out of which a field is not known that was asked for: where phones are, those that have neither
        phones nor text, or no phones where others have some, or that are shorter than a frame; where frames are, those
        of which none could be made.
        """
        chosen = np.array(self.clips.splits) == split
        for field in self.fields:
            if field.name in self.request.fields:
                chosen &= field.known(self._served or self.clips)
        if "phones" in self.request.fields:
            chosen &= self.clips.lengths >= self.request.hop
        return np.flatnonzero(chosen)

    def transcripts(self, split: SplitName) -> Iterator[Transcript]:
        """The phones of each clip of a split in their order, after `setup` and `connect`."""
        return (self.clips.value("transcript", clip) for clip in self.clips_of(split))

    @property
    def problems(self) -> list[Problem]:
        """What was skipped and why, after `setup`."""
        return self._problems

    def describe(self) -> Description:
        """The corpus in numbers, after `setup`."""
        return describe(self.name, self.clips, self._problems)

    def for_programs(self) -> dict[str, Any]:
        """The corpus clip by clip in plain values, after `setup`."""
        return for_programs(self.name, self.clips, self._problems)

    # Loaders

    def train_dataloader(self) -> ResumableLoader:
        """Crops `[B, history + samples]`, or whole clips padded to the longest of a batch, resumable in mid-epoch.

        All batches are full, unless there are too few crops in an epoch for a single one.

        Raises:
            CorpusError: There is nothing to train on.
        """
        chosen = self.clips_of("train")
        if not len(chosen):
            raise CorpusError(f"{self.name} has no clips to train on{self._with_phones()}")
        slicer, seed = self._slicer(chosen), self.crops.seed
        crops = (
            WholeClips(slicer, augmentation=self.crops.augmentation, seed=seed)
            if self.samples is None
            else TrainingCrops(slicer, self.samples, seed)
        )
        sampler = CropSampler(crops, *self._rank_of_ranks())
        drop_last = len(sampler) >= self.batch_size
        loader = ResumableLoader(crops, sampler=sampler, drop_last=drop_last, **self._loading(slicer))
        if self.trainer is not None:
            limit = self.trainer.limit_train_batches
            loader.epoch_batches = min(limit, len(loader)) if isinstance(limit, int) else int(limit * len(loader))
        return loader

    def val_dataloader(self) -> DataLoader[Excerpt]:
        """Windows `[B, history + evaluation_samples]` that cover the validation split, or some of them."""
        return self._evaluation_loader("validation", self.crops.validation_windows)

    def test_dataloader(self) -> DataLoader[Excerpt]:
        """Windows `[B, history + evaluation_samples]` that cover the test split."""
        return self._evaluation_loader("test", None)

    def predict_dataloader(self) -> DataLoader[Excerpt]:
        """Whole clips of the test split, chosen as in `prompts` and dealt out to the processes in turn.

        Raises:
            RequestError: Two of them would be written to the same file.
        """
        chosen = self._round_robin("test")[: self.crops.prompts]
        need_distinct((id, Path(f"{clip_stem(id)}.wav")) for id in (self.clips.ids[clip] for clip in chosen))
        slicer = self._slicer(chosen, from_start=True)
        prompts = Prompts(slicer)
        return DataLoader(prompts, sampler=self._in_turn(prompts, "test prompts"), **self._loading(slicer))

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
        slicer = self._slicer(chosen, from_start=True)
        prompts = Prompts(slicer, samples)
        return collate([prompts[index] for index in range(len(prompts))], slicer.fields)

    @property
    def samples(self) -> int | None:
        """Samples in a training crop; None for whole clips."""
        return None if self.request.whole_clips else self.crops.samples

    def _evaluation_loader(self, split: SplitName, limit: int | None) -> DataLoader[Excerpt]:
        slicer = self._slicer(self.clips_of(split))
        samples = None if self.samples is None else self.crops.evaluation_samples or self.samples
        windows = WholeClips(slicer, limit) if samples is None else EvaluationWindows(slicer, samples, limit)
        return DataLoader(windows, sampler=self._in_turn(windows, f"{split} windows"), **self._loading(slicer))

    def _in_turn(self, pieces: EvaluationWindows | WholeClips | Prompts, name: str) -> WindowSampler:
        rank, ranks = self._rank_of_ranks()
        if 0 < len(pieces) < ranks:
            # A process without a window would never log, and the others would wait for it.
            raise RequestError(f"{len(pieces)} {name} are too few for {ranks} processes; use fewer of them")
        return WindowSampler(pieces, rank, ranks)

    def _loading(self, slicer: Slicer) -> dict[str, Any]:
        return {
            "batch_size": self.batch_size,
            "collate_fn": partial(collate, fields=slicer.fields),
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            "pin_memory": torch.cuda.is_available(),
            # One of its own, because iterating would draw from the global one.
            "generator": torch.Generator(),
        }

    def _slicer(self, chosen: NDArray[np.int64], from_start: bool = False) -> Slicer:
        request = self.request
        if from_start:  # Prompts, of which their description tells the text.
            text = {"text"} & {field.name for field in self.fields}
            request = replace(request, fields=request.fields | text, history=0, left_frames=0)
        return Slicer(self._served or self.clips, chosen, self.vocabulary, request)

    def _rank_of_ranks(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _round_robin(self, split: SplitName) -> NDArray[np.int64]:
        by_speaker = defaultdict(list)
        for clip in self.clips_of(split):
            by_speaker[self.clips.value("speaker", clip)].append(clip)
        turns = zip_longest(*(by_speaker[name] for name in sorted(by_speaker)))
        return np.array([clip for turn in turns for clip in turn if clip is not None], np.int64)

    def _timed(self) -> bool:
        phones = self.clips.fields["phones"]
        return isinstance(phones, Phones) and bool(phones.timed(self.clips).any())

    def _with_phones(self) -> str:
        return ": none of the training split has phones or a text" if "phones" in self.request.fields else ""

    # Cache

    def _open(self) -> tuple[Clips, list[Problem]]:
        listing = nameable(self.listing())
        if self.alignments is not None:
            listing = self._aligned(listing, self.alignments)
        clips, problems = open_cache(self.name, listing, self.audio, self.fields)
        if self.lexicon is not None:
            read_lexicon(self.lexicon)  # What is wrong with it is said before anything is trained.
        clips.lexicon = self.lexicon
        frames = None if self.frames is None else self._frames_in(self.frames, clips.ids)
        clips.features = tuple(open_features(self.name, clips, extractor, frames) for extractor in self.features)
        without = [problem for table in clips.features for problem in table.problems(clips.ids)]
        return clips, [*listing.problems, *problems, *without]

    def _frames_in(self, folder: Path, ids: Sequence[str]) -> list[Path | None]:
        """The file of frames in a folder of each clip."""
        if not folder.is_dir():
            raise RequestError(f"data.frames is {folder}, which is not a folder")
        neighbors = Neighbors()
        files = [neighbors.find_first(folder / clip_stem(id), FRAME_SUFFIXES) for id in ids]
        if not any(files):
            names = " or ".join(f"ID{suffix}" for suffix in FRAME_SUFFIXES)
            raise RequestError(f"{folder} has frames of none of {len(ids):,} clips: looked for {names}")
        return files

    def _aligned(self, listing: Listing, folder: Path) -> Listing:
        """The listing with the alignments of a folder in place of its own phones."""
        if not folder.is_dir():
            raise RequestError(f"data.alignments is {folder}, which is not a folder")
        neighbors = Neighbors()
        records = [
            replace(record, phones=(), phone_rate=None, alignment=find_alignment(folder, record.id, neighbors))
            for record in listing.records
        ]
        without = [Problem(record.id, f"no alignment in {folder}") for record in records if record.alignment is None]
        if len(without) == len(records):
            names = " or ".join(f"ID{suffix}" for suffix in ALIGNMENT_SUFFIXES)
            raise RequestError(f"{folder} has an alignment of none of {len(records):,} clips: looked for {names}")
        return replace(listing, records=tuple(records), problems=(*listing.problems, *without))
