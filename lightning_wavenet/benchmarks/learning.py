"""How far nets and recipes come in equal time: held-out bits per sample after so many minutes of a core."""

from __future__ import annotations

import math
import runpy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from datamodules.folders import files_below
from lightning_wavenet.backbone import MuLawSoftmax, WaveNet
from lightning_wavenet.errors import RequestError
from lightning_wavenet.files.audio import AUDIO_SUFFIXES, read_audio
from lightning_wavenet.tasks.optimizers import Muon
from lightning_wavenet.tasks.schedules import WarmupCosine, WarmupLinear

SAMPLE_RATE = 16_000
"""Of all recordings (Hz)."""
CONTEXT = 3_071
"""Samples before a crop, real ones or silence: the receptive field of the paper's net."""
TEST_SECONDS = 2
"""How much of every test clip counts (s)."""
WARMUP = 0.02
"""Part of the time in which the learning rate rises."""

Schedule = Literal["constant", "cosine", "linear"]


@dataclass(frozen=True)
class Recipe:
    """How a net is trained.

    Attributes:
        optimizer: "muon" (with `lr` for what it leaves to Adam) or "adam".
        lr: Learning rate, the highest where there is a schedule.
        schedule: Over the time that is given, after a rise over its first 2 %, but for "constant".
        crop: Samples of a crop that count in the loss.
        clip: Largest norm of the gradient.
    """

    optimizer: Literal["muon", "adam"] = "muon"
    lr: float = 0.005
    schedule: Schedule = "linear"
    crop: int = 4_000
    clip: float = 1.0

    def factor(self, progress: float) -> float:
        """Of the learning rate, when so much of the time is over, 0 to 1."""
        if self.schedule == "constant":
            return 1.0
        fall = WarmupCosine.fall if self.schedule == "cosine" else WarmupLinear.fall
        return min(1.0, (progress + WARMUP / 20) / WARMUP) * fall(min(1.0, progress))


@dataclass(frozen=True)
class Mark:
    """What was reached.

    Attributes:
        minutes: Of a core, spent in training steps.
        steps: Of the optimizer.
        bits: Per sample of the test clips (mu-law 256, 16 kHz).
    """

    minutes: float
    steps: int
    bits: float


def load_clips(root: Path) -> tuple[list[Tensor], list[Tensor]]:
    """Codes of the clips below a folder, silence before each: the first four fifths to train on, the rest to test."""
    encode = MuLawSoftmax().encode
    silence = torch.full((CONTEXT,), MuLawSoftmax().silence)
    files = [path for name, path in files_below(root)[0].items() if path.suffix.lower() in AUDIO_SUFFIXES]
    clips = [torch.cat([silence, encode(read_audio(path, SAMPLE_RATE))]) for path in files]
    train = len(clips) * 4 // 5
    if not train or train == len(clips):
        raise RequestError(f"{root} holds {len(clips)} recordings, which are too few to train and to test on")
    return clips[:train], [clip[: CONTEXT + TEST_SECONDS * SAMPLE_RATE] for clip in clips[train:]]


def load_net(name: str) -> nn.Module:
    """The paper's net, "wavenet", or what the function `build` of a Python file returns.

    Such a net reads codes `[1, T]` and returns logits whose last steps follow the last codes, `[1, T', 256]`.

    Raises:
        RequestError: There is no such file, or no `build` in it.
    """
    if name == "wavenet":
        return WaveNet()
    build = runpy.run_path(name).get("build") if Path(name).is_file() else None
    if build is None:
        raise RequestError(f"--net takes wavenet, or a Python file that defines build(), and {name} is neither")
    built: nn.Module = build()
    return built


def learn(
    net: nn.Module, recipe: Recipe, train: Sequence[Tensor], test: Sequence[Tensor], marks: Sequence[float], seed: int
) -> Iterator[Mark]:
    """Trains a net, and tests it before it is trained and when so many minutes of a core are over.

    The time of the process counts, which is that of a core as long as PyTorch takes one thread, however busy the
    machine is; tests and the first steps, in which much is made once, do not count.

    Args:
        net: As `load_net` gives it.
        recipe: How it is trained.
        train: Clips to draw crops from, in proportion to their length.
        test: Clips.
        marks: When to test (minutes), ascending; the last ends the training.
        seed: Decides which crops are drawn.
    """
    optimizer: Optimizer
    if recipe.optimizer == "muon":
        optimizer = Muon(net.named_parameters(), recipe.lr)
    else:
        optimizer = torch.optim.Adam(net.parameters(), recipe.lr)
    highest = [group["lr"] for group in optimizer.param_groups]
    rng = np.random.default_rng(seed)
    window = CONTEXT + recipe.crop
    long = [clip for clip in train if len(clip) >= window]
    if not long:
        raise RequestError(f"no training clip has the {recipe.crop:,} samples of a crop")
    shares = np.array([len(clip) - CONTEXT for clip in long], float)
    spent, steps, total = 0.0, 0, marks[-1] * 60
    yield Mark(0, 0, _bits(net, test))
    for mark in marks:
        while spent < mark * 60:
            clip = long[rng.choice(len(long), p=shares / shares.sum())]
            first = int(rng.integers(0, len(clip) - window + 1))
            codes = clip[None, first : first + window]
            for group, lr in zip(optimizer.param_groups, highest, strict=True):
                group["lr"] = lr * recipe.factor(spent / total)
            began = time.process_time()
            optimizer.zero_grad(set_to_none=True)
            _nats(net, codes).mean().backward()
            nn.utils.clip_grad_norm_(net.parameters(), recipe.clip)
            optimizer.step()
            spent += time.process_time() - began if steps > 2 else 0.0
            steps += 1
        yield Mark(mark, steps, _bits(net, test))


def _nats(net: nn.Module, codes: Tensor) -> Tensor:
    """Nats of the samples after the context."""
    targets = codes[0, CONTEXT:]
    return F.cross_entropy(net(codes[:, :-1])[0, -len(targets) :], targets, reduction="none")


@torch.inference_mode()
def _bits(net: nn.Module, clips: Sequence[Tensor]) -> float:
    net.eval()
    nats = torch.cat([_nats(net, clip[None]).double() for clip in clips])
    net.train()
    return float(nats.mean()) / math.log(2)
