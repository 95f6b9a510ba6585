"""The order of crops and windows: one order for any number of workers and ranks, and the same after a resume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, DistributedSampler

from datamodules.crops import EvaluationWindows, Excerpt, TrainingCrops


class CropSampler(DistributedSampler[tuple[int, int]]):
    """One rank's share of the crops of an epoch, as `(epoch, index)`, in an order that (seed, epoch) decides.

    All ranks get equally many, so that the last few crops of an epoch may go to none of them. Lightning sets the epoch
    of a DistributedSampler, and puts none of its own in its place.

    Attributes:
        start: How many crops of the share the next iteration leaves out, because they were seen before a resume.
    """

    def __init__(self, crops: TrainingCrops, rank: int, ranks: int) -> None:
        super().__init__(crops, num_replicas=ranks, rank=rank, seed=crops.seed)
        self.num_samples = max(1, len(crops) // ranks)
        self._crops = len(crops)
        self.start = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self.epoch
        order = np.random.default_rng((self.seed, epoch)).permutation(self._crops)
        # A corpus with fewer crops than ranks gives some of them twice.
        share = np.resize(order, self.num_samples * self.num_replicas)[self.rank :: self.num_replicas]
        for index in share[self.start :]:
            yield epoch, int(index)


class WindowSampler(DistributedSampler[int]):
    """One rank's share of the evaluation windows, each of which some rank gets exactly once."""

    def __init__(self, windows: EvaluationWindows, rank: int, ranks: int) -> None:
        super().__init__(windows, num_replicas=ranks, rank=rank, shuffle=False)
        self._share = range(rank, len(windows), ranks)

    def __iter__(self) -> Iterator[int]:
        return iter(self._share)

    def __len__(self) -> int:
        return len(self._share)


class ResumableLoader(DataLoader[Excerpt]):
    """A loader over a `CropSampler` that goes on after the last batch that it gave before a checkpoint.

    Lightning saves and loads its state with the loops of the Trainer, and counts on its length to be that of the
    whole epoch.
    """

    _epoch: int = 0
    _given: int = 0
    """Crops of that epoch that all ranks together have been given."""
    _resuming: bool = False

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch names a private class here
        # A generator, because Lightning asks for the iterator before it sets the epoch: nothing below may run, and
        # no worker may fetch ahead, before the first batch is asked for.
        sampler = self.sampler
        if not isinstance(sampler, CropSampler):  # Lightning's overfit_batches puts its own in place.
            yield from super().__iter__()
            return
        if not self._resuming or self._epoch != sampler.epoch:
            self._epoch, self._given = sampler.epoch, 0
        self._resuming = False
        sampler.start = self._given // sampler.num_replicas
        for batch in super().__iter__():
            self._given += len(batch.ids) * sampler.num_replicas
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The epoch that batches were last given of, and how many of its crops all ranks together were given."""
        return {"epoch": self._epoch, "crops": self._given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after those crops if the next iteration is over the same epoch, and begin at the first otherwise."""
        self._epoch, self._given, self._resuming = state["epoch"], state["crops"], True
