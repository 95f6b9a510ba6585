"""Speech recognition (section 3.4): phones with times from raw audio, and the times of known phones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.data.batch import Batch, Request
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.decoding import (
    BestPath,
    Bigram,
    Decoder,
    PrefixBeam,
    Segment,
    Token,
    Viterbi,
    align,
    between_blanks,
)
from lightning_wavenet.files.audio import read_audio
from lightning_wavenet.models.encoders import ConvolutionalEncoder, RecurrentEncoder, standardized
from lightning_wavenet.models.model import Model, Names
from lightning_wavenet.text.phones import PhoneSet, fold

_PART_SECONDS = 10.0
"""Of a recording that the backbone reads at a time."""


class FrameLogits(NamedTuple):
    """What the net makes of a batch of B whole clips."""

    logits: Tensor
    """float32 `[B, N, C]`: of the phones, and of the blank where there is one."""
    lengths: Tensor
    """int64 `[B]`: how many of the N frames each clip has."""
    nats: Tensor | None
    """`[B, T]`: negative log-likelihood of every sample behind the history; None where it was not asked for."""


class TimedPhone(NamedTuple):
    """A phone and when it was said."""

    label: str
    start: float
    """Seconds."""
    end: float
    """Seconds."""
    score: float
    """Mean log-probability of its frames (nats); 0 is certain."""
    token: int
    """Its place in the sequence that was aligned, or in what was recognized."""


class PhoneRecognizer(Model):
    """A WaveNet whose skip sum is averaged over frames and read by an encoder that sees both ways in time.

    Frame n is made of the steps whose last sample is n * hop to (n + 1) * hop - 1.

    Args:
        backbone: The net, without conditions.
        encoder: The layers over frames.
        vocabulary: Names the phones.
        hop: Samples that are averaged to a frame; the paper's 160 are 10 ms at 16 kHz.
        blank: Whether there is a class for "no phone" between phones (CTC). Without it every frame is a phone, or a
            silence where one is allowed, which gives times instead of peaks.
        prior_weight: How much of the classes' mean log-probability is taken off their scores, 0 to 1.
        shortest: Frames that a phone lasts at least in forced alignment, and in training's sum over alignments.
        decoder: Finds the phones; None: `Viterbi`, or `BestPath` where there is a blank.
        score_set: TIMIT's set that phones are folded to before errors are counted; None counts all as they are.
    """

    prior: Tensor
    bigram_start: Tensor
    bigram_follow: Tensor
    bigram_end: Tensor

    def __init__(
        self,
        backbone: WaveNet,
        encoder: ConvolutionalEncoder | RecurrentEncoder,
        vocabulary: Vocabulary,
        hop: int = 160,
        blank: bool = False,
        prior_weight: float = 0.0,
        shortest: int = 1,
        decoder: BestPath | Viterbi | PrefixBeam | None = None,
        score_set: PhoneSet | None = None,
    ) -> None:
        super().__init__(vocabulary)
        if backbone.global_channels or backbone.upsampling is not None:
            raise ValueError("a recognizer's backbone has no conditions: leave out its global_channels and upsampling")
        if min(hop, shortest) < 1:
            raise ValueError(f"hop and shortest must be at least 1, got {hop} and {shortest}")
        if not 0 <= prior_weight <= 1:
            raise ValueError(f"prior_weight lies between 0 and 1, got {prior_weight}")
        if blank and shortest > 1:
            raise ValueError(f"beside a blank a phone may last a single frame: leave out shortest, which is {shortest}")
        if isinstance(decoder, Viterbi if blank else PrefixBeam):
            raise ValueError(f"{type(decoder).__name__} does not decode nets {'with' if blank else 'without'} a blank")
        phones = len(vocabulary.phones)
        if not phones:
            raise ValueError("the corpus has neither phones nor texts to recognize")
        self.backbone = backbone
        self.encoder = encoder
        self.hop = hop
        self.blank = blank
        self.prior_weight = prior_weight
        self.shortest = shortest
        self.decoder = decoder
        self.score_set = score_set
        classes = phones + blank
        self.enter = nn.Linear(backbone.skip_channels, encoder.channels)
        self.classify = nn.Linear(encoder.channels, classes)
        self.register_buffer("prior", torch.full((classes,), 1 / classes))
        self.register_buffer("bigram_start", torch.zeros(phones))
        self.register_buffer("bigram_follow", torch.zeros(phones, phones))
        self.register_buffer("bigram_end", torch.zeros(phones))

    @property
    def history(self) -> int:
        """Samples in front of a clip, which the first frame's first step depends on: whole frames."""
        return -(-self.backbone.receptive_field // self.hop) * self.hop

    @property
    def request(self) -> Request:
        """Whole clips with their phones."""
        return Request(frozenset({"phones", "transcript"}), history=self.history, hop=self.hop, whole_clips=True)

    @property
    def blank_index(self) -> int | None:
        """Class of the blank."""
        return len(self.vocabulary.phones) if self.blank else None

    @property
    def bigram(self) -> Bigram:
        """Of the phones of the training split."""
        return Bigram(*(log.double().cpu().numpy() for log in (self.bigram_start, self.bigram_follow, self.bigram_end)))

    @bigram.setter
    def bigram(self, bigram: Bigram) -> None:
        for name in ("start", "follow", "end"):
            self.get_buffer(f"bigram_{name}").copy_(torch.from_numpy(getattr(bigram, name)))

    def named_axes(self) -> Mapping[str, tuple[Names, ...]]:
        """Classes are phones, and the blank."""
        classes = (*self.vocabulary.phones, "blank") if self.blank else self.vocabulary.phones
        return {"classify.weight": (classes, None), "classify.bias": (classes,), "prior": (classes,)}

    # From samples to logits

    def forward(self, batch: Batch, predict: bool = False) -> FrameLogits:
        """Reads a batch of whole clips behind `history` samples.

        Args:
            batch: The clips.
            predict: Whether the next samples are predicted as well.
        """
        codes = self.backbone.distribution.encode(batch.audio)
        steps = self.backbone.features(codes).transpose(0, 1)
        nats = None
        if predict:
            parameters = self.backbone.head(steps[self.history - self.backbone.receptive_field : -1])
            nats = self.backbone.distribution.nll(parameters, codes[:, self.history :].T).T
        lengths = batch.target_mask.sum(1) // self.hop
        return FrameLogits(self.read(self._pooled(steps), lengths), lengths, nats)

    def pool(self, waveform: Tensor) -> Tensor:
        """Means of the rectified skip sum over the N whole frames behind `history` samples, `[B, N, skip_channels]`."""
        return self._pooled(self.backbone.features(self.backbone.distribution.encode(waveform)).transpose(0, 1))

    def read(self, pooled: Tensor, lengths: Tensor) -> Tensor:
        """Logits `[B, N, C]` of clips of `lengths` `[B]` (frames), from what `pool` makes of them."""
        entered = self.enter(standardized(pooled.float(), lengths))
        return self.classify(self.encoder(entered, lengths)).float()

    def _pooled(self, steps: Tensor) -> Tensor:
        # Step j depends on sample j + R - 1 last.
        first = self.history - self.backbone.receptive_field + 1
        count = (len(steps) - first) // self.hop
        means = F.relu(steps[first : first + count * self.hop]).unflatten(0, (count, self.hop)).mean(1)
        return means.transpose(0, 1)

    def labels(self, batch: Batch) -> Tensor:
        """int64 `[B, N]`: the phone of each frame behind `history`, -1 where there is none; needs `Batch.phones`."""
        assert batch.phones is not None
        return batch.phones[:, self.history // self.hop :]

    def scores(self, logits: Tensor) -> Tensor:
        """Log-probabilities `[..., C]` less prior_weight times the logarithm of the prior."""
        return logits.log_softmax(-1) - self.prior_weight * self.prior.clamp(min=1e-5).log()

    def decode(self, logits: Tensor) -> list[Segment]:
        """The phones of a clip, and their frames, from its logits or log-probabilities `[N, C]`."""
        decoder: Decoder = self.decoder or (BestPath() if self.blank else Viterbi())
        return decoder.decode(self.scores(logits).cpu().numpy(), self.bigram, self.blank_index)

    def scored(self) -> list[str | None]:
        """What each phone counts as where errors are counted; None for one that does not count."""
        return [phone if self.score_set is None else fold(phone, self.score_set) for phone in self.vocabulary.phones]

    def scored_names(self) -> list[str]:
        """The phones that errors are counted over."""
        return sorted({name for name in self.scored() if name is not None})

    # Recordings of any length

    @torch.inference_mode()
    def log_probabilities(self, waveform: Tensor) -> Tensor:
        """float32 `[N, C]` of the N whole frames of a recording `[T]`, of which the backbone reads a part at a time."""
        hop, history = self.hop, self.history
        frames = len(waveform) // hop
        part = max(1, round(_PART_SECONDS * self.vocabulary.sample_rate / hop))
        if not frames:
            return torch.zeros(0, len(self.vocabulary.phones) + self.blank)
        padded = torch.cat([waveform.new_zeros(history), waveform])
        # Frame n of the recording ends with sample history + (n + 1) * hop - 1 of what is padded.
        starts = range(0, frames, part)
        parts = [padded[start * hop : history + min(start + part, frames) * hop] for start in starts]
        pooled = torch.cat([self.pool(waves[None].to(self.device)) for waves in parts], dim=1)
        return self.read(pooled, torch.tensor([frames], device=self.device))[0].log_softmax(-1).cpu()

    def recognize(self, recording: str | Path | Tensor) -> list[TimedPhone]:
        """The phones of a recording: a file, or `[T]` at the vocabulary's rate.

        Raises:
            RequestError: The file cannot be read.
        """
        if not isinstance(recording, Tensor):
            recording = read_audio(recording, self.vocabulary.sample_rate)
        log = self.log_probabilities(recording)
        segments = self.decode(log.to(self.device))
        return self._timed(segments, range(len(segments)), log.numpy())

    def align(
        self, waveform: Tensor, phones: Sequence[int], optional: Sequence[bool], speaker: str = ""
    ) -> list[TimedPhone]:
        """When each phone of a known sequence is said, without gaps.

        With a net that has a blank, a phone lasts to the middle of the blanks between it and the next; its silences
        are what lies before the first phone and after the last.

        Args:
            waveform: `[T]` at the vocabulary's rate.
            phones: Indices of phones in their order.
            optional: Which of them may be left out, as silences between words.
            speaker: Who says them; all are one to a recognizer.

        Raises:
            ValueError: The recording is too short for them; or there are none, but for silences, and a blank.
        """
        log = self.log_probabilities(waveform)
        scores = self.scores(log.to(self.device)).cpu().numpy()
        blank = self.blank_index
        if blank is None:
            tokens = [Token(*token) for token in zip(phones, optional, strict=True)]
            aligned = align(scores, tokens, self.shortest)
            timed = self._timed([item.segment for item in aligned], [item.token for item in aligned], log.numpy())
            # The last samples fill no frame.
            return [*timed[:-1], timed[-1]._replace(end=len(waveform) / self.vocabulary.sample_rate)]
        places = [place for place, leave_out in enumerate(optional) if not leave_out]
        if not places:
            raise ValueError("there are no phones to align, only silences")
        aligned = align(scores, between_blanks([phones[place] for place in places], blank))
        spikes = [item.segment for item in aligned if item.segment.phone != blank]
        cuts = [(one.end + other.start + 1) // 2 for one, other in pairwise(spikes)]
        starts, ends = [spikes[0].start, *cuts], [*cuts, spikes[-1].end]
        held = [Segment(spike.phone, *at) for spike, *at in zip(spikes, starts, ends, strict=True)]
        return self._timed(held, places, log.numpy(), spikes)

    def _timed(
        self,
        segments: Sequence[Segment],
        tokens: Sequence[int],
        log: NDArray[np.floating],
        sure: Sequence[Segment] | None = None,
    ) -> list[TimedPhone]:
        """Segments in seconds; their scores are those of the frames in `sure`, where these are others."""
        seconds = self.hop / self.vocabulary.sample_rate
        scores = [float(log[start:end, phone].mean()) for phone, start, end in sure or segments]
        return [
            TimedPhone(self.vocabulary.phones[phone], start * seconds, end * seconds, score, token)
            for (phone, start, end), score, token in zip(segments, scores, tokens, strict=True)
        ]
