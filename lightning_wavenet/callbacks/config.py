"""The configuration that a run was made with, kept in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.cli import SaveConfigCallback
from pytorch_lightning.loggers import CSVLogger, WandbLogger

from lightning_wavenet.files.atomic import write_text


class SaveConfig(SaveConfigCallback):
    """Writes the resolved configuration to `config.yaml` of the run folder, and beside the logs of each start.

    The run folder's file reproduces the run by itself: it names neither the folder nor a checkpoint to resume from,
    and a resume leaves it as it is. Weights & Biases gets the same values as its configuration.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs | {"save_to_log_dir": False})

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Waits until task and corpus agree: a request that is refused leaves no folder behind."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the files, on the first process only."""
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.save_config(trainer, pl_module, "fit")

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Writes the files."""
        config = self.config.clone()
        resumed = config.pop("ckpt_path", None) is not None
        for ours in ("run", "overwrite", "resume", "weights_only"):
            config.pop(ours, None)
        places = [Path(logger.log_dir) for logger in trainer.loggers if isinstance(logger, CSVLogger)]
        if not resumed or not (Path(trainer.default_root_dir) / "config.yaml").exists():
            places.append(Path(trainer.default_root_dir))
        text = self.parser.dump(config, skip_unset=False, skip_validation=True)
        for place in places:
            write_text(place / "config.yaml", text)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger) and trainer.enable_autolog_hparams:
                logger.experiment.config.update(config.as_dict(), allow_val_change=True)
