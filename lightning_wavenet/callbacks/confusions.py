"""Which phones a recogniser takes for which: a table and a picture of it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback

from lightning_wavenet.files import refuse_existing, write_atomically
from lightning_wavenet.tasks import RecognitionWaveNet

_MISSED, _ADDED = "(missed)", "(added)"


class ConfusionTable(Callback):
    """Writes `confusions.csv` and `confusions.png` after the test of a recogniser.

    Rows are phones that were said, columns what they were recognised as; one column more counts phones that were
    missed, one row more phones that nobody said.

    Args:
        folder: Where they go.
        overwrite: Whether those of another test may be replaced.
    """

    def __init__(self, folder: Path, overwrite: bool) -> None:
        self.folder = folder
        self.overwrite = overwrite

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Looks before minutes are spent on a table that cannot be written.

        Raises:
            RequestError: There is one.
        """
        if stage == "test" and isinstance(pl_module, RecognitionWaveNet):
            refuse_existing([self.folder / "confusions.csv"], self.overwrite, "--run")

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds up what the processes found, and writes it."""
        if not isinstance(pl_module, RecognitionWaveNet):
            return
        table = trainer.strategy.reduce(pl_module.confusions("test"), reduce_op="sum")
        if not trainer.is_global_zero:
            return
        names = pl_module.model.scored_names()
        kept = [*range(len(names)), len(table) - 1]
        counts: NDArray[np.int64] = table.cpu().numpy()[np.ix_(kept, kept)]
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / "confusions.csv", lambda path: _write_table(path, names, counts))
        write_atomically(self.folder / "confusions.png", lambda path: _draw_table(path, names, counts))
        print(f"confusions in {self.folder}/confusions.csv and .png", flush=True)


def _write_table(path: Path, names: list[str], counts: NDArray[np.int64]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["said", *names, _MISSED])
        for name, row in zip([*names, _ADDED], counts.tolist(), strict=True):
            writer.writerow([name, *row])


def _draw_table(path: Path, names: list[str], counts: NDArray[np.int64]) -> None:
    """Each row in percent of how often its phone was said; the last in percent of all that were added."""
    percent = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(4.0, 0.17 * len(names) + 2)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(percent, cmap="magma", vmin=0, vmax=100)
    axes.set_xticks(range(len(names) + 1), [*names, _MISSED], rotation=90, fontsize=7)
    axes.set_yticks(range(len(names) + 1), [*names, _ADDED], fontsize=7)
    axes.set(xlabel="recognised as", ylabel="said")
    figure.colorbar(image, ax=axes, label="% of the row", shrink=0.7)
    figure.savefig(path, dpi=110, format="png")
