"""How a module is rebuilt from a checkpoint: its class and constructor arguments as plain values.

Every module of this project keeps its constructor arguments as attributes of the same names. A blueprint reads them
back, so that a checkpoint holds names and numbers instead of pickled classes, whether the module was built from YAML
or in Python.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Container
from pathlib import PurePath
from typing import Any

from torch import nn

from lightning_wavenet.errors import RequestError

PACKAGE = __name__.partition(".")[0]


def describe(module: object, leave_out: Container[str] = ()) -> dict[str, Any]:
    """Class path and constructor arguments of a module, nested modules included.

    Functions among the arguments (an optimizer, say) are what only training needs and are left out.

    Args:
        module: A module, or another object that keeps its constructor arguments.
        leave_out: Names of arguments that `build` will be given.
    """
    module = uncompiled(module)
    cls = type(module)
    arguments = {name: getattr(module, name) for name in _parameters(cls)}
    return {
        "class_path": f"{cls.__module__}.{cls.__qualname__}",
        "init_args": {
            name: _plain(value)
            for name, value in arguments.items()
            if name not in leave_out and (isinstance(value, nn.Module) or not callable(value))
        },
    }


def build(blueprint: dict[str, Any], **given: Any) -> Any:
    """The inverse of `describe`, with the arguments that were left out.

    Nothing but classes is ever called: those of this project, and modules of torch's kind that the program has
    already imported, so that a checkpoint cannot run code of its choice.

    Raises:
        RequestError: The class is none of these, or no longer takes the arguments that it was saved with.
    """
    path = blueprint["class_path"]
    module_name, _, class_name = path.rpartition(".")
    ours = module_name.partition(".")[0] == PACKAGE
    if not ours and module_name not in sys.modules:
        raise RequestError(f"the checkpoint needs the class {path}; import {module_name} first")
    try:
        cls = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise RequestError(f"this version has no {path}, which the checkpoint needs") from error
    if not isinstance(cls, type) or cls.__module__ != module_name or not (ours or issubclass(cls, nn.Module)):
        raise RequestError(f"the checkpoint asks for {path}, which is no module that a model is made of")
    try:
        return cls(**{name: built(value) for name, value in blueprint["init_args"].items()}, **given)
    except (TypeError, ValueError) as error:
        raise RequestError(f"this version cannot rebuild {path}: {error}") from error


def uncompiled(module: Any) -> Any:
    """What `torch.compile` was given to make a module of; other objects as they are."""
    return getattr(module, "_orig_mod", module)


def plain_name(weight: str) -> str:
    """The name of a weight in a model that is not compiled."""
    return weight.replace("_orig_mod.", "")


def _parameters(cls: type) -> list[str]:
    """Names of a class's constructor arguments, with those that it passes on to its base class as **options."""
    names: dict[str, None] = {}
    for base in cls.__mro__:
        if "__init__" in vars(base):
            own = list(inspect.signature(base.__init__).parameters.values())[1:]  # type: ignore[misc]
            names |= {one.name: None for one in own if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}
            if not any(one.kind is one.VAR_KEYWORD for one in own):
                break
    return list(names)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple | nn.ModuleList):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, PurePath) else describe(value)


def built(value: Any) -> Any:
    """A plain value with the modules that it describes built, as an argument of a constructor."""
    if isinstance(value, dict) and set(value) == {"class_path", "init_args"}:
        return build(value)
    return [built(item) for item in value] if isinstance(value, list) else value
