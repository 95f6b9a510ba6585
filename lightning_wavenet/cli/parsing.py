"""What the parsers of all verbs have in common."""

from __future__ import annotations

import re
from typing import Any

from jsonargparse import ActionYesNo, ArgumentParser, set_parsing_settings

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
