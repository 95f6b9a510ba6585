"""How long each phone lasts, and at which pitch (section 3.2): what a text does not say and a voice needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from lightning_wavenet.data.batch import Batch, Request
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.features import Linguistic, LogF0, rebuild
from lightning_wavenet.features.linguistic import frames_of_phone
from lightning_wavenet.models.encoders import ConvolutionalEncoder
from lightning_wavenet.models.model import Model, Names

_USUAL_LOG = 0.57
"""Where training begins: the logarithm, as features have it, of 16 frames."""


def _request(vocabulary: Vocabulary, fields: frozenset[str] = frozenset()) -> Request:
    """Whole clips in frames alone."""
    assert vocabulary.hop is not None
    return Request(
        fields | {"frames"}, hop=vocabulary.hop, whole_clips=True, waveform=False, features=vocabulary.features
    )


class PhoneSeries(NamedTuple):
    """The phones of B utterances; those that have no frame of their own are not among them."""

    contexts: Tensor
    """`[B, P, C]`: what is known of each phone, less how long it lasts."""
    durations: Tensor
    """`[B, P]`: logarithms of their frames, as the features have them."""
    counts: Tensor
    """int64 `[B]`: how many of the P phones each utterance has."""

    @property
    def inside(self) -> Tensor:
        """Bool `[B, P]`: where there are phones."""
        places = torch.arange(self.contexts.shape[1], device=self.contexts.device)
        return places < self.counts.to(places.device)[:, None]


class DurationPredictor(Model):
    """How many frames each phone of an utterance lasts: an LSTM over its phones, in both directions.

    Durations are those of `Linguistic`'s last channel, a logarithm.

    Args:
        vocabulary: With the linguistic features alone.
        channels: Width of the LSTM in each direction.
        layers: Of the LSTM.
        dropout: Part of what enters and leaves the LSTM that is left out in training.
    """

    phone_count: Tensor
    phone_frames: Tensor

    def __init__(self, vocabulary: Vocabulary, channels: int = 128, layers: int = 1, dropout: float = 0.3) -> None:
        super().__init__(vocabulary)
        if min(channels, layers) < 1 or not 0 <= dropout < 1:
            raise ValueError(
                f"channels and layers must be positive and dropout in [0, 1), got {channels}, {layers} and {dropout}"
            )
        self.channels = channels
        self.layers = layers
        self.dropout = dropout
        self.enter = nn.Linear(self.linguistic.context_channels, channels)
        self.lstm = nn.LSTM(channels, channels, layers, batch_first=True, bidirectional=True)
        self.leave = nn.Linear(2 * channels, 1)
        nn.init.constant_(self.leave.bias, _USUAL_LOG)
        phones = len(self.linguistic.phones)
        self.register_buffer("phone_count", torch.zeros(phones, dtype=torch.float64))
        self.register_buffer("phone_frames", torch.zeros(phones, dtype=torch.float64))

    @cached_property
    def linguistic(self) -> Linguistic:
        """What makes its features."""
        extractor = rebuild(self.vocabulary.features[0])
        if not isinstance(extractor, Linguistic):
            raise ValueError(f"durations are told by linguistic features, and these are of {extractor.name}")
        return extractor

    @property
    def request(self) -> Request:
        """Whole clips in frames alone."""
        return _request(self.vocabulary)

    def named_axes(self) -> Mapping[str, tuple[Names, ...]]:
        """Means are those of phones."""
        return {name: (self.linguistic.phones,) for name in ("phone_count", "phone_frames")}

    def phones(self, batch: Batch) -> PhoneSeries:
        """The phones of a batch of whole clips."""
        assert batch.frames is not None
        contexts = self.linguistic.context_channels
        first = (batch.frames[:, contexts + 1] == 0) & batch.target_mask
        parts = [frames[:, at].T for frames, at in zip(batch.frames, first, strict=True)]
        padded = pad_sequence(parts, batch_first=True)
        return PhoneSeries(padded[..., :contexts], padded[..., -1], first.sum(1))

    def forward(self, contexts: Tensor, counts: Tensor) -> Tensor:
        """Logarithms of durations `[B, P]` from contexts `[B, P, C]`, of which each utterance has `counts` `[B]`."""
        x = F.dropout(F.relu(self.enter(contexts)), self.dropout, self.training)
        packed = pack_padded_sequence(x, counts.cpu(), batch_first=True, enforce_sorted=False)
        x, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])
        logs: Tensor = self.leave(F.dropout(x, self.dropout, self.training))[..., 0]
        return logs

    @torch.no_grad()
    def predict(self, contexts: Tensor) -> Tensor:
        """How many frames the phones of an utterance last, float `[P]`, at least 1, from their contexts `[P, C]`."""
        logs = self(contexts[None].to(self.device), torch.tensor([len(contexts)]))[0]
        return frames_of_phone(logs).clamp(min=1.0).cpu()

    def labels(self, contexts: Tensor) -> Tensor:
        """Which phones these are, int64 `[...]`, from contexts `[..., C]`."""
        return contexts[..., self.linguistic.phone_channels].argmax(-1)

    @torch.no_grad()
    def counted(self, series: PhoneSeries) -> Tensor:
        """How often each phone is among some, and how many frames these have together, float64 `[2, phones]`."""
        labels = self.labels(series.contexts)[series.inside]
        frames = frames_of_phone(series.durations[series.inside]).double()
        sums = torch.zeros_like(torch.stack([self.phone_count, self.phone_frames]))
        return sums.index_add_(1, labels, torch.stack([torch.ones_like(frames), frames]))

    def add(self, sums: Tensor) -> None:
        """Adds such numbers, of the training split, to the means by phone."""
        self.phone_count += sums[0]
        self.phone_frames += sums[1]

    def mean_frames(self, labels: Tensor) -> Tensor:
        """How many frames a phone lasts in the mean, whatever is around it; of all phones where it is not known."""
        together = self.phone_frames.sum() / self.phone_count.sum().clamp(min=1)
        means = torch.where(self.phone_count > 0, self.phone_frames / self.phone_count.clamp(min=1), together)
        return means[labels].float()


class LogF0Predictor(Model):
    """log F0 and V/UV of every frame of an utterance: a convolutional net over what is said and over its own past.

    What is said is read by non-causal convolutions. A causal convolution reads the `past` frames of log F0 and V/UV
    before the one that is predicted: given ones in training, with noise added to them, so that it does not learn to
    repeat the last one; its own when it speaks.

    Args:
        vocabulary: With linguistic features and f0, in this order.
        channels: Width.
        layers: Non-causal convolutions.
        kernel_size: Frames that each of these sees.
        past: Frames of its own past that it sees; 64 are 320 ms at 200 Hz.
        noise: Deviation of the noise on the past in training; log F0 itself has a deviation of 1. With less the net
            learns to repeat the last frame, and its contours drift (RESULTS.md, "Text to speech").
        dropout: Part of each convolution's outputs that is left out in training.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        channels: int = 64,
        layers: int = 3,
        kernel_size: int = 9,
        past: int = 64,
        noise: float = 2.0,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(vocabulary)
        if min(channels, layers, past) < 1 or noise < 0 or not 0 <= dropout < 1:
            raise ValueError(
                "channels, layers and past must be positive, noise not negative and dropout in [0, 1), got "
                f"{channels}, {layers}, {past}, {noise} and {dropout}"
            )
        self.channels = channels
        self.layers = layers
        self.kernel_size = kernel_size
        self.past = past
        self.noise = noise
        self.dropout = dropout
        _, f0 = self.extractors
        self.enter = nn.Linear(vocabulary.frame_channels - f0.channels, channels)
        self.encoder = ConvolutionalEncoder(channels, layers, kernel_size, dropout)
        self.read_past = nn.Conv1d(f0.channels, channels, past)
        self.hidden = nn.Linear(channels, channels)
        self.leave = nn.Linear(channels, f0.channels)

    @cached_property
    def extractors(self) -> tuple[Linguistic, LogF0]:
        """What makes its features."""
        made = [rebuild(described) for described in self.vocabulary.features]
        if len(made) != 2 or not isinstance(made[0], Linguistic) or not isinstance(made[1], LogF0):
            names = ", ".join(extractor.name for extractor in made)
            raise ValueError(f"log F0 is told from the features linguistic and f0 in this order, not from {names}")
        return made[0], made[1]

    @property
    def request(self) -> Request:
        """Whole clips in frames alone, and who speaks where the corpus says it."""
        return _request(self.vocabulary, frozenset({"speaker"} if self.vocabulary.speakers else ()))

    def divided(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Linguistic features `[B, L, N]` of a batch, and log F0 with V/UV `[B, 2, N]`."""
        assert batch.frames is not None
        return batch.frames[:, :-2], batch.frames[:, -2:]

    def read(self, linguistic: Tensor, lengths: Tensor) -> Tensor:
        """What is said `[B, N, C]`, from linguistic features `[B, L, N]` of utterances of `lengths` `[B]` (frames)."""
        said: Tensor = self.encoder(F.relu(self.enter(linguistic.mT)), lengths)
        return said

    def forward(self, linguistic: Tensor, f0: Tensor, lengths: Tensor) -> Tensor:
        """The next log F0 and V/UV `[B, 2, N]` after those before each frame, `f0` `[B, 2, N]`; zeros come first."""
        before = f0 + self.noise * torch.randn_like(f0) if self.training else f0
        past = self.read_past(F.pad(before, (self.past, -1))).mT
        return self._frame(self.read(linguistic, lengths), past).mT

    def _frame(self, said: Tensor, past: Tensor) -> Tensor:
        """Log F0 and V/UV `[..., 2]` of frames."""
        told: Tensor = self.leave(F.relu(self.hidden(F.relu(said + past))))
        return told

    @torch.no_grad()
    def generate(self, linguistic: Tensor, lengths: Tensor) -> Tensor:
        """Log F0 (normalized) and V/UV (0 or 1) of utterances, `[B, 2, N]`, each frame from those generated before it.

        Args:
            linguistic: `[B, L, N]`.
            lengths: `[B]` (frames).
        """
        said = self.read(linguistic.to(self.device), lengths.to(self.device))
        utterances, frames, _ = said.shape
        told = said.new_zeros(utterances, self.past + frames, 2)
        # As the convolution has it, but for one frame: [C, past * 2].
        weight = self.read_past.weight.mT.flatten(1)
        for at in range(frames):
            past = F.linear(told[:, at : at + self.past].flatten(1), weight, self.read_past.bias)
            frame = self._frame(said[:, at], past)
            frame[:, 1] = (frame[:, 1] >= 0.5).to(frame.dtype)
            told[:, self.past + at] = frame
        return told[:, self.past :].mT
