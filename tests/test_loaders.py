"""Stop and resume: the batches of an interrupted run are those of one that was not."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from recordings import opened, ramps, write_clips

from datamodules import AudioFolderDataModule, Crops
from datamodules.loaders import ResumableLoader
from lightning_wavenet.callbacks import LastAndBest
from lightning_wavenet.data.batch import Batch, Request

STEPS = 5
"""Batches in an epoch."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    *train, validation = ramps([950, 60, 2000, 7, 333, 700])
    write_clips(tmp_path / "corpus", train)
    write_clips(tmp_path / "corpus", [validation], "validation.wav")
    return tmp_path / "corpus"


def module(root: Path, workers: int, batch_size: int = 4) -> AudioFolderDataModule:
    pattern, request = r"(?P<validation>validation)|clip", Request(history=20)
    return opened(root, Crops(160), None, pattern, request, batch_size=batch_size, num_workers=workers)


def mark(batch: Batch) -> str:
    """What a batch holds, a word a crop."""
    crops = zip(batch.waveform, batch.ids, strict=True)
    return " ".join(hashlib.sha256(wave.numpy().tobytes() + id.encode()).hexdigest()[:8] for wave, id in crops)


@pytest.mark.parametrize("workers", [0, 2])
class TestLoader:
    def epochs(self, root: Path, workers: int) -> list[list[str]]:
        loader = module(root, workers).train_dataloader()
        seen = []
        for epoch in range(3):
            loader.sampler.set_epoch(epoch)
            seen.append([mark(batch) for batch in loader])
        assert [len(epoch) for epoch in seen] == [STEPS] * 3
        assert len({item for epoch in seen for item in epoch}) == 3 * STEPS
        return seen

    def test_goes_on_after_the_last_batch_and_then_begins_anew(self, root: Path, workers: int) -> None:
        whole = self.epochs(root, workers)
        for stop in range(1, STEPS):
            loader = module(root, workers).train_dataloader()
            loader.sampler.set_epoch(1)
            iterator = iter(loader)
            assert [mark(next(iterator)) for _ in range(stop)] == whole[1][:stop]
            state = json.loads(json.dumps(loader.state_dict()))
            resumed: ResumableLoader = module(root, workers).train_dataloader()
            resumed.load_state_dict(state)
            assert resumed.state_dict() == state
            assert len(resumed) == STEPS
            # As Lightning does it: the iterator first, the epoch next.
            iterator = iter(resumed)
            resumed.sampler.set_epoch(1)
            assert [mark(batch) for batch in iterator] == whole[1][stop:]
            resumed.sampler.set_epoch(2)
            assert [mark(batch) for batch in resumed] == whole[2]

    @pytest.mark.parametrize("count", [0, 1, 2, 7])
    def test_goes_on_whatever_the_trainer_counts(self, root: Path, workers: int, count: int) -> None:
        whole = self.epochs(root, workers)
        for batches, expected in ((3, whole[0][3:]), (STEPS, whole[1])):
            loader = module(root, workers).train_dataloader()
            loader.load_state_dict({"epoch": 0, "batches": batches})
            loader.sampler.set_epoch(count)
            assert [mark(batch) for batch in loader] == expected
            following = whole[1:] if batches < STEPS else whole[2:]
            for later, epoch in enumerate(following, start=1):
                loader.sampler.set_epoch(count + later)
                assert [mark(batch) for batch in loader] == epoch

    def test_an_epoch_that_was_left_early_does_not_shorten_the_next(self, root: Path, workers: int) -> None:
        whole = self.epochs(root, workers)
        loader = module(root, workers).train_dataloader()
        loader.load_state_dict({"epoch": 0, "batches": 2})
        assert mark(next(iter(loader))) == whole[0][2]
        loader.sampler.set_epoch(1)
        assert [mark(batch) for batch in loader] == whole[1]

    def test_resumes_a_share_of_two_ranks(self, root: Path, workers: int) -> None:
        data = module(root, workers)
        data._rank_of_ranks = lambda: (1, 2)  # type: ignore[method-assign]
        loader = data.train_dataloader()
        seen = [mark(batch) for batch in loader]
        assert len(seen) == 2
        iterator = iter(loader)
        next(iterator)
        assert loader.state_dict() == {"epoch": 0, "crops": 8}
        resumed = data.train_dataloader()
        resumed.load_state_dict(loader.state_dict())
        assert [mark(batch) for batch in resumed] == seen[1:]


