"""What all verbs have in common: a parser made of a typed function, the corpus, flags, errors on one line."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

import docstring_parser
from jsonargparse import ActionYesNo, ArgumentParser, Namespace, set_parsing_settings
from omegaconf.errors import OmegaConfBaseException

from lightning_wavenet.cli.renamed import refuse_old_names
from lightning_wavenet.errors import RequestError

PARSER: dict[str, Any] = {"exit_on_error": False, "parser_mode": "omegaconf+"}
"""Errors are raised, for `main` to print; YAML files may interpolate."""

# Absolute interpolations are rooted above the subcommand without the first; options of dataclasses are explained by
# the docstrings of their attributes.
set_parsing_settings(omegaconf_absolute_to_relative_paths=True, docstring_parse_attribute_docstrings=True)


def verb(function: Callable[..., None], name: str) -> Callable[[list[str]], None]:
    """The `main` of a verb that is one function."""

    def main(arguments: list[str]) -> None:
        parser = verb_parser(function, arguments, prog=f"wavenet {name}")
        call(function, instantiate(parser, parse(parser, arguments)))

    main.__doc__ = f"Parses the options of `wavenet {name}`, and does it."
    return main


def verb_parser(function: Callable[..., None], arguments: list[str], **options: Any) -> ArgumentParser:
    """A parser of a function's parameters, explained by its docstring.

    Parameters that are positional only are so on the command line; a bool is a flag, such as `--overwrite`; `data` is
    the corpus, which a `--config` may give; a Sequence takes as many
    words as come, such as `--frames_from *.wav`.

    Args:
        function: What the verb does. Its annotations must not be postponed.
        arguments: What will be parsed.
        options: Of the parser.
    """
    documented = docstring_parser.parse(function.__doc__ or "")
    texts = {parameter.arg_name: " ".join((parameter.description or "").split()) for parameter in documented.params}
    parser = ArgumentParser(description=documented.short_description, **PARSER, **options)
    own: set[str | int] = set()
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.POSITIONAL_ONLY:
            several = get_origin(parameter.annotation) is list
            kind = get_args(parameter.annotation)[0] if several else parameter.annotation
            count = "+" if several else None if parameter.default is parameter.empty else "?"
            parser.add_argument(name, type=kind, help=texts[name], nargs=count)
        elif name == "data":
            add_corpus(parser, arguments)
        elif parameter.annotation is bool:
            add_flag(parser, f"--{name}", texts[name])
        elif get_origin(parameter.annotation) is Sequence:
            (kind,) = get_args(parameter.annotation)
            parser.add_argument(f"--{name}", type=kind, help=texts[name], nargs="+", default=list(parameter.default))
        else:
            continue
        own.add(name)
    parser.add_function_arguments(function, skip=own)
    return parser


def call(function: Callable[..., None], options: Namespace) -> None:
    """Calls the function of a verb with what was parsed and instantiated."""
    given = dict(vars(options))
    given.pop("config", None)
    parameters = inspect.signature(function).parameters.values()
    positional = [given.pop(one.name) for one in parameters if one.kind is one.POSITIONAL_ONLY]
    function(*positional, **given)


def add_flag(parser: ArgumentParser, name: str, text: str) -> None:
    """Adds a flag such as `--overwrite`, which may also be written `--overwrite=true`."""
    parser.add_argument(name, action=ActionYesNo, nargs="?", default=False, help=text)
    _FLAGS.add(name)


_FLAGS: set[str] = set()
"""Those that some parser has."""
_HYPHENED = re.compile(r"(?<=^--)[a-z]\w*(?:-\w+)+(?==|$)")
_TRUTHS = ("true", "yes", "false", "no")


def spelled_out(arguments: list[str]) -> list[str]:
    """Arguments in which a flag says what it is itself, and does not swallow a file that comes after it.

    Names of options may have hyphens, as in `--frames-from`.
    """
    arguments = [_HYPHENED.sub(lambda name: name[0].replace("-", "_"), one) for one in arguments]
    after = [*arguments[1:], ""][: len(arguments)]
    bare = [one in _FLAGS and following.lower() not in _TRUTHS for one, following in zip(arguments, after, strict=True)]
    return [f"{one}=true" if alone else one for one, alone in zip(arguments, bare, strict=True)]


def add_corpus(parser: ArgumentParser, arguments: list[str]) -> None:
    """Adds `--data`, which the section data of a `--config` may give.

    Args:
        parser: Of a verb that works on a corpus.
        arguments: What will be parsed, to find the configurations in it.

    Raises:
        RequestError: One of these cannot be read.
    """
    from datamodules import AudioDataModule

    parser.add_argument("-c", "--config", action="append", help="an experiment, of which only the section data is used")
    parser.add_subclass_arguments(AudioDataModule, "data", required=True, help="the corpus")
    configs = read_configs(arguments)
    refuse_old_names(arguments, configs)
    section = _resolved(configs).get("data")
    if section is not None:
        try:
            parser.set_defaults({"data": section})
        except ValueError as error:
            raise RequestError(f"the section data cannot be used: {essence(str(error))}") from error
    elif not any(argument.startswith(("--data", "-h", "--help")) for argument in arguments):
        raise RequestError(
            "say which corpus: --config EXPERIMENT.yaml, of which the section data counts, or --data ..."
        )


def read_configs(arguments: list[str]) -> list[dict[str, Any]]:
    """The configurations that arguments name, as they are written.

    Raises:
        RequestError: One of them cannot be read.
    """
    import yaml  # type: ignore[import-untyped]

    scan = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    scan.add_argument("-c", "--config", action="append", nargs="?", default=[])
    configs = []
    for path in filter(None, scan.parse_known_args(arguments)[0].config):
        if not Path(path).is_file():
            raise RequestError(f"there is no experiment {path}")
        try:
            config = yaml.safe_load(Path(path).read_text())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise RequestError(f"{path} is not YAML: {error}") from error
        if not isinstance(config, dict):
            raise RequestError(f"{path} is not an experiment: it has no sections")
        configs.append(config)
    return configs


def parse(parser: ArgumentParser, arguments: list[str]) -> Namespace:
    """The options of a command.

    Raises:
        RequestError: An interpolation leads nowhere.
    """
    try:
        return parser.parse_args(spelled_out(arguments))
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


def _resolved(configs: list[dict[str, Any]]) -> Mapping[str, Any]:
    """Configurations as one, the later above the earlier, with their interpolations followed."""
    from omegaconf import OmegaConf

    try:
        merged = OmegaConf.merge(*configs) if configs else OmegaConf.create()
        # Only the corpus: other sections may interpolate what is not known here.
        return {"data": OmegaConf.to_container(merged.data, resolve=True)} if "data" in merged else {}
    except (OmegaConfBaseException, ValueError) as error:
        raise RequestError(f"the section data cannot be read: {error}") from error


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
