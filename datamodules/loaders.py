"""The order of crops and windows: one order for any number of workers and ranks, and the same after a resume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, DistributedSampler

from datamodules.crops import EvaluationWindows, Excerpt, Prompts, TrainingCrops, WholeClips


class CropSampler(DistributedSampler[tuple[int, int]]):
    """One rank's share of the crops of an epoch, as `(epoch, index)`, in an order that (seed, epoch) decides.

    All ranks get equally many, so that the last few crops of an epoch may go to none of them. Lightning sets the epoch
    of a DistributedSampler, and puts none of its own in its place.
    """

    def __init__(self, crops: TrainingCrops | WholeClips, rank: int, ranks: int) -> None:
        super().__init__(crops, num_replicas=ranks, rank=rank, seed=crops.seed)
        self.num_samples = max(1, len(crops) // ranks)
        self._crops = len(crops)
        self._start: tuple[int, int] | None = None

    def start_at(self, epoch: int, crop: int) -> None:
        """Let the next iteration be over an epoch of the caller's choice, from a crop of this rank's share on."""
        self._start = epoch, crop

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, first = self._start or (self.epoch, 0)
        self._start = None
        order = np.random.default_rng((self.seed, epoch)).permutation(self._crops)
        # A corpus with fewer crops than ranks gives some of them twice.
        share = np.resize(order, self.num_samples * self.num_replicas)[self.rank :: self.num_replicas]
        for index in share[first:]:
            yield epoch, int(index)


class WindowSampler(DistributedSampler[int]):
    """One rank's share of the evaluation windows or prompts, each of which some rank gets exactly once."""

    def __init__(self, windows: EvaluationWindows | WholeClips | Prompts, rank: int, ranks: int) -> None:
        super().__init__(windows, num_replicas=ranks, rank=rank, shuffle=False)
        self._share = range(rank, len(windows), ranks)

    def __iter__(self) -> Iterator[int]:
        return iter(self._share)

    def __len__(self) -> int:
        return len(self._share)


class ResumableLoader(DataLoader[Excerpt]):
    """A loader over a `CropSampler` that continues after the last batch that it gave before a checkpoint.

    Lightning saves and loads its state with the loops of the Trainer, and counts on its length to be that of the
    whole epoch.

    Attributes:
        epoch_batches: Batches after which an epoch ends, where something ends it before the loader does.
    """

    epoch_batches: int | None = None
    _epoch: int = 0
    _given: int = 0
    """Batches that were given of that epoch."""
    _resuming: bool = False
    _shift: int = 0
    """What makes an epoch out of Lightning's count of epochs, which is not always right after a resume: it counts one
    too many where a run ended at `max_steps`, or was saved at the end of an epoch of a run with `max_steps`."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch names a private class here
        # A generator, because Lightning asks for the iterator before it sets the epoch: nothing below may run, and
        # no worker may fetch ahead, before the first batch is asked for.
        sampler = self.sampler
        if not isinstance(sampler, CropSampler):  # Lightning's overfit_batches puts its own in place.
            yield from super().__iter__()
            return
        if not self._resuming:
            self._epoch, self._given = sampler.epoch + self._shift, 0
        elif self._given >= (self.epoch_batches or len(self)):
            self._epoch, self._given = self._epoch + 1, 0
        self._resuming = False
        self._shift = self._epoch - sampler.epoch
        sampler.start_at(self._epoch, self._given * (self.batch_size or 1))
        for batch in super().__iter__():
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The epoch that batches were last given of, and how many."""
        return {"epoch": self._epoch, "batches": self._given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration continue after those batches, in the next epoch if they were all of theirs."""
        self._epoch, self._given, self._resuming = state["epoch"], state["batches"], True