def epoch_of(root: Path, epoch: int) -> list[str]:
    """All crops of an epoch in their order."""
    loader = module(root, 0, batch_size=1).train_dataloader()
    loader.sampler.set_epoch(epoch)
    return [mark(batch) for batch in loader]


@pytest.mark.parametrize(
    ("first", "stop", "then"),
    [
        # Batch size and ranks before and after, and batches before.
        ((4, 1), 2, (2, 1)),
        ((3, 1), 3, (5, 1)),
        ((1, 1), 7, (4, 1)),
        ((4, 1), 1, (2, 2)),
        ((2, 2), 3, (3, 1)),
        ((2, 3), 2, (1, 2)),
    ],
)
def test_another_batch_size_or_number_of_ranks_repeats_and_skips_no_crop(root, first, stop, then):
    def loaders(size: int, ranks: int) -> list[ResumableLoader]:
        made = []
        for rank in range(ranks):
            data = module(root, 0, batch_size=size)
            data._rank_of_ranks = lambda rank=rank: (rank, ranks)  # type: ignore[method-assign]
            made.append(data.train_dataloader())
        return made

    whole = epoch_of(root, 0)
    assert len(whole) == 21
    seen: list[str] = []
    before = loaders(*first)
    for loader in before:
        batches = iter(loader)
        seen += " ".join(mark(next(batches)) for _ in range(stop)).split()
    assert sorted(seen) == sorted(whole[: len(seen)])
    after = loaders(*then)
    for loader in after:
        loader.load_state_dict(before[0].state_dict())
        assert loader.batches_done() == len(loader) - sum(1 for _ in loader)
        loader.load_state_dict(before[0].state_dict())
        seen += " ".join(map(mark, loader)).split()
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(whole)
    assert len(whole) - len(seen) < then[0] * then[1]
    size, ranks = then
    for rank, loader in enumerate(after):
        loader.sampler.set_epoch(1)
        share = epoch_of(root, 1)[rank::ranks]
        batches = len(whole) // ranks // size
        assert " ".join(map(mark, loader)).split() == share[: batches * size]


