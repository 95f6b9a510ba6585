"""The clips that `predict` generates, as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BasePredictionWriter

from lightning_wavenet.data.batch import Batch
from lightning_wavenet.files.atomic import refuse_existing
from lightning_wavenet.files.audio import clip_stem
from lightning_wavenet.models import Clip


class PredictionWriter(BasePredictionWriter):
    """Writes what `predict` generates to `predictions/` in the trainer's root folder.

    Each clip is a wav with its spectrogram and description, under the name of the recording whose conditions it was
    generated under.

    Args:
        overwrite: Whether clips that exist may be replaced.
    """

    def __init__(self, overwrite: bool = False) -> None:
        super().__init__(write_interval="batch")
        self.overwrite = overwrite

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Looks before minutes are spent on clips that cannot be written, and before another process writes one.

        Raises:
            RequestError: The folder has files in it.
        """
        if stage == "predict":
            refuse_existing([_folder(trainer)], self.overwrite, "--run")

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: list[Clip],
        batch_indices: Sequence[int] | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Writes a batch, and says so."""
        for clip in prediction:
            print(clip.save(_folder(trainer) / clip_stem(clip.description.id)), flush=True)


def _folder(trainer: pl.Trainer) -> Path:
    return Path(trainer.default_root_dir) / "predictions"
