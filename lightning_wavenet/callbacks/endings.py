"""How a run came to its end, and whether there is more of it to train."""

from __future__ import annotations

import inspect
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, EarlyStopping, Timer
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason


def stopped_by(trainer: pl.Trainer) -> dict[str, dict[str, Any]] | None:
    """Which callbacks have ended a training before its length, with their options; None where none has.

    Those of Lightning's early stopping are known. Of others only some are there that may have done it: all are named.
    """
    early = trainer.global_step < (trainer.min_steps or 0) or trainer.current_epoch + 1 < (trainer.min_epochs or 0)
    if not trainer.should_stop or early:
        return None
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    stoppers = [one for one in callbacks if isinstance(one, EarlyStopping)]
    chosen: list[Callback] = [one for one in stoppers if one.stopping_reason != EarlyStoppingReason.NOT_STOPPED]
    if not chosen and not any(isinstance(one, Timer) for one in callbacks):
        ours = __name__.partition(".")[0]
        chosen = [one for one in callbacks if not type(one).__module__.startswith((f"{ours}.", "pytorch_lightning."))]
    return {one.state_key: _options(one) for one in chosen}


def ending(checkpoint: dict[str, Any], trainer: pl.Trainer) -> str | None:
    """Why a training that resumes from a checkpoint has no step to train, and what would continue it.

    Args:
        checkpoint: What the file holds.
        trainer: With this run's options, before it has begun.

    Returns:
        Words; None where there are steps to train.
    """
    step, callbacks = checkpoint["global_step"], checkpoint.get("callbacks", {})
    ours: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    now = {one.state_key: one for one in ours}
    stopped: dict[str, Any] = callbacks.get("LastAndBest", {}).get("stopped_by") or {}
    for key, options in stopped.items():
        if key in now and _options(now[key]) == options:
            name = type(now[key]).__name__
            said = (callbacks.get(key) or {}).get("stopping_reason_message")
            return f"{name} ended it{f' ({said})' if said else ''}; other options of {name} continue it"
    for one in ours:
        if isinstance(one, Timer) and (limit := one.time_remaining()) is not None:
            spent = callbacks.get(one.state_key, {}).get("time_elapsed", {}).get("train", 0.0)
            if spent >= limit:
                return f"its time is up ({limit:,.0f} s); a larger --trainer.max_time continues it"
    if 0 <= trainer.max_steps <= step:
        return f"that is --trainer.max_steps {trainer.max_steps}; a larger one continues it"
    epochs = trainer.max_epochs
    if epochs is None and trainer.max_steps == -1:
        epochs = 1_000  # As Lightning has it.
    if epochs is not None and 0 <= epochs <= _epochs(checkpoint):
        return f"that is --trainer.max_epochs {epochs}; a larger one continues it"
    return None


def _epochs(checkpoint: dict[str, Any]) -> int:
    """How many epochs are trained to their end."""
    loops = checkpoint["loops"]["fit_loop"]
    now, batches = loops["epoch_progress"]["current"], loops["epoch_loop.batch_progress"]
    processed: int = now["processed"]
    return processed + (now["ready"] > processed and batches["is_last_batch"])


def _options(callback: Callback) -> dict[str, Any]:
    """The constructor's arguments that a callback keeps under their names, as far as they are plain."""
    kept = vars(callback)
    names = [name for name in inspect.signature(type(callback).__init__).parameters if name in kept]
    return {name: kept[name] for name in names if isinstance(kept[name], bool | int | float | str | None)}