class Recorder(pl.LightningModule):
    """Notes each batch that it is trained on, and saves a checkpoint after a step or at the end of an epoch."""

    def __init__(self, folder: Path, save_at: int = -1, moment: str = "") -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.folder = folder
        self.save_at = save_at
        self.moment = moment
        self.seen: list[str] = []
        self.evaluated: list[str] = []

    def training_step(self, batch: Batch) -> torch.Tensor:
        self.seen.append(mark(batch))
        return self.weight * batch.waveform.sum()

    def validation_step(self, batch: Batch) -> None:
        self.evaluated.append(mark(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def _save(self, moment: str) -> None:
        if moment == self.moment and self.global_step == self.save_at:
            self.trainer.save_checkpoint(self.folder / f"{moment}-{self.save_at}.ckpt")

    def on_train_batch_end(self, *_: object) -> None:
        self._save("batch")

    def on_validation_end(self) -> None:
        self._save("validation")

    def on_train_epoch_end(self) -> None:
        self._save("epoch")

    def on_train_end(self) -> None:
        notes = {"seen": self.seen, "evaluated": self.evaluated}
        (self.folder / f"rank{self.global_rank}of{self.trainer.world_size}.json").write_text(json.dumps(notes))


def fit(
    root: Path,
    workers: int,
    recorder: Recorder,
    ckpt: Path | None = None,
    ranks: int = 1,
    batch_size: int = 4,
    **limit: Any,
) -> Recorder:
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=ranks,
        strategy="auto" if ranks == 1 else "ddp_fork",
        logger=False,
        enable_checkpointing="callbacks" in limit,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=root.parent,
        **({"max_epochs": -1} | limit),
    )
    trainer.fit(recorder, datamodule=module(root, workers, batch_size), ckpt_path=ckpt)
    return recorder


MOMENTS = [
    *(("batch", step) for step in range(1, 2 * STEPS + 1)),
    *((moment, step) for moment in ("epoch", "validation") for step in (STEPS, 2 * STEPS)),
]


class TestTrainer:
    def check(self, root: Path, workers: int, moment: str, step: int, **limit: int) -> None:
        whole = fit(root, workers, Recorder(root.parent, step, moment), **limit)
        assert len(set(whole.seen)) == len(whole.seen) == 3 * STEPS
        resumed = fit(root, workers, Recorder(root.parent), root.parent / f"{moment}-{step}.ckpt", **limit)
        assert resumed.seen == whole.seen[step:]
        assert resumed.trainer.global_step == 3 * STEPS

    @pytest.mark.parametrize(("moment", "step"), MOMENTS)
    def test_resumes_at_any_step_of_a_run_by_steps(self, root: Path, moment: str, step: int) -> None:
        self.check(root, 0, moment, step, max_steps=3 * STEPS)

    @pytest.mark.parametrize(("moment", "step"), MOMENTS)
    def test_resumes_at_any_step_of_a_run_by_epochs(self, root: Path, moment: str, step: int) -> None:
        self.check(root, 0, moment, step, max_epochs=3)

    @pytest.mark.parametrize(("moment", "step"), [("batch", STEPS + 2), ("epoch", STEPS)])
    def test_resumes_with_workers(self, root: Path, moment: str, step: int) -> None:
        self.check(root, 2, moment, step, max_steps=3 * STEPS)

    def test_resumes_a_run_that_had_come_to_its_end(self, root: Path) -> None:
        whole = fit(root, 0, Recorder(root.parent), max_steps=3 * STEPS).seen
        for step in (STEPS - 1, STEPS, STEPS + 1):
            first = fit(root, 0, Recorder(root.parent), max_steps=step)
            first.trainer.save_checkpoint(root.parent / "end.ckpt")
            second = fit(root, 0, Recorder(root.parent), root.parent / "end.ckpt", max_steps=step + 1)
            second.trainer.save_checkpoint(root.parent / "end.ckpt")
            third = fit(root, 0, Recorder(root.parent), root.parent / "end.ckpt", max_steps=3 * STEPS)
            assert first.seen + second.seen + third.seen == whole

    @pytest.mark.parametrize("limit", [3, 0.6])
    @pytest.mark.parametrize(("moment", "step"), [("batch", 2), ("batch", 3), ("epoch", 3), ("validation", 3)])
    def test_resumes_where_epochs_are_limited(self, root: Path, limit: float, moment: str, step: int) -> None:
        for length in ({"max_steps": 8}, {"max_epochs": 3}):
            whole = fit(root, 0, Recorder(root.parent, step, moment), limit_train_batches=limit, **length)
            ckpt = root.parent / f"{moment}-{step}.ckpt"
            resumed = fit(root, 0, Recorder(root.parent), ckpt, limit_train_batches=limit, **length)
            assert len(set(whole.seen)) == len(whole.seen) >= 8
            assert resumed.seen == whole.seen[step:]

    @pytest.mark.parametrize(("size", "step", "then"), [(4, 2, 2), (2, 7, 5), (3, 4, 1)])
    def test_another_batch_size_resumes_in_the_middle_of_an_epoch(self, root: Path, size: int, step: int, then: int):
        fit(root, 0, first := Recorder(root.parent, step, "batch"), batch_size=size, max_steps=step)
        ckpt = root.parent / f"batch-{step}.ckpt"
        second = Recorder(root.parent)
        fit(root, 0, second, ckpt, batch_size=then, callbacks=[LastAndBest()], max_epochs=1)
        seen = " ".join(first.seen + second.seen).split()
        whole = epoch_of(root, 0)
        assert seen == whole[: len(seen)]
        assert len(whole) - len(seen) < then
        assert second.evaluated, "the epoch's last batch was not known for it"

    def test_ranks_share_crops_and_windows(self, root: Path) -> None:
        fit(root, 0, Recorder(root.parent), max_epochs=2)
        fit(root, 0, Recorder(root.parent), ranks=2, batch_size=2, max_epochs=2)
        alone, one, other = (
            json.loads((root.parent / f"rank{name}.json").read_text()) for name in ("0of1", "0of2", "1of2")
        )
        assert len(alone["seen"]) == len(one["seen"]) == len(other["seen"]) == 2 * STEPS
        for whole, *shares in zip(alone["seen"], one["seen"], other["seen"], strict=True):
            assert sorted(" ".join(shares).split()) == sorted(whole.split())
        # Each of the 5 windows once an epoch, on whatever rank.
        windows = " ".join(one["evaluated"] + other["evaluated"]).split()
        assert sorted(windows) == sorted(" ".join(alone["evaluated"]).split())
        assert len(windows) == 2 * 5

    def test_overfits_on_one_batch(self, root: Path) -> None:
        recorder = fit(root, 0, Recorder(root.parent), overfit_batches=1, max_epochs=3)
        assert len(recorder.seen) == 3
        assert len(set(recorder.seen)) == 1
