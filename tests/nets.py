"""Small nets of every kind, and slower exact forms to hold them against."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_wavenet.backbone import ContextStack, RepeatUpsampling, TransposedUpsampling, WaveNet
from lightning_wavenet.backbone.local_condition import UpsampledFrames, at_samples
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.sampling import Stream, native
from lightning_wavenet.tasks import BaseTask

needs_native = pytest.mark.skipif(isinstance(native.load(), str), reason=f"no native engine: {native.load()}")

KINDS = {
    "plain": {},
    "kernel 3": {"kernel_size": 3},
    "kernel 4, input 3": {"kernel_size": 4, "input_kernel_size": 3},
    "explicit dilations": {"dilations": [1, 3, 5, 2]},
    "no biases": {"bias": False},
    "shared projection": {"shared_projection": True, "skip_channels": 8},
    "scalar input": {"input": "scalar", "input_kernel_size": 1},
    "global": {"global_channels": 3},
    "local, transposed": {"upsampling": [4, 5]},
    "local, repeated": {"upsampling": 20},
    "global and local": {"global_channels": 2, "upsampling": [10], "kernel_size": 3},
    "context of samples": {"contexts": [{"pooling": 1, "dilations": "1..16"}]},
    "context of frames": {"contexts": [{"pooling": 4, "dilations": "1..4 x2", "kernel_size": 3}]},
    "contexts": {
        "contexts": [
            {"pooling": 4, "dilations": "1..8", "strides": [2, 2]},
            {"pooling": 64, "dilations": "1..2", "channels": 3},
        ],
    },
    "global, local and context": {
        "global_channels": 2,
        "upsampling": 20,
        "contexts": [{"pooling": 4, "dilations": "1..8"}],
    },
}


def build(kind: str = "plain", seed: int = 0, **changes: object) -> WaveNet:
    """A net of 8 residual channels and 4 or 5 layers, in float64 where asked by `.double()`."""
    torch.manual_seed(seed)
    options: dict = {
        "dilations": "1..4 x1, 1..2",
        "residual_channels": 8,
        "gate_channels": 12,
        "skip_channels": 10,
        "head_channels": 9,
        **KINDS[kind],
        **changes,
    }
    upsampling = options.get("upsampling")
    if isinstance(upsampling, list):
        options["upsampling"] = TransposedUpsampling(frame_channels=3, strides=upsampling, channels=4)
    elif isinstance(upsampling, int):
        options["upsampling"] = RepeatUpsampling(frame_channels=3, hop=upsampling)
    if "contexts" in options:
        widths = {"residual_channels": 8, "gate_channels": 12, "channels": 5}
        options["contexts"] = [ContextStack(**(widths | one)) for one in options["contexts"]]
    net = WaveNet(**options)
    with torch.no_grad():
        # Sharper than a fresh net, whose logits are so flat that mistakes in them would hardly change a draw.
        net.head[-1].weight.mul_(8)
        for context in net.contexts:
            context.stack.skip.weight.mul_(4)
    return net.eval()


def set_up(task: BaseTask, vocabulary: Vocabulary, stage: str = "test") -> None:
    """Sets a task up for a corpus of which nothing but the vocabulary is known."""
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.datamodule = SimpleNamespace(vocabulary=vocabulary, train_ids=(), connect=lambda request: None)
    task.trainer = trainer
    try:
        task.setup(stage)
    finally:
        task.trainer = None


def stream_for(net: WaveNet, samples: int, seed: int = 0, prime: int | None = None) -> Stream:
    """A stream with whatever conditions the net takes, random from the seed."""
    generator = torch.Generator().manual_seed(seed + 1000)
    hop = net.upsampling.hop if net.upsampling is not None else 1
    frames = -(-(samples + (prime or 0)) // hop)
    return Stream(
        samples,
        seed,
        None if prime is None else torch.rand(prime, generator=generator) * 1.6 - 0.8,
        torch.randn(net.global_channels, generator=generator) if net.global_channels else None,
        torch.randn(3, frames, generator=generator) if net.upsampling is not None else None,
    )


def teacher_forced(net: WaveNet, stream: Stream, codes: Tensor) -> Tensor:
    """Distribution parameters `[samples, P]` of a stream's codes by one whole forward pass from silence on."""
    field, prime = net.receptive_field, stream.prime_samples
    history = torch.full((net.history,), net.distribution.silence)
    if stream.prime is not None:
        history = torch.cat([history, net.distribution.encode(stream.prime)])[-net.history :]
    whole = torch.cat([history, codes]).unsqueeze(0)
    dtype = next(net.parameters()).dtype
    global_condition = None if stream.global_condition is None else stream.global_condition.to(dtype).unsqueeze(0)
    first, parts = net.history - field, []
    if stream.frames is not None:
        frames = UpsampledFrames(net.upsampling, [stream.frames.to(dtype)], [0])
        parts.append(at_samples(*frames.rows(prime + 1 - field, prime + len(codes))))
    parts += [context.condition(net.distribution.decode(whole), first + 1) for context in net.contexts]
    return net(whole[:, first:-1], global_condition, torch.cat(parts, dim=-1) if parts else None)[0]


