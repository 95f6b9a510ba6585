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
        """Let the next iteration be over an epoch of the caller's choice, without its first crops of all ranks."""
        self._start = epoch, crop

    def left(self, crop: int) -> int:
        """How many crops of an epoch this rank gets without the first ones of all ranks."""
        return max(0, self._crops - crop) // self.num_replicas if crop else self.num_samples

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, first = self._start or (self.epoch, 0)
        self._start = None
        order = np.random.default_rng((self.seed, epoch)).permutation(self._crops)
        # A corpus with fewer crops than ranks gives some of them twice.
        rest = order[first:] if first else np.resize(order, max(self._crops, self.num_replicas))
        for index in rest[: self.left(first) * self.num_replicas][self.rank :: self.num_replicas]:
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

    What it remembers are the crops that all ranks were given: a run that resumes with another batch size or on another
    number of devices gets the others.

    Lightning saves and loads its state with the loops of the Trainer, and counts on its length to be that of the
    whole epoch.

    Attributes:
        epoch_batches: Batches after which an epoch ends, where something ends it before the loader does.
    """

    epoch_batches: int | None = None
    _epoch: int = 0
    _given: int = 0
    """Crops of that epoch that all ranks together were given."""
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
        elif not self._left(sampler):
            self._epoch, self._given = self._epoch + 1, 0
        self._resuming = False
        self._shift = self._epoch - sampler.epoch
        sampler.start_at(self._epoch, self._given)
        step = self._step(sampler)
        for batch in super().__iter__():
            self._given += step
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The epoch that batches were last given of, and how many crops."""
        return {"epoch": self._epoch, "crops": self._given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration continue after those crops, in the next epoch if none of theirs are left.

        Checkpoints of before count batches, which are taken to be as large as these.
        """
        self._epoch, self._resuming = state["epoch"], True
        sampler = self.sampler
        step = self._step(sampler) if isinstance(sampler, CropSampler) else 1
        self._given = state["crops"] if "crops" in state else state["batches"] * step

    def batches_done(self) -> int:
        """Where in the epoch, in batches of this size, the next iteration continues; 0 for a new one."""
        sampler = self.sampler
        left = self._left(sampler) if isinstance(sampler, CropSampler) else 0
        return len(self) - left if left else 0

    def _step(self, sampler: CropSampler) -> int:
        """Crops that all ranks together take in a batch."""
        return min(self.batch_size or 1, sampler.num_samples) * sampler.num_replicas

    def _left(self, sampler: CropSampler) -> int:
        """Batches of the epoch that are not given yet, where nothing else ends it before."""
        step = self._step(sampler)
        if self.epoch_batches is not None and self._given + step > self.epoch_batches * step:
            return 0
        return sampler.left(self._given) * sampler.num_replicas // step
