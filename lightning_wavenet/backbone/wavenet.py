"""WaveNet: the backbone that every task shares (arXiv 1609.03499, section 2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_wavenet.backbone.cached import CachedStack, StepsOf
from lightning_wavenet.backbone.conditioning import Conditions, Upsampling
from lightning_wavenet.backbone.context import ContextCondition, ContextStack
from lightning_wavenet.backbone.distributions import Distribution, MuLawSoftmax
from lightning_wavenet.backbone.distributions.softmax import smooth
from lightning_wavenet.backbone.local_condition import JoinedConditions, LocalCondition, UpsampledFrames
from lightning_wavenet.backbone.residual import AMPLITUDE_GAIN, ResidualStack, parse_dilations

NO_CONDITIONS = Conditions()
MOST_ONE_HOT = 1_024
"""Levels of one-hot input, at most."""


class WaveNet(nn.Module):
    """Predicts the distribution of the next sample from the `receptive_field` samples before it.

    Input layer (a causal convolution), gated residual layers, skip sum, ReLU, 1x1, ReLU, 1x1 (Figure 4). Defaults are
    the net that most reproductions call the paper's: 30 layers, 64 residual, 128 gate and 256 skip channels.

    Args:
        dilations: Dilation of each layer in samples, as a list or in short form: "1..512 x3" is 1, 2, 4, ..., 512
            three times; parts are joined by commas, as in "1..512 x4, 1..256, 1..128".
        kernel_size: Taps of each dilated convolution.
        residual_channels: Width of the signal that passes from layer to layer.
        gate_channels: Width of filter and gate together.
        skip_channels: Width of the skip sum.
        head_channels: Width between the head's two 1x1 layers.
        input: "one-hot" feeds codes as one-hot vectors, of 1,024 levels at most, "scalar" feeds their amplitude; "auto"
            is one-hot as far as that goes.
        input_kernel_size: Taps of the input layer; 1 leaves out its convolution over time.
        bias: Whether convolutions and projections have biases (the head always has).
        shared_projection: One 1x1 projection for residual and skip, as Figure 4 draws it, instead of one for each;
            skip_channels must then equal residual_channels.
        global_channels: Width of the global condition (one vector a clip), 0 for none.
        upsampling: Brings local conditioning frames to the sample rate; None for a net that takes none.
        contexts: Context stacks, whose outputs are local conditions too (section 2.6).
        distribution: What is predicted of a sample, and its codec; None for the paper's softmax over 256 mu-law codes.
    """

    def __init__(
        self,
        dilations: Sequence[int] | str = "1..512 x3",
        kernel_size: int = 2,
        residual_channels: int = 64,
        gate_channels: int = 128,
        skip_channels: int = 256,
        head_channels: int = 256,
        input: Literal["auto", "one-hot", "scalar"] = "auto",
        input_kernel_size: int = 2,
        bias: bool = True,
        shared_projection: bool = False,
        global_channels: int = 0,
        upsampling: Upsampling | None = None,
        contexts: Sequence[ContextStack] = (),
        distribution: Distribution | None = None,
    ) -> None:
        super().__init__()
        if kernel_size < 2 or input_kernel_size < 1:
            raise ValueError(
                f"kernel_size must be at least 2 and input_kernel_size at least 1, got {kernel_size} and "
                f"{input_kernel_size}"
            )
        widths = (residual_channels, gate_channels, skip_channels, head_channels)
        if min(widths) < 1 or global_channels < 0:
            raise ValueError(f"channels must be positive, got {widths} and {global_channels} global ones")
        if gate_channels % 2:
            raise ValueError(f"gate_channels holds filter and gate, so it must be even, got {gate_channels}")
        if shared_projection and skip_channels != residual_channels:
            raise ValueError(
                f"a shared projection has one width, but skip_channels is {skip_channels} and residual_channels is "
                f"{residual_channels}"
            )
        self.dilations = parse_dilations(dilations)
        self.kernel_size = kernel_size
        self.residual_channels = residual_channels
        self.gate_channels = gate_channels
        self.skip_channels = skip_channels
        self.head_channels = head_channels
        self.input_kernel_size = input_kernel_size
        self.bias = bias
        self.shared_projection = shared_projection
        self.global_channels = global_channels
        self.upsampling = upsampling
        self.contexts = nn.ModuleList(contexts)
        self.local_channels = (0 if upsampling is None else upsampling.channels) + sum(one.channels for one in contexts)
        self.distribution: Distribution = MuLawSoftmax() if distribution is None else distribution
        levels = self.distribution.levels
        if input == "one-hot" and levels > MOST_ONE_HOT:
            raise ValueError(
                f"one-hot input takes {MOST_ONE_HOT:,} levels at most, and {type(self.distribution).__name__} has "
                f"{levels:,}: feed it as scalar input"
            )
        self.input: Literal["one-hot", "scalar"] = (
            input if input != "auto" else "one-hot" if levels <= MOST_ONE_HOT else "scalar"
        )
        self.input_layer = (
            OneHotInput(levels, residual_channels, input_kernel_size, bias)
            if self.input == "one-hot"
            else ScalarInput(self.distribution, residual_channels, input_kernel_size, bias)
        )
        self.stack = ResidualStack(
            self.dilations,
            kernel_size,
            residual_channels,
            gate_channels,
            skip_channels,
            global_channels,
            self.local_channels,
            shared_projection,
            bias,
        )
        self.head = nn.Sequential(
            nn.ReLU(),
            nn.Linear(skip_channels, head_channels),
            nn.ReLU(),
            self.distribution.last_layer(head_channels),
        )

    @property
    def receptive_field(self) -> int:
        """R: how many samples before it the residual stack needs for a prediction."""
        return self.stack.reach + self.input_kernel_size

    @property
    def history(self) -> int:
        """H: how many samples before it a prediction depends on by whatever way, what conditions see included.

        This is what data and primes have to supply, at least R. The samples that the residual stack sees before the
        predicted one have their context too, which reaches further back.
        """
        if not self.contexts:
            return self.receptive_field
        grid = self.grid
        reach = max(context.reach for context in self.context_stacks())
        return (-(-(self.receptive_field - 1) // grid) - (-reach // grid)) * grid

    @property
    def grid(self) -> int:
        """Samples after which frames of all context stacks begin together; 1 for a net without."""
        return math.lcm(*(context.pooling for context in self.context_stacks()))

    def context_stacks(self) -> list[ContextStack]:
        """The context stacks, as what they are."""
        return [context for context in self.contexts if isinstance(context, ContextStack)]

    def step_memory(self, samples: int, dtype: torch.dtype) -> int:
        """How much memory (bytes) a training step takes for one crop, at least: what is kept for the backward pass.

        Args:
            samples: Samples of the crop that count in the loss; the history comes in front of them.
            dtype: Of the products.
        """
        inputs, gates, steps = 0, 0, samples
        for layer in reversed(self.stack.residual_layers()):
            gates += steps * self.gate_channels
            steps += layer.reach
            inputs += steps * self.residual_channels
        gated = samples * len(self.dilations) * self.gate_channels // 2
        stack = inputs if self.stack.recompute else inputs + gates + gated
        head = samples * (self.skip_channels + self.head_channels)
        loss = samples * self.distribution.out_channels
        return (stack + head) * dtype.itemsize + loss * torch.float32.itemsize

    def head_layers(self) -> list[nn.Linear]:
        """The head's two 1x1 layers; each reads the rectified output of what is before it."""
        return [layer for layer in self.head if isinstance(layer, nn.Linear)]

    def forward(self, codes: Tensor, global_condition: Tensor | None = None, local: Tensor | None = None) -> Tensor:
        """Distribution parameters of each sample that follows R given ones.

        Args:
            codes: int64 `[B, T]` with T >= R.
            global_condition: `[B, global_channels]`, for a net that has one.
            local: Local condition at the sample rate `[B, T, C]` (see `local_condition`); step t holds the condition of
                sample t + 1, the one that is predicted there.

        Returns:
            `[B, T - R + 1, P]`; step j holds the parameters of sample j + R.
        """
        # Through the head time first, as the stack leaves it in memory.
        return self.head(self.features(codes, global_condition, local).transpose(0, 1)).transpose(0, 1)

    def features(self, codes: Tensor, global_condition: Tensor | None = None, local: Tensor | None = None) -> Tensor:
        """The skip sum that the head reads, `[B, T - R + 1, skip_channels]`; arguments as in `forward`."""
        if (global_condition is None) != (self.global_channels == 0) or (local is None) != (self.local_channels == 0):
            raise ValueError(
                f"the net takes a global condition: {self.global_channels > 0}, a local one: "
                f"{self.local_channels > 0}; given: {global_condition is not None}, {local is not None}"
            )
        if codes.shape[1] < self.receptive_field:
            raise ValueError(f"{codes.shape[1]} samples are fewer than the receptive field of {self.receptive_field}")
        if local is not None and local.shape[1] != codes.shape[1]:
            raise ValueError(f"a local condition of {local.shape[1]} samples was given for {codes.shape[1]} codes")
        x = self.input_layer(codes).transpose(0, 1)
        return self.stack(x, global_condition, None if local is None else local.transpose(0, 1)[-len(x) :]).transpose(
            0, 1
        )

    def upsample(self, frames: Tensor) -> Tensor:
        """Local conditioning frames `[B, F, N]` at the sample rate, `[B, N * hop, C]`."""
        if self.upsampling is None:
            raise ValueError("the net takes no local condition")
        return self.upsampling(frames)

    def local_condition(self, codes: Tensor, frames: Tensor | None, first: int = 0) -> Tensor | None:
        """The local condition of samples `first` to T - 1, all of which are known, as in training.

        Args:
            codes: int64 `[B, T]`, beginning where frames of the context stacks do.
            frames: `[B, F, N]`, which cover the samples, after as many as the upsampling reaches back; None for a net
                that takes none.
            first: The first sample whose condition is wanted.

        Returns:
            `[B, T - first, C]`, or None for a net without one.

        Raises:
            ValueError: A context stack sees further back than the codes go.
        """
        parts = []
        if frames is not None:
            assert self.upsampling is not None
            before = self.upsampling.context_frames * self.upsampling.hop
            parts.append(self.upsample(frames)[:, before + first : before + codes.shape[1]])
        if self.contexts:
            amplitudes = self.distribution.decode(codes)
            parts += [context.condition(amplitudes, first) for context in self.context_stacks()]
        return None if not parts else parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    def begin_local_condition(
        self, history: Tensor, frames: Sequence[Tensor], primes: Sequence[int], steps: StepsOf = CachedStack
    ) -> LocalCondition | None:
        """The local condition of streams that are to be generated, or None for a net without one.

        Args:
            history: The H codes before the first sample of each stream, int64 `[B, H]`.
            frames: Conditioning frames of each stream, `[F, N]`, from its prime's first sample on; of a net that takes
                any.
            primes: Length of each stream's prime in samples.
            steps: Begins the steps of a context stack.
        """
        parts: list[LocalCondition] = []
        if self.upsampling is not None:
            parts.append(UpsampledFrames(self.upsampling, frames, primes))
        decode = self.distribution.decode
        parts += [ContextCondition(context, decode, history, steps) for context in self.context_stacks()]
        return None if not parts else parts[0] if len(parts) == 1 else JoinedConditions(parts)

    def nll(self, waveform: Tensor, conditions: Conditions = NO_CONDITIONS, noise: float = 0.0) -> Tensor:
        """Negative log-likelihood of every sample that has its whole history in the waveform.

        Args:
            waveform: float `[B, T]` in [-1, 1], T > H.
            conditions: Of the same clips; frames cover the waveform, after as many as the upsampling reaches back
                (`context_frames`), so that a window has the likelihood that it has within its clip.
            noise: Added to the samples that the net sees, not to those that it predicts: the largest deviation (codes);
                each clip has its own, drawn evenly from zero to this.

        Returns:
            Nats a sample, `[B, T - H]`, for samples H to T - 1.

        Raises:
            ValueError: The frames do not cover the waveform.
        """
        codes = self.distribution.encode(waveform)
        first = self.history - self.receptive_field
        first = self.history - self.receptive_field
        seen = self._noisy(codes, noise) if noise else codes
        # Step t predicts sample t + 1.
        local = self.local_condition(seen, conditions.frames, first + 1)
        # Evaluation goes past `compile()`: its windows come in more sizes than are worth compiling.
        predict = self if self.training else self.forward
        parameters = predict(seen[:, first:-1], conditions.global_condition, local)
        targets = codes[:, self.history :]
        return self.distribution.nll(parameters.transpose(0, 1), targets.transpose(0, 1)).transpose(0, 1)

    def _noisy(self, codes: Tensor, noise: float) -> Tensor:
        """Codes `[B, T]` with noise of another deviation in each clip, at most `noise`."""
        deviations = noise * torch.rand(len(codes), 1, device=codes.device)
        shifts = (deviations * torch.randn(codes.shape, device=codes.device)).round().long()
        return (codes + shifts).clamp(0, self.distribution.levels - 1)


