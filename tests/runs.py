"""Tiny training runs by the command, and what they come to."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_wavenet.cli.main import main

CONFIG = """
seed_everything: 3
model:
  class_path: lightning_wavenet.tasks.SpeakerWaveNet
  init_args:
    backbone:
      dilations: 1..4 x2
      residual_channels: 8
      gate_channels: 8
      skip_channels: 8
      head_channels: 8
    optimizer:
      class_path: torch.optim.Adam
      init_args:
        lr: 0.02
    lr_scheduler:
      class_path: lightning_wavenet.tasks.schedules.WarmupCosine
      init_args:
        total_steps: 400
        warmup_steps: 5
data:
  class_path: datamodules.AudioFolderDataModule
  init_args:
    root: TONES
    pattern: (?P<speaker>\\w+)/
    audio:
      sample_rate: 4000
    split:
      validation: 0.2
      test: 0.2
    batch_size: 4
    crops:
      samples: 500
      validation_windows: 8
trainer:
  accelerator: cpu
  max_steps: 14
  val_check_interval: 6
  check_val_every_n_epoch: null
  log_every_n_steps: 1
  gradient_clip_val: 1.0
  accumulate_grad_batches: 3
ema:
  decay: 0.9
samples:
  every_n_steps: 0
checkpoint:
  every_n_steps: 4
"""


def stopped(arguments: list[str]) -> int:
    """The exit code of a run that does not come to its end."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert isinstance(end.value.code, int)
    return end.value.code


def contents(run: str, name: str = "last") -> dict[str, Any]:
    """All that training goes on from, and what the best was.

    Without Lightning's own count of epochs, which is one too many after some resumes: crops are drawn by that of the
    loader (`ResumableLoader`), which stays.
    """
    saved = torch.load(Path(run) / "checkpoints" / f"{name}.ckpt", weights_only=True)
    del saved["loops"]["fit_loop"]["epoch_progress"]
    kept = {
        key: saved[key] for key in ("state_dict", "ema", "optimizer_states", "lr_schedulers", "global_step", "loops")
    }
    return kept | {"best": saved["callbacks"]["LastAndBest"]}


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Places where two nested structures are not equal to the bit."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [where]
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        return [place for key in one for place in differences(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, list | tuple):
        assert len(one) == len(other), where
        return [
            place
            for n, (a, b) in enumerate(zip(one, other, strict=True))
            for place in differences(a, b, f"{where}.{n}")
        ]
    return [] if one == other else [f"{where}: {one} {other}"]


def assert_same(one: str, other: str) -> None:
    """Two runs have the same last and best checkpoints."""
    for name in ("last", "best"):
        found = differences(contents(one, name), contents(other, name))
        assert not found, (name, found)