def same_codes(net: WaveNet, stream: Stream, clip: Tensor, right: Tensor) -> bool:
    """Whether two engines drew the same codes of a stream.

    Sums in another order differ in the last bits, and some time a uniform lies between two such cumulative
    probabilities: within 1e-5 of the boundary, in float64, codes may part, and what comes after says nothing.
    """
    if torch.equal(clip, right):
        return True
    at = int((clip != right).nonzero()[0])
    codes = net.distribution.encode(right[: at + 1])
    cumulative = teacher_forced(net, stream, codes)[at].double().softmax(-1).cumsum(-1)
    uniform = np.random.default_rng(stream.seed).random(at + 1)[at]
    return bool((cumulative - uniform).abs().min() < 1e-5)


def generate_naively(net: WaveNet, stream: Stream) -> Tensor:
    """Codes `[samples]` by a whole forward pass a sample, from the uniforms that the sampler uses."""
    uniforms = torch.from_numpy(np.random.default_rng(stream.seed).random(stream.samples))
    codes = torch.empty(0, dtype=torch.long)
    for uniform in uniforms:
        ahead = torch.cat([codes, torch.zeros(1, dtype=torch.long)])
        parameters = teacher_forced(net, stream, ahead)[-1]
        codes = torch.cat([codes, net.distribution.sampling()(parameters, uniform).unsqueeze(0)])
    return codes


def textbook_forward(net: WaveNet, codes: Tensor, global_condition: Tensor | None, local: Tensor | None) -> Tensor:
    """The same net in channels-first form: `conv1d` with dilation, skips summed layer by layer."""

    def conv(signal: Tensor, weight: Tensor, bias: Tensor | None, dilation: int = 1) -> Tensor:
        taps = weight.shape[1] // signal.shape[1]
        kernel = weight.view(weight.shape[0], taps, signal.shape[1]).transpose(1, 2)
        return F.conv1d(signal, kernel, bias, dilation=dilation)

    if net.input == "one-hot":
        one_hot = F.one_hot(codes, net.distribution.levels).to(net.input_layer.tables).transpose(1, 2)
        x = F.conv1d(one_hot, net.input_layer.tables.permute(2, 1, 0), net.input_layer.bias)
    else:
        decoded = net.distribution.decode(codes).to(net.input_layer.taps.weight).unsqueeze(1)
        x = conv(decoded, net.input_layer.taps.weight, net.input_layer.taps.bias)
    steps = codes.shape[1] - net.receptive_field + 1
    half = net.gate_channels // 2
    skips = 0
    for index, layer in enumerate(net.stack.residual_layers()):
        both = conv(x, layer.dilated.weight, layer.dilated.bias, layer.dilation)
        if global_condition is not None:
            rows = slice(index * net.gate_channels, (index + 1) * net.gate_channels)
            both = both + (global_condition @ net.stack.global_projection.weight[rows].T).unsqueeze(-1)
        if local is not None:
            both = both + conv(local[:, -both.shape[2] :].transpose(1, 2), layer.local.weight, None)
        z = torch.tanh(both[:, :half]) * torch.sigmoid(both[:, half:])
        projection = None
        if layer.projection is not None:
            projection = conv(z, layer.projection.weight, layer.projection.bias)
            x = x[:, :, -projection.shape[2] :] + projection
        if net.stack.skip is None:
            skips = skips + projection[:, :, -steps:]
        else:
            skips = skips + conv(z[:, :, -steps:], net.stack.skip.weight[:, index * half : (index + 1) * half], None)
    if net.stack.skip is not None and net.stack.skip.bias is not None:
        skips = skips + net.stack.skip.bias.unsqueeze(-1)
    hidden = conv(F.relu(skips), net.head[1].weight, net.head[1].bias)
    return conv(F.relu(hidden), net.head[3].weight, net.head[3].bias).transpose(1, 2)
