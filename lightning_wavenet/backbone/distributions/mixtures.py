"""Mixtures of continuous distributions over amplitudes, in the steps of 16-bit audio.

A code has the probability that the mixture gives to its step, the lowest and the highest code also all that lies
beyond them (PixelCNN++, arXiv 1701.05517, section 2.1; of audio in arXiv 1711.10433, section 2.1). So they are
likelihoods over 65,536 codes, which compare with one another.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_wavenet.backbone.distributions.codecs import Linear

UNIT = 1 / 1024
"""Amplitude that the net's numbers for means count in. Optimizers move numbers by steps of one size, and what is fine
for logits and logarithms is coarse for amplitudes, and has gradients as much larger."""
NARROWEST, WIDEST = -13.0, 4.0
"""Log-scales of components are kept between them; a step is exp(-10.4) wide."""


class Components(NamedTuple):
    """Of a mixture, `[..., K]` each."""

    logits: Tensor
    """Of the weights."""
    means: Tensor
    """Amplitudes."""
    log_scales: Tensor
    """Natural logarithms of amplitudes."""


class Mixture(Linear):
    """A mixture of K distributions of one shape, in 65,536 linear steps.

    A sample has 3 K parameters: K logits of the weights, K means, K log-scales; of a single component the last two.

    Args:
        components: K.

    Attributes:
        precision: In which likelihoods are computed, whatever the parameters are rounded to.

    Raises:
        ValueError: K is below 1.
    """

    precision = torch.float32
    patience = 1.0

    def __init__(self, components: int) -> None:
        super().__init__(65_536)
        if components < 1:
            raise ValueError(f"components must be at least 1, got {components}")
        self.components = components

    @property
    def out_channels(self) -> int:
        """3 K, or 2 of a single component."""
        return 3 * self.components if self.components > 1 else 2

    def last_layer(self, channels: int) -> nn.Linear:
        """Components begin around silence with scales from a thousandth to a third: wide enough for any recording."""
        layer = Float32Linear(channels, self.out_channels)
        scales = torch.linspace(math.log(0.3), math.log(0.001), self.components)
        with torch.no_grad():
            layer.weight.mul_(0.1)
            layer.bias.zero_()
            layer.bias[-self.components :] = scales
        return layer

    def split(self, parameters: Tensor) -> Components:
        """Components of parameters `[..., P]`, as precise as likelihoods at least."""
        parameters = parameters.to(torch.promote_types(parameters.dtype, self.precision))
        means, log_scales = parameters[..., -2 * self.components :].chunk(2, dim=-1)
        logits = parameters[..., : self.components] if self.components > 1 else torch.zeros_like(means)
        return Components(logits, UNIT * means, log_scales.clamp(NARROWEST, WIDEST))

    def nll(self, parameters: Tensor, codes: Tensor) -> Tensor:
        """Negative log-likelihood in nats `[...]` of codes `[...]` under parameters `[..., P]`."""
        logits, means, log_scales = self.split(parameters)
        codes = codes.unsqueeze(-1)
        difference, per_scale, step = self.decode(codes) - means, (-log_scales).exp(), 2 / self.levels
        below = ((difference - step / 2) * per_scale).masked_fill(codes == 0, -math.inf)
        above = ((difference + step / 2) * per_scale).masked_fill(codes == self.levels - 1, math.inf)
        width = (step * per_scale).masked_fill((codes == 0) | (codes == self.levels - 1), math.inf)
        likelihoods = self.log_probability(below, above, width)
        nats = -torch.logsumexp(F.log_softmax(logits, dim=-1) + likelihoods, dim=-1)
        return nats.to(torch.promote_types(parameters.dtype, torch.float32))

    @abstractmethod
    def log_probability(self, below: Tensor, above: Tensor, width: Tensor) -> Tensor:
        """Of an interval under a component of mean 0 and scale 1, exactly also where it is narrow or far out.

        Args:
            below: Where it begins.
            above: Where it ends.
            width: above - below, without the rounding error of this difference.
        """

    @abstractmethod
    def quantile(self, probabilities: Tensor) -> Tensor:
        """Of a component of mean 0 and scale 1, for probabilities between 0 and 1, float64."""

    def sampling(self, temperature: float = 1.0) -> MixtureDraw:
        """Makes what draws codes; arguments as in `MixtureDraw`."""
        return MixtureDraw(self, temperature)


class LogisticMixture(Mixture):
    """A mixture of logistic distributions, the output of Parallel WaveNet's teacher and of Tacotron 2's WaveNet.

    Args:
        components: How many.
    """

    def __init__(self, components: int = 10) -> None:
        super().__init__(components)

    def log_probability(self, below: Tensor, above: Tensor, width: Tensor) -> Tensor:
        """With the logistic function s, s(b) - s(a) = s(b) s(-a) (1 - exp(a - b))."""
        return F.logsigmoid(above) + F.logsigmoid(-below) + torch.log(-torch.expm1(-width))

    def quantile(self, probabilities: Tensor) -> Tensor:
        """The inverse of the logistic function."""
        return torch.logit(probabilities)


class GaussianMixture(Mixture):
    """A mixture of normal distributions; a single one is ClariNet's output (arXiv 1807.07281).

    Args:
        components: How many.
    """

    precision = torch.float64
    """The probabilities up to both ends of a step agree in nearly all digits that float32 has."""
    patience = 10.0
    """Sure of silence, it pays for an onset with the square of its height: hundreds of nats a sample."""

    def __init__(self, components: int = 1) -> None:
        super().__init__(components)

    def log_probability(self, below: Tensor, above: Tensor, width: Tensor) -> Tensor:
        """By the logarithms of the probabilities up to both ends, on the side of the mean where they are small."""
        right = below + above > 0
        log_low = torch.special.log_ndtr(torch.where(right, -above, below))
        log_high = torch.special.log_ndtr(torch.where(right, -below, above))
        return log_high + torch.log(-torch.expm1(log_low - log_high))

    def quantile(self, probabilities: Tensor) -> Tensor:
        """The inverse of the normal distribution function."""
        return torch.special.ndtri(probabilities)


@dataclass(frozen=True)
class MixtureDraw:
    """Draws from a mixture with one uniform number: it chooses the component, and what remains of it the amplitude.

    Args:
        mixture: What is drawn from.
        temperature: Divides the logits of the weights, and multiplies the scales; 1 samples from the model.

    Raises:
        ValueError: The temperature is not positive.
    """

    mixture: Mixture
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")

    @property
    def options(self) -> Mapping[str, float]:
        """Temperature."""
        return {"temperature": self.temperature}

    def __call__(self, parameters: Tensor, uniforms: Tensor) -> Tensor:
        """Codes `[...]` of parameters `[..., P]` and uniforms, float64 `[...]` in [0, 1); silence where any is NaN."""
        logits, means, log_scales = self.mixture.split(parameters.double())
        weights = torch.softmax(logits / self.temperature, dim=-1)
        cumulative = weights.cumsum(-1)
        threshold = uniforms.unsqueeze(-1) * cumulative[..., -1:]
        component = (cumulative <= threshold).sum(-1, keepdim=True).clamp_(max=self.mixture.components - 1)
        weight, until, mean, log_scale = (x.gather(-1, component) for x in (weights, cumulative, means, log_scales))
        within = (1 - (until - threshold) / weight).clamp(2**-53, 1 - 2**-53)
        amplitude = mean + self.temperature * log_scale.exp() * self.mixture.quantile(within)
        return self.mixture.encode(amplitude.squeeze(-1).nan_to_num(0.0))


class Float32Linear(nn.Linear):
    """A linear layer in float32 also where products are rounded to bfloat16, whose means are 100 steps apart."""

    def forward(self, x: Tensor) -> Tensor:
        """`[..., in]` to `[..., out]`."""
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.to(self.weight.dtype), self.weight, self.bias)
