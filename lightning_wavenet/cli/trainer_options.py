"""Options of Lightning's Trainer that a run cannot honor: they are refused, with what to say instead."""

from __future__ import annotations

from typing import Any

from datamodules import AudioDataModule
from lightning_wavenet.errors import RequestError


def refuse_without_effect(options: Any, corpus: object) -> None:
    """Looks for options that would be accepted and recorded, and do nothing or harm.

    Args:
        options: The section trainer as it was parsed.
        corpus: What is trained on.

    Raises:
        RequestError: There is one; the message begins with what was given.
    """
    if options.default_root_dir is not None:
        _refuse(options, "default_root_dir", "the run folder is where all is written: say --run DIR")
    if options.enable_checkpointing is False:
        _refuse(options, "enable_checkpointing", "a run keeps its last and its best checkpoint; leave it out")
    if options.barebones:
        _refuse(options, "barebones", "a run has checkpoints and a log; leave it out")
    if options.model_registry is not None:
        _refuse(options, "model_registry", "checkpoints are files: leave it out, and say --ckpt_path FILE")
    if options.gradient_clip_algorithm is not None and options.gradient_clip_val is None:
        _refuse(options, "gradient_clip_algorithm", "nothing is clipped without --trainer.gradient_clip_val")
    if options.use_distributed_sampler is False and isinstance(corpus, AudioDataModule):
        _refuse(options, "use_distributed_sampler", "the corpus always shares its crops out; leave it out")
    if str(options.precision) in ("bf16-true", "16-true"):
        mixed = str(options.precision).replace("true", "mixed")
        _refuse(options, "precision", f"recordings would be rounded before they are encoded: say {mixed}")
    checkpoints = [one for one in listed(options.callbacks) if one.class_path.endswith("ModelCheckpoint")]
    for logger in listed(options.logger):
        arguments = {} if isinstance(logger, bool) else logger.get("init_args") or {}
        if arguments.get("log_model") and not checkpoints:
            raise RequestError(
                f"--trainer.logger.log_model {arguments['log_model']}: the logger uploads what Lightning's "
                "ModelCheckpoint writes, and there is none: leave it out, or add --trainer.callbacks ModelCheckpoint"
            )


def listed(value: Any) -> list[Any]:
    """An option that may be absent, one thing or several, as a list."""
    if not value:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _refuse(options: Any, name: str, advice: str) -> None:
    value = options[name]
    said = str(value).lower() if isinstance(value, bool) else value
    raise RequestError(f"--trainer.{name} {said}: {advice}")
