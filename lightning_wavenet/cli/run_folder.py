"""The folder that holds all there is of a run: `config.yaml`, `checkpoints/`, `logs/` and `samples/`."""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_utilities.core.rank_zero import rank_zero_only

from lightning_wavenet.callbacks import LAST, PREVIOUS
from lightning_wavenet.errors import RequestError
from lightning_wavenet.files.atomic import need_folder
from lightning_wavenet.models.checkpoint import read

PARTS = ("config.yaml", "checkpoints", "logs", "samples", "diverged", "test")
_FOR_CHILDREN = "_LIGHTNING_WAVENET_RUN"


class RunFolder:
    """Where a command writes, chosen before anything is written.

    Args:
        given: The folder that was asked for, if any.
        checkpoint: The checkpoint to resume from, if any; its own run folder is the default.
        experiment: Name for a new folder, `runs/EXPERIMENT/DATE-TIME`.

    Raises:
        RequestError: The folder cannot be known, or is a file.
    """

    def __init__(self, given: str | None, checkpoint: str | None, experiment: str) -> None:
        own = None
        if checkpoint is not None and Path(checkpoint).resolve().parent.name == "checkpoints":
            own = Path(checkpoint).parent.parent
        launched = "LOCAL_RANK" in os.environ
        if given is not None:
            self.path = Path(given)
        elif launched and _FOR_CHILDREN in os.environ:
            self.path = Path(os.environ[_FOR_CHILDREN])
        elif own is not None:
            self.path = own
        elif checkpoint is not None:
            raise RequestError(f"{checkpoint} lies in no run folder: say where to write with --run")
        elif (launched and int(os.environ.get("WORLD_SIZE", "1")) > 1) or _one_of_many_in_slurm():
            raise RequestError("processes that were started apart cannot agree on a run folder: give --run")
        else:
            self.path = _unused(Path("runs") / experiment / f"{datetime.now():%Y%m%d-%H%M%S}")
        need_folder(self.path, "--run")
        self.resumed = own is not None and own.resolve() == self.path.resolve()
        # Processes that Lightning starts for other devices run the command again, and must find the same folder.
        os.environ[_FOR_CHILDREN] = str(self.path)
        self._made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]

    def claim(self, overwrite: bool, resume: bool) -> None:
        """Makes sure that no other run is touched, or with `overwrite` that nothing of it is left.

        With `resume` the folder is this run's own, whose first start may have ended before its first checkpoint.

        Raises:
            RequestError: Another run is there.
        """
        used = self.path.is_dir() and any(self.path.iterdir())
        if getattr(rank_zero_only, "rank", 0) != 0 or self.resumed or not used:
            return
        if not overwrite and resume:
            return
        if not overwrite:
            raise RequestError(f"{self.path} has files in it: choose another --run, or say --resume or --overwrite")
        for part in PARTS:
            if (self.path / part).is_dir():
                shutil.rmtree(self.path / part)
            else:
                (self.path / part).unlink(missing_ok=True)

    def withdraw(self) -> None:
        """Takes away the empty folders that Lightning's loggers made for a run that was refused, and no others."""
        if self.path in self._made and not any(path.is_file() for path in self.path.rglob("*")):
            shutil.rmtree(self.path, ignore_errors=True)
            for folder in self._made[1:]:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()

    @staticmethod
    def forget() -> None:
        """Lets the next command of this process choose anew."""
        os.environ.pop(_FOR_CHILDREN, None)


def last_of(run: str) -> str | None:
    """The checkpoint that training in a run folder resumes from, damaged or not; None where there is none."""
    folder = Path(run) / "checkpoints"
    return str(folder / LAST) if (folder / LAST).exists() or (folder / PREVIOUS).exists() else None


def whole(checkpoint: str) -> str:
    """The checkpoint; or the one that was written before it, where it is a last one that is damaged or missing.

    Raises:
        RequestError: There is no whole one.
    """
    previous = Path(checkpoint).with_name(PREVIOUS)
    try:
        read(checkpoint)
    except RequestError:
        if Path(checkpoint).name != LAST or not previous.exists():
            raise
        try:
            read(previous)
        except RequestError as error:
            raise RequestError(
                f"{checkpoint} and {previous.name} are both damaged: begin anew in another --run, or with --overwrite"
            ) from error
        return str(previous)
    return checkpoint


def _one_of_many_in_slurm() -> bool:
    return SLURMEnvironment.detect() and int(os.environ["SLURM_NTASKS"]) > 1


def _unused(path: Path) -> Path:
    number, candidate = 1, path
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate
