"""Which phones a recognizer takes for which: a table and a picture of it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytorch_lightning as pl
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback

from lightning_wavenet.files.atomic import refuse_existing, write_atomically
from lightning_wavenet.tasks.phone_measures import PhoneMeasures

if TYPE_CHECKING:
    from lightning_wavenet.tasks.recognition import RecognitionWaveNet

_DELETION, _INSERTION = "(deletion)", "(insertion)"


class ConfusionTable(Callback):
    """Writes `test/confusions.csv` and `.png` in the trainer's root folder after the test of a recognizer.

    Rows are phones of the references, columns those of the hypotheses; one column more counts deletions, one row more
    insertions.

    Args:
        overwrite: Whether those of another test may be replaced.
    """

    def __init__(self, overwrite: bool = False) -> None:
        self.overwrite = overwrite

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Looks before minutes are spent on a table that cannot be written.

        Raises:
            RequestError: There is one.
        """
        if stage == "test":
            refuse_existing([_folder(trainer) / "confusions.csv"], self.overwrite, "--run")

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds up what the processes found, and writes it."""
        task = cast("RecognitionWaveNet", pl_module)
        measures = task.measures["test"]
        assert isinstance(measures, PhoneMeasures)
        table = trainer.strategy.reduce(measures.errors.table, reduce_op="sum")
        if not trainer.is_global_zero:
            return
        names = task.model.scored_names()
        kept = [*range(len(names)), len(table) - 1]
        counts: NDArray[np.int64] = table.cpu().numpy()[np.ix_(kept, kept)]
        folder = _folder(trainer)
        write_atomically(folder / "confusions.csv", lambda path: _write_table(path, names, counts))
        write_atomically(folder / "confusions.png", lambda path: _draw_table(path, names, counts))
        print(f"confusions in {folder}/confusions.csv and .png", flush=True)


def _folder(trainer: pl.Trainer) -> Path:
    return Path(trainer.default_root_dir) / "test"


def _write_table(path: Path, names: list[str], counts: NDArray[np.int64]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["reference", *names, _DELETION])
        for name, row in zip([*names, _INSERTION], counts.tolist(), strict=True):
            writer.writerow([name, *row])


def _draw_table(path: Path, names: list[str], counts: NDArray[np.int64]) -> None:
    """Each row in percent of how often its phone is in the references; the last in percent of all insertions."""
    percent = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(4.0, 0.17 * len(names) + 2)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(percent, cmap="magma", vmin=0, vmax=100)
    axes.set_xticks(range(len(names) + 1), [*names, _DELETION], rotation=90, fontsize=7)
    axes.set_yticks(range(len(names) + 1), [*names, _INSERTION], fontsize=7)
    axes.set(xlabel="hypothesis", ylabel="reference")
    figure.colorbar(image, ax=axes, label="% of the row", shrink=0.7)
    figure.savefig(path, dpi=110, format="png")
