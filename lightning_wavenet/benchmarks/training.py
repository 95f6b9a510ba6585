"""How fast the backbone trains, against the plain textbook form of the same net, in one run."""

from __future__ import annotations

import atexit
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from datamodules import Audio, AudioFolderDataModule, Crops
from datamodules.synthetic import synthesize_folder
from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.benchmarks.nets import NETS
from lightning_wavenet.benchmarks.rounds import device_name, forget_peak_memory, peak_memory_mb, taking_turns
from lightning_wavenet.data.batch import Request
from lightning_wavenet.machine.memory import keep_freed_memory, return_freed_memory

Form = Literal["textbook", "reference", "fused", "context", "loader"]

TIMED_STEPS = 3
"""At least so many steps are timed in a turn."""
WARM_UP_STEPS = 3
"""Not timed: the first compiles where that is asked for."""
PEAK_SIZE = 2_048
"""Rows and columns of the matrices whose product gives the device's peak."""


class TextbookWaveNet(nn.Module):
    """The same net as most write it: `Conv1d` with dilation over `[B, C, T]`, one-hot input, skips summed by layer.

    Args:
        net: Whose weights are copied: one-hot input, separate projections, no conditions.
    """

    def __init__(self, net: WaveNet) -> None:
        super().__init__()
        residual, gate, skip = net.residual_channels, net.gate_channels, net.skip_channels
        layers = net.stack.residual_layers()
        self.levels = net.distribution.levels
        self.receptive_field = net.receptive_field
        self.input = nn.Conv1d(self.levels, residual, net.input_kernel_size, bias=net.bias)
        self.dilated = nn.ModuleList(
            nn.Conv1d(residual, gate, net.kernel_size, dilation=layer.dilation, bias=net.bias) for layer in layers
        )
        self.projections = nn.ModuleList(nn.Conv1d(gate // 2, residual, 1, bias=net.bias) for _ in layers[:-1])
        self.skips = nn.ModuleList(
            nn.Conv1d(gate // 2, skip, 1, bias=net.bias and not index) for index in range(len(layers))
        )
        self.hidden = nn.Conv1d(skip, net.head_channels, 1)
        self.output = nn.Conv1d(net.head_channels, self.levels, 1)
        self._copy(net)

    @torch.no_grad()
    def _copy(self, net: WaveNet) -> None:
        tensors = net.state_dict()

        def copy(conv: nn.Module, weight: Tensor, bias: Tensor | None) -> None:
            assert isinstance(conv, nn.Conv1d)
            conv.weight.copy_(weight)
            if conv.bias is not None and bias is not None:
                conv.bias.copy_(bias)

        copy(self.input, tensors["input_layer.tables"].permute(2, 1, 0), tensors.get("input_layer.bias"))
        for index, layer in enumerate(net.stack.residual_layers()):
            taps = layer.dilated.weight.unflatten(1, (net.kernel_size, -1)).transpose(1, 2)
            copy(self.dilated[index], taps, layer.dilated.bias)
            if layer.projection is not None:
                copy(self.projections[index], layer.projection.weight.unsqueeze(-1), layer.projection.bias)
        parts = tensors["stack.skip.weight"].split(net.gate_channels // 2, dim=1)
        for skip, part in zip(self.skips, parts, strict=True):
            copy(skip, part.unsqueeze(-1), tensors.get("stack.skip.bias"))
        for conv, linear in zip((self.hidden, self.output), net.head_layers(), strict=True):
            copy(conv, linear.weight.unsqueeze(-1), linear.bias)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes `[B, T]` to logits `[B, T - R + 1, levels]`, as `WaveNet.forward`."""
        x = self.input(F.one_hot(codes, self.levels).transpose(1, 2).to(self.input.weight.dtype))
        skips = x.new_zeros(1, 1, x.shape[2])
        for index, dilated in enumerate(self.dilated):
            filtered, gate = dilated(x).chunk(2, dim=1)
            z = torch.tanh(filtered) * torch.sigmoid(gate)
            skips = skips[..., -z.shape[2] :] + self.skips[index](z)
            if index < len(self.projections):
                projection = self.projections[index](z)
                x = x[:, :, -projection.shape[2] :] + projection
        return self.output(F.relu(self.hidden(F.relu(skips)))).transpose(1, 2)


@dataclass(frozen=True)
class Case:
    """What is measured: training steps of the paper's net.

    Attributes:
        form: "textbook"; "reference" or "fused" for the backbone of this project and the path that its stack takes;
            "context" for the fused one with a context stack of four seconds; or "loader" for batches alone, without a
            step.
        precision: "bfloat16" is autocast.
        compiled: Whether by `torch.compile`.
        recompute: Whether the backward pass computes again what would take memory to keep.
        crop: Samples of a crop that count in the loss.
        batch: Crops a step.
        threads: Of the CPU.
        device: "cpu" or "cuda"; in a row what the device calls itself.
    """

    form: Form
    precision: Literal["float32", "bfloat16"]
    compiled: bool
    recompute: bool
    crop: int
    batch: int
    threads: int
    device: str


@dataclass(frozen=True)
class Row(Case):
    """A case and its figures, medians over all rounds.

    Attributes:
        samples_per_second: Samples that count in the loss.
        peak_memory_mb: Of the process (MB); on a GPU what PyTorch allocated there.
        gflops: Floating-point operations of the steps (1e9 a second), 0 for the loader.
        share_of_peak: Of the rate of a large matrix product in the same precision.
    """

    samples_per_second: float
    peak_memory_mb: float
    gflops: float
    share_of_peak: float


@dataclass(frozen=True)
class Measurement:
    """What one turn found of a case."""

    samples_per_second: float
    peak_memory_mb: float
    gflops: float
    share_of_peak: float


def cases(crop: int, batch: int, threads: int, device: str) -> list[Case]:
    """The textbook form as it is, the backbone in all its forms, and the loader."""
    # What is compiled for a GPU is the reference, whatever path is asked for.
    compiled: Form = "fused" if device == "cpu" else "reference"
    settings: list[tuple[Form, Literal["float32", "bfloat16"], bool, bool]] = [
        ("textbook", "float32", False, False),
        ("textbook", "bfloat16", False, False),
        ("reference", "float32", False, False),
        ("reference", "bfloat16", False, False),
        ("fused", "float32", False, False),
        ("fused", "float32", False, True),
        (compiled, "float32", True, False),
        ("fused", "bfloat16", False, False),
        ("fused", "bfloat16", False, True),
        (compiled, "bfloat16", True, False),
        ("context", "float32", False, False),
        ("context", "bfloat16", False, False),
        ("loader", "float32", False, False),
    ]
    return [Case(*setting, crop, batch, threads, device) for setting in settings]


def run(wanted: Sequence[Case], seconds: float, rounds: int) -> Iterator[list[Row]]:
    """Measures; arguments as in `taking_turns`.

    Yields:
        After every turn the rows so far, medians over their rounds.
    """
    for found in taking_turns(prepare, wanted, seconds, rounds):
        yield [_row(case, measurements) for case, measurements in found.items()]


def prepare(case: Case) -> Callable[[float], Measurement]:
    """Prepares a case in this process; what it returns measures for at least so many seconds."""
    if case.form == "loader":
        return _prepare_loader(case)
    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    device, dtype = torch.device(case.device), getattr(torch, case.precision)
    net = NETS["context" if case.form == "context" else "paper"]().to(device)
    codes = torch.randint(0, net.distribution.levels, (case.batch, case.crop + net.history), device=device)
    targets = codes[:, net.history :]
    first = net.history - net.receptive_field
    # Operations are those of the uncompiled fused form: what the net needs, whatever a form makes of it.
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: _flops_of_addmm_}) as counter:
        local = net.local_condition(codes, None, first + 1)
        net.distribution.nll(net(codes[:, first:-1], None, local), targets).mean().backward()
    net.stack.recompute = case.recompute
    model = TextbookWaveNet(net).to(device) if case.form == "textbook" else net
    if case.form != "textbook":
        net.stack.path = "reference" if case.form == "reference" else "fused"
        keep_freed_memory()  # As `wavenet fit` does.
    if case.compiled:
        model.compile(dynamic=False)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            local = net.local_condition(codes, None, first + 1)
            logits = model(codes[:, first:-1]) if local is None else model(codes[:, first:-1], None, local)
        net.distribution.nll(logits.float(), targets).mean().backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def turn(seconds: float) -> Measurement:
        forget_peak_memory(device)
        step()  # Takes its memory anew.
        spent: list[float] = []
        while sum(spent) < seconds or len(spent) < TIMED_STEPS:
            began = time.perf_counter()
            step()
            spent.append(time.perf_counter() - began)
        rate, peak = 1 / statistics.median(spent), peak_memory_mb(device)
        flops = counter.get_total_flops() * rate
        share = flops / _peak_flops(device, dtype)
        return_freed_memory()
        return Measurement(rate * case.batch * case.crop, peak, flops / 1e9, share)

    for _ in range(WARM_UP_STEPS):
        step()
    return turn


def _prepare_loader(case: Case) -> Callable[[float], Measurement]:
    """Batches of a corpus of tones, cropped as in training, in the training process."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    corpus = synthesize_folder(folder / "corpus", 4, 10, "tones", sample_rate=16_000)
    audio, crops = Audio(16_000, cache_dir=folder / "cache"), Crops(case.crop)
    data = AudioFolderDataModule(corpus, audio=audio, crops=crops, batch_size=case.batch)
    data.prepare_data()
    data.setup()
    data.connect(Request(history=WaveNet().receptive_field))

    def turn(seconds: float) -> Measurement:
        forget_peak_memory(torch.device("cpu"))
        done, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < seconds or not done:
            done += sum(int(batch.target_mask.sum()) for batch in data.train_dataloader())
        return Measurement(done / spent, peak_memory_mb(torch.device("cpu")), 0.0, 0.0)

    return turn


def _flops_of_addmm_(into: torch.Size, a: torch.Size, b: torch.Size, **_: object) -> int:
    """What the counter does not know by itself."""
    return 2 * a[0] * a[1] * b[1]


def _peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product."""
    a = torch.randn(PEAK_SIZE, PEAK_SIZE, device=device, dtype=dtype)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        a @ a
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return 2 * PEAK_SIZE**3 / statistics.median(times[1:])


def _row(case: Case, found: list[Measurement]) -> Row:
    figures = {
        name: statistics.median(getattr(measurement, name) for measurement in found)
        for name in ("samples_per_second", "peak_memory_mb", "gflops", "share_of_peak")
    }
    return Row(**{**asdict(case), "device": device_name(torch.device(case.device))}, **figures)
