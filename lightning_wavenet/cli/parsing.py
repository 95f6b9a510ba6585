"""What the parsers of all verbs have in common."""

from __future__ import annotations

import argparse
import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ActionYesNo, ArgumentParser, Namespace, set_parsing_settings
from omegaconf.errors import OmegaConfBaseException

from lightning_wavenet.errors import RequestError

if TYPE_CHECKING:
    from datamodules import AudioDataModule

PARSER: dict[str, Any] = {"exit_on_error": False, "parser_mode": "omegaconf+"}
"""Errors are raised, for `main` to print; YAML files may interpolate."""

# Absolute interpolations are rooted above the subcommand without the first; options of dataclasses are explained by
# the docstrings of their attributes.
set_parsing_settings(omegaconf_absolute_to_relative_paths=True, docstring_parse_attribute_docstrings=True)


def add_flag(parser: ArgumentParser, name: str, text: str) -> None:
    """Adds a flag such as `--overwrite`, which may also be written `--overwrite=true`."""
    parser.add_argument(name, action=ActionYesNo, nargs="?", default=False, help=text)


def add_overwrite(parser: ArgumentParser, text: str) -> None:
    """Adds `--overwrite`."""
    add_flag(parser, "--overwrite", text)


def add_corpus(parser: ArgumentParser, arguments: list[str]) -> None:
    """Adds `--data`, which a `--config` may give.

    Args:
        parser: Of a verb that works on a corpus.
        arguments: What will be parsed, to find the other sections of the experiments in it.

    Raises:
        RequestError: One of the experiments cannot be read.
    """
    from datamodules import AudioDataModule

    parser.add_argument("--config", action="config", help="an experiment, of which only the section data is used")
    parser.add_subclass_arguments(AudioDataModule, "data", required=True, help="the corpus")
    for section in _other_sections(arguments):
        parser.add_argument(f"--{section}", type=Any, help="not used")


def take_corpus(arguments: list[str]) -> tuple[AudioDataModule, list[str]]:
    """The corpus that `--config` and `--data` describe, and the other arguments.

    Apart from these, because an experiment has sections of the same names as a verb's own options.

    Raises:
        RequestError: They do not describe one.
    """
    ours: list[str] = []
    others: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if re.match(r"--(config|data)\b", argument):
            ours += [argument] if "=" in argument else [argument, *islice(waiting, 1)]
        else:
            others.append(argument)
    parser = ArgumentParser(prog="wavenet", **PARSER)
    add_corpus(parser, ours)
    if not ours:
        raise RequestError(
            "say which corpus: --config EXPERIMENT.yaml, of which the section data counts, or --data ..."
        )
    return instantiate(parser, parse(parser, ours)).data, others


def parse(parser: ArgumentParser, arguments: list[str]) -> Namespace:
    """The options of a command that works on a corpus.

    Raises:
        RequestError: An interpolation leads nowhere.
    """
    try:
        return parser.parse_args(arguments)
    except OmegaConfBaseException as error:
        raise RequestError(str(error)) from error


def instantiate(parser: ArgumentParser, options: Namespace) -> Namespace:
    """The options with the classes in them built; what a constructor refuses is the user's to mend.

    Raises:
        RequestError: It does refuse.
    """
    try:
        return parser.instantiate_classes(options)
    except ValueError as error:
        raise RequestError(essence(str(error))) from error


def _other_sections(arguments: list[str]) -> list[str]:
    """Sections of the given experiments beside `data`: they are let through, for data may interpolate from them."""
    import yaml  # type: ignore[import-untyped]

    scan = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    scan.add_argument("--config", action="append", default=[])
    sections: dict[str, None] = {}
    for path in scan.parse_known_args(arguments)[0].config:
        if not Path(path).is_file():
            raise RequestError(f"there is no experiment {path}")
        try:
            experiment = yaml.safe_load(Path(path).read_text())
        except yaml.YAMLError as error:
            raise RequestError(f"{path} is not YAML: {error}") from error
        if not isinstance(experiment, dict):
            raise RequestError(f"{path} is not an experiment: it has no sections")
        sections |= dict.fromkeys(experiment)
    sections.pop("data", None)
    return list(sections)


_REASONING = re.compile(
    r"Does not validate against any of the Union subtypes|^\s*Subtypes: .*$|^\s*Errors:\s*$|Given value(?: type)?: .*$"
    r"|- Expected a <class 'NoneType'>|- Expected a path but .* either not accessible or invalid"
    r"|Problem with given class_path '[^']*':",
    re.MULTILINE,
)


def essence(message: str) -> str:
    """What jsonargparse found wrong, on one line, without how it came to that."""
    line = " ".join(_REASONING.sub("", message).split())
    return re.sub(r"(^|:)( ?-)+ ", r"\1 ", line).strip()
