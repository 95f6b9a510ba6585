"""Which checkpoints a run keeps, the last and the best, and how they come to be whole."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io import TorchCheckpointIO
from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason

from datamodules import AudioDataModule
from lightning_wavenet.callbacks.endings import stopped_by
from lightning_wavenet.callbacks.signals import Signals, Stopped
from lightning_wavenet.data.batch import Batch
from lightning_wavenet.errors import RequestError, StorageError
from lightning_wavenet.files.atomic import write_atomically
from lightning_wavenet.tasks import BaseTask

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"


class LastAndBest(Checkpoint):
    """Keeps `checkpoints/last.ckpt`, to resume from, and `checkpoints/best.ckpt`, of the lowest monitored figure.

    The last is written every so many steps and at the end, whatever ends the run, always right after an optimizer step
    and after the validation at that step, if there is one, so that resuming from it repeats the uninterrupted run
    exactly. The one before stays as `checkpoints/previous.ckpt`. Files are written whole or not at all.

    On SIGTERM, SIGINT (Ctrl-C) or SIGUSR1 the step in progress is finished, the last checkpoint written, and the run
    ended by `Stopped`. A second Ctrl-C ends it at once.

    Args:
        every_n_steps: Training steps between writes of the last checkpoint.
    """

    def __init__(self, every_n_steps: int = 1_000) -> None:
        if every_n_steps < 1:
            raise ValueError(f"checkpoint.every_n_steps must be at least 1, got {every_n_steps}")
        self.every_n_steps = every_n_steps
        self.best: float | None = None
        self._seen_step = 0
        self._saved_step = 0
        self._stopped_by: dict[str, Any] | None = None
        self._patience: list[tuple[EarlyStopping, int]] = []
        self._figures: dict[str, float] = {}
        """What early stopping monitors, at the last checkpoint: it may look before the next validation."""
        self._extra_validation = False
        """Whether the run validates only because a callback has ended it."""
        self._after_validation = False
        self._signals = Signals()
        self._ending = 0
        """The signal that ends the run, once its last checkpoint is due."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Has checkpoints written whole."""
        if stage == "fit":
            trainer.strategy.checkpoint_io = WholeFiles()
            callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
            self._patience = [(one, one.patience) for one in callbacks if isinstance(one, EarlyStopping)]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gives early stopping this run's patience, where its state put back that of the checkpoint."""
        for callback, patience in self._patience:
            callback.patience, callback.stopping_reason = patience, EarlyStoppingReason.NOT_STOPPED

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listens for signals."""
        self._signals.listen()

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Ends a run that has not begun to train; one of several processes must not leave the others waiting."""
        if trainer.sanity_checking and trainer.world_size == 1:
            self._end(trainer, self._signals.agreed(trainer))

    def on_sanity_check_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends a run that has not begun to train, and refuses early stopping by what is never logged.

        Raises:
            RequestError: Neither this validation has logged it, nor will training.
        """
        self._end(trainer, self._signals.agreed(trainer))
        figures = pl_module.train_figures if isinstance(pl_module, BaseTask) else None
        known = {*trainer.callback_metrics, *(figures or ())}
        for callback, _ in self._patience:
            name = callback.monitor
            logged = name in known or (figures is None and not name.startswith("val/"))
            if callback.strict and not logged and not trainer.fast_dev_run:  # type: ignore[attr-defined]
                raise RequestError(
                    f"{type(callback).__name__} monitors {name}, which this run does not log: say "
                    f"--trainer.callbacks.monitor and one of {', '.join(sorted(known))}"
                )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes the step that it resumes from, and listens for signals."""
        self._seen_step = self._saved_step = trainer.global_step
        trainer.callback_metrics.update({name: torch.tensor(figure) for name, figure in self._figures.items()})
        self._signals.listen()
        resumed = trainer.ckpt_path
        previous = self._folder(trainer) / PREVIOUS
        if trainer.is_global_zero and resumed is not None and Path(resumed).resolve() == previous.resolve():
            # Or the next write would put the damaged one in the place of the whole one.
            previous.replace(previous.with_name(LAST))

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Ends the run, where that is due: here the step before is logged and validated, and nothing is begun."""
        self._end(trainer, self._ending)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Writes the last checkpoint where it is due, unless there is a validation first."""
        self._after_validation = self._extra_validation = False
        if trainer.global_step == self._seen_step:  # Gradients are still being accumulated.
            return
        self._seen_step = trainer.global_step
        self._ending = self._signals.agreed(trainer)
        out_of_epochs = trainer.is_last_batch and trainer.current_epoch + 1 == trainer.max_epochs
        finished = trainer.should_stop or trainer.global_step == trainer.max_steps or out_of_epochs
        if self._ending or finished or trainer.global_step % self.every_n_steps == 0:
            self._after_validation = _validation_follows(trainer)
            if trainer.should_stop and self._after_validation:
                trainer.should_stop = False
                self._extra_validation = not _validation_follows(trainer)
                trainer.should_stop = True
            if not self._after_validation:
                self._save_last(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the best checkpoint where this validation was, and the last one where it is due."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        figure = None
        if isinstance(pl_module, BaseTask):
            figure = trainer.callback_metrics.get(f"val/{pl_module.monitor}")
        if figure is not None and not figure.isnan() and (self.best is None or figure.item() < self.best):
            self.best = figure.item()
            self._save(trainer, BEST)
        if self._after_validation or trainer.should_stop:
            self._save_last(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the last checkpoint where the run has ended without one, and listens no more."""
        if trainer.global_step != self._saved_step or stopped_by(trainer) != self._stopped_by:
            self._save_last(trainer)
        self._signals.release()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Listens no more."""
        self._signals.release()

    def _end(self, trainer: pl.Trainer, number: int) -> None:
        if number:
            raise Stopped(number, trainer.is_global_zero)

    def _folder(self, trainer: pl.Trainer) -> Path:
        return Path(trainer.default_root_dir) / "checkpoints"

    def _save_last(self, trainer: pl.Trainer) -> None:
        self._saved_step, self._stopped_by = trainer.global_step, stopped_by(trainer)
        logged = trainer.callback_metrics
        self._figures = {one.monitor: logged[one.monitor].item() for one, _ in self._patience if one.monitor in logged}
        self._save(trainer, LAST)

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(self._folder(trainer) / name)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Has the steps of the log resume with the right number.

        Lightning counts them after a validation, and makes up for that only where it would validate there again.
        """
        if self._extra_validation:
            checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]["_batches_that_stepped"] += 1

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Has Lightning count the batches of the epoch by this run's size of them, where it is another."""
        corpus = getattr(trainer, "datamodule", None)
        loops = checkpoint["loops"]["fit_loop"]
        states = loops["state_dict"].get("combined_loader") or [{}]
        if trainer.state.fn != "fit" or not isinstance(corpus, AudioDataModule) or "crops" not in states[0]:
            return
        loader = corpus.train_dataloader()
        loader.load_state_dict(states[0])
        progress = loops["epoch_loop.batch_progress"]
        done = loader.batches_done()
        if done and done != progress["current"]["ready"]:
            more = done - progress["current"]["ready"]
            progress["current"] = {name: count + more for name, count in progress["current"].items()}
            progress["is_last_batch"] = False

    def state_dict(self) -> dict[str, Any]:
        """What the best was, which callbacks have ended the run, if any have, and the figures that they monitor."""
        return {"best": self.best, "stopped_by": self._stopped_by, "figures": self._figures}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resumes from the best so far."""
        self.best, self._figures = state_dict["best"], state_dict.get("figures", {})


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside its place, and moves it there when all of it has reached the disk.

    The `last.ckpt` that a new one replaces becomes `previous.ckpt`.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes a checkpoint.

        Raises:
            StorageError: There is no space for it; what was there is kept.
            OSError: It cannot be written for another reason; what was there is kept.
        """
        path = Path(path)
        # In memory first: written to a file directly, torch hides what the system says of a failure.
        contents = io.BytesIO()
        torch.save(checkpoint, contents)
        previous = path.with_name(PREVIOUS) if path.name == LAST else None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for left_by_a_kill in path.parent.glob(".*.part"):
                left_by_a_kill.unlink()
            write_atomically(path, lambda partial: partial.write_bytes(contents.getbuffer()), keep=previous)
        except StorageError as error:
            raise StorageError(f"{error}; the checkpoint before is kept") from error
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror} (the checkpoint before is kept)", str(path)) from error


def _validation_follows(trainer: pl.Trainer) -> bool:
    """Whether Lightning validates before it trains on another batch; it has no public way to ask."""
    loop = trainer.fit_loop
    assert loop._data_fetcher is not None
    # Before the first validation the loop does not know how many batches it will have.
    batches = trainer.num_val_batches
    some = sum(batches) > 0 if batches else trainer.enable_validation
    return some and loop.epoch_loop._should_check_val_fx(loop._data_fetcher)
