"""The folder that holds all there is of a run: `config.yaml`, `checkpoints/`, `logs/` and `samples/`."""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_utilities.core.rank_zero import rank_zero_only

from lightning_wavenet.callbacks import LAST, PREVIOUS
from lightning_wavenet.errors import RequestError
from lightning_wavenet.files.atomic import need_folder
from lightning_wavenet.models.checkpoint import read

PARTS = ("config.yaml", "checkpoints", "logs", "samples", "diverged", "test")
_FOR_CHILDREN = "_LIGHTNING_WAVENET_RUN"


class RunFolder:
    """Where a command writes, chosen before anything is written; a new folder is made when its name is chosen.

    Args:
        given: The folder that was asked for, if any.
        checkpoint: The checkpoint to resume from, if any; its own run folder is the default.
        experiment: Name for a new folder, `runs/EXPERIMENT/DATE-TIME`.

    Raises:
        RequestError: The folder cannot be known, or is a file.
    """

    def __init__(self, given: str | None, checkpoint: str | None, experiment: str) -> None:
        own, new = None, False
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
            self.path = Path("runs") / experiment / f"{datetime.now():%Y%m%d-%H%M%S}"
            new = True
        need_folder(self.path, "--run")
        self.resumed = own is not None and own.resolve() == self.path.resolve()
        self._made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        if new:
            named, self.path = self.path, _claimed(self.path)
            self._made = [self.path, *(folder for folder in self._made if folder != named)]
        self._was_empty = self.path in self._made or (self.path.is_dir() and not any(self.path.iterdir()))
        # Processes that Lightning starts for other devices run the command again, and must find the same folder.
        os.environ[_FOR_CHILDREN] = str(self.path)

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
        """Takes away what a run that was refused before its first checkpoint has made, and nothing else."""
        if getattr(rank_zero_only, "rank", 0) != 0 or (self.path / "checkpoints").exists():
            return
        if self._was_empty:
            for path in self.path.iterdir() if self.path.is_dir() else ():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        for folder in self._made:
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


def whole(checkpoint: str) -> tuple[str, dict[str, Any]]:
    """The checkpoint; or the one that was written before it, where it is a last one that is damaged or missing.

    Returns:
        Its path and its contents.

    Raises:
        RequestError: There is no whole one.
    """
    previous = Path(checkpoint).with_name(PREVIOUS)
    try:
        return checkpoint, read(checkpoint)
    except RequestError:
        if Path(checkpoint).name != LAST or not previous.exists():
            raise
        try:
            return str(previous), read(previous)
        except RequestError as error:
            raise RequestError(
                f"{checkpoint} and {previous.name} are both damaged: begin anew in another --run, or with --overwrite"
            ) from error


def _one_of_many_in_slurm() -> bool:
    return SLURMEnvironment.detect() and int(os.environ["SLURM_NTASKS"]) > 1


def _claimed(path: Path) -> Path:
    """A new folder of that name, or the first free one after it; made at once, for others choose at the same time."""
    number, candidate = 1, path
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            candidate.mkdir()
        except FileExistsError:
            number += 1
            candidate = path.with_name(f"{path.name}-{number}")
        except FileNotFoundError:
            continue  # Another run was refused, and took the parent away with its own folder.
        else:
            return candidate
