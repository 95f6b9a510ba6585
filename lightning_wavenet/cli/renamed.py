"""Options that have another name now, or are no longer needed: they are refused with what to say instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lightning_wavenet.errors import RequestError

_OF_CRITERION = ("frame_weight", "ctc_weight", "sample_weight", "sum_scale", "sum_warmup")
RENAMED = {
    "data.crops.batch_size": "data.batch_size",
    "data.crops.workers": "data.num_workers",
    "data.crops.evaluation_windows": "data.crops.validation_windows",
    "model.frame": "model.hop",
    "model.frames": "model.encoder",
    **{f"model.{name}": f"model.criterion.{name}" for name in _OF_CRITERION},
}
GONE = {
    "model.speakers": "the corpus says how many speakers there are: leave it out",
    "model.phones": "the corpus says how many phones there are: leave it out",
    "guard.bits": "say guard.times, how often the cost of a uniform guess a loss may be: 24 bits of 256 codes are 3",
    "model.backbone.global_channels": "the task says how wide its condition is: leave it out (model.embedding sets the "
    "width of an embedding)",
}


def refuse_old_names(arguments: Sequence[str], configs: Sequence[Mapping[str, Any]]) -> None:
    """Looks for old names in the flags of a command and in its configurations.

    Raises:
        RequestError: There is one; the message has the new name.
    """
    flags = [argument[2:].partition("=") for argument in arguments if argument.startswith("--")]
    options = [(name.replace(".init_args", ""), value if given else True) for name, given, value in flags]
    for name, value in (*options, *(option for config in configs for option in _leaves(config))):
        for old, new in RENAMED.items():
            if name == old or name.startswith(f"{old}."):
                raise RequestError(f"{name} is now called {new}{name.removeprefix(old)}")
        if name in GONE and value not in (0, None):
            raise RequestError(f"{name} is not an option any more: {GONE[name]}")


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        name = prefix.rstrip(".") if key == "init_args" else f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value
