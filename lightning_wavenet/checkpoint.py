"""One loader for every task's checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch

from lightning_wavenet import blueprint
from lightning_wavenet.errors import RequestError
from lightning_wavenet.tasks.base import CHECKPOINT_KEY, BaseTask
from lightning_wavenet.vocabulary import Vocabulary


def load(path: str | Path, device: str | torch.device = "cpu") -> BaseTask:
    """The task of a checkpoint, with its weights and vocabulary, ready to generate.

    Args:
        path: A file that `wavenet fit` wrote.
        device: Where the weights go.

    Raises:
        RequestError: There is no such file, it is damaged, or it is no checkpoint of this project; or no such device.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RequestError(f"there is no device {str(device)!r} on this machine") from error
    checkpoint = read(path)
    task = blueprint.build(checkpoint[CHECKPOINT_KEY]["task"])
    if not isinstance(task, BaseTask):
        raise RequestError(f"{path} holds a {type(task).__name__}, which is no task")
    task.load_state_dict(checkpoint["state_dict"])
    if checkpoint[CHECKPOINT_KEY]["vocabulary"] is not None:
        task.vocabulary = Vocabulary.from_plain(checkpoint[CHECKPOINT_KEY]["vocabulary"])
    return task.to(device).eval()


def read(path: str | Path) -> dict[str, Any]:
    """The contents of a checkpoint file; nothing in it is executed.

    Raises:
        RequestError: As `load`.
    """
    path = Path(path)
    if not path.is_file():
        raise RequestError(f"there is no checkpoint {path}")
    try:
        with ZipFile(path) as parts:  # torch.load does not look at the checksums.
            if parts.testzip() is not None:
                raise BadZipFile
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load promises no kind of error for a file that it cannot read.
        raise RequestError(f"{path} is no checkpoint, or a damaged one") from error
    if not isinstance(checkpoint, dict) or CHECKPOINT_KEY not in checkpoint:
        raise RequestError(f"{path} is not a checkpoint that wavenet fit wrote")
    return checkpoint