class OneHotInput(nn.Module):
    """Causal convolution over one-hot codes: a sum of one table row a tap.

    Args:
        levels: Number of codes.
        channels: C, output channels.
        kernel_size: Taps.
        bias: Whether a bias is added.
    """

    def __init__(self, levels: int, channels: int, kernel_size: int, bias: bool) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        # Of a one-hot vector one entry is 1, so the fan-in is the number of taps, whatever the number of codes.
        tables = torch.stack([smooth(levels, channels) for _ in range(kernel_size)])
        self.tables = nn.Parameter(tables * (0.5 * kernel_size**-0.5))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    # Compilers add the gradients of so few rows atomically, which is slower than PyTorch's own kernel.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, codes: Tensor) -> Tensor:
        """Codes `[B, T]` to `[B, T - kernel_size + 1, C]`."""
        steps = codes.shape[1] - self.kernel_size + 1
        x = F.embedding(codes[:, :steps], self.tables[0])
        for tap in range(1, self.kernel_size):
            x = x + F.embedding(codes[:, tap : tap + steps], self.tables[tap])
        return x if self.bias is None else x + self.bias


class ScalarInput(nn.Module):
    """Causal convolution over the amplitudes that codes stand for.

    Args:
        distribution: Decodes the codes.
        channels: C, output channels.
        kernel_size: Taps.
        bias: Whether a bias is added.
    """

    def __init__(self, distribution: Distribution, channels: int, kernel_size: int, bias: bool) -> None:
        super().__init__()
        self.distribution = distribution
        self.kernel_size = kernel_size
        self.taps = nn.Linear(kernel_size, channels, bias)
        nn.init.normal_(self.taps.weight, std=AMPLITUDE_GAIN)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes `[B, T]` to `[B, T - kernel_size + 1, C]`."""
        amplitudes = self.distribution.decode(codes).to(self.taps.weight.dtype)
        return self.taps(amplitudes.unfold(1, self.kernel_size, 1))
