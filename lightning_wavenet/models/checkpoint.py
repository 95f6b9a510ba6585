"""Checkpoints: what they hold beside the weights, and the model of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch

from lightning_wavenet.data import blueprint
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.machine.devices import find_device
from lightning_wavenet.models import Model

CHECKPOINT_KEY = "lightning_wavenet"
"""Where a checkpoint keeps what this project adds to it."""

FORMAT = 3
"""Version of what is kept there, and of the names of weights and options; raised when a name changes."""

PREFIX = "model."
"""Of the model's weights among those of its task."""


def described(model: Model) -> dict[str, Any]:
    """What is needed to rebuild a model, in plain values."""
    return {
        "format": FORMAT,
        "model": blueprint.describe(model, leave_out=("vocabulary",)),
        "vocabulary": model.vocabulary.to_plain(),
    }


def load(path: str | Path, device: str | torch.device = "auto") -> Model:
    """The model of a checkpoint, with its weights and vocabulary, ready to be used. Nothing in the file is executed.

    Args:
        path: A file that `wavenet fit` wrote.
        device: Where the weights go: "cpu", "cuda", "cuda:1", ...; "auto" takes a GPU where there is one.

    Raises:
        RequestError: There is no such file, it is damaged, or it is no checkpoint of this project; or no such device.
    """
    device = find_device(device)
    return rebuilt(read(path), str(path)).to(device).eval()


def rebuilt(checkpoint: dict[str, Any], origin: str) -> Model:
    """The model that the contents of a checkpoint describe, with its weights.

    Raises:
        RequestError: They do not fit this version; the message begins with `origin`.
    """
    check_format(checkpoint, origin)
    saved = checkpoint[CHECKPOINT_KEY]
    try:
        model = blueprint.build(saved["model"], vocabulary=Vocabulary.from_plain(saved["vocabulary"]))
        weights: dict[str, torch.Tensor] = checkpoint["state_dict"]
        own = {name.removeprefix(PREFIX): value for name, value in weights.items() if name.startswith(PREFIX)}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RequestError(f"{origin} was written by another version, or is incomplete: {_what(error)}") from error
    if not isinstance(model, Model):
        raise RequestError(f"{origin} holds a {type(model).__name__}, which is no model")
    check_weights(model, own, origin)
    model.load_state_dict(own)
    model.checkpoint, model.step = Path(origin), checkpoint.get("global_step")
    return model


def check_weights(model: Model, weights: dict[str, torch.Tensor], origin: str) -> None:
    """Refuses weights that are not those of a model, by name and shape.

    Raises:
        RequestError: Some are missing, unknown or of another shape; the message begins with `origin`.
    """
    own = {blueprint.plain_name(name): value for name, value in model.state_dict().items()}
    shapes = [name for name in own if name in weights and own[name].shape != weights[name].shape]
    found = {
        "lacks": [name for name in own if name not in weights],
        "has beside them": [name for name in weights if name not in own],
        "has in another shape": shapes,
    }
    if said := [f"it {how} {_some(names)}" for how, names in found.items() if names]:
        kind = type(model).__name__
        raise RequestError(f"{origin} does not have the weights of this version's {kind}: {', '.join(said)}")


def _what(error: Exception) -> str:
    return f"it has no {error.args[0]}" if isinstance(error, KeyError) else str(error)


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
    if not isinstance(checkpoint, dict):
        raise RequestError(f"{path} is not a checkpoint that wavenet fit wrote")
    check_format(checkpoint, str(path))
    return checkpoint


def check_format(checkpoint: dict[str, Any], origin: str) -> None:
    """Refuses what is no checkpoint of this project, or one of another version.

    Raises:
        RequestError: It is one of these; the message begins with `origin`.
    """
    if CHECKPOINT_KEY not in checkpoint:
        raise RequestError(f"{origin} is not a checkpoint that wavenet fit wrote")
    ours = checkpoint[CHECKPOINT_KEY]
    written = ours.get("format", 0) if isinstance(ours, dict) else 0
    if not isinstance(written, int) or written > FORMAT:
        raise RequestError(f"{origin} was written by a later version, which is needed to read it")
    if written < FORMAT:
        raise RequestError(f"{origin} was written by an earlier version: train it again")
    needed = {"model": ours, "vocabulary": ours, "state_dict": checkpoint}
    if lacking := [name for name, where in needed.items() if not isinstance(where.get(name), dict)]:
        raise RequestError(f"{origin} was written by another version, or is incomplete: it has no {lacking[0]}")


@torch.no_grad()
def take_weights(model: Model, path: str | Path) -> str:
    """Gives a model the weights of a checkpoint, as far as they fit; those of names (speakers, phones) by name.

    Args:
        model: Gets them, in place.
        path: The checkpoint.

    Returns:
        What was taken and what is new, in a sentence.

    Raises:
        RequestError: The checkpoint cannot be read, or nothing of it fits.
    """
    source = load(path, "cpu")
    given, own = source.state_dict(), model.state_dict()
    given_axes, own_axes = source.named_axes(), model.named_axes()
    taken, new = 0, []
    names: dict[str, bool] = {}
    for name, weight in own.items():
        if name in own_axes and name in given_axes:
            ours, theirs = own_axes[name], given_axes[name]
            free = [axis for axis, known in enumerate(ours) if known is None]
            if len(ours) == len(theirs) and all(weight.shape[axis] == given[name].shape[axis] for axis in free):
                taken += _take_named(weight, given[name], ours, theirs, names)
                continue
        named = name in own_axes or name in given_axes
        if name in given and given[name].shape == weight.shape and not named:
            weight.copy_(given[name])
            taken += 1
        else:
            shape = f" (there {list(given[name].shape)}, here {list(weight.shape)})" if name in given else ""
            new.append(f"{name}{shape}")
    if not taken:
        raise RequestError(f"no weight of {path} fits this model: {new[0]}")
    told = [f"{taken} of {len(own)} tensors of {path} taken"]
    if names:
        for word, which in (("taken", True), ("new", False)):
            chosen = [name for name, known in names.items() if known is which]
            if chosen:
                told.append(f"{word} by name: {_some(chosen)}")
    if new:
        told.append(f"new: {_some(new)}")
    return "; ".join(told)


def _take_named(
    weight: torch.Tensor, given: torch.Tensor, ours: tuple[Any, ...], theirs: tuple[Any, ...], names: dict[str, bool]
) -> bool:
    """Copies the entries of names that both have along the one axis that has names; notes which those are."""
    (axis,) = (axis for axis, known in enumerate(ours) if known is not None)
    places = {name: place for place, name in enumerate(theirs[axis] or ())}
    found = False
    for place, name in enumerate(ours[axis]):
        names[name] = name in places
        if name in places:
            weight.select(axis, place).copy_(given.select(axis, places[name]))
            found = True
    return found


def _some(names: list[str]) -> str:
    return f"{len(names)} ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"
