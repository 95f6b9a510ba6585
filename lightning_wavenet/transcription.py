"""A trained recogniser at work: phones with times from recordings, and the times of known phones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_wavenet.checkpoint import load
from lightning_wavenet.decoding import Segment, Token, align, between_blanks
from lightning_wavenet.errors import RequestError
from lightning_wavenet.tasks import RecognitionWaveNet
from lightning_wavenet.vocabulary import Vocabulary

_PART_SECONDS = 10.0
"""Of a recording that the backbone hears at a time."""


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
    """Its place in the sequence that was aligned, or in what was recognised."""


class Recognizer:
    """Hears recordings of any length with a trained net.

    Args:
        task: The net, with a vocabulary, ready to be used.

    Attributes:
        vocabulary: Names of its phones.
    """

    def __init__(self, task: RecognitionWaveNet) -> None:
        assert task.vocabulary is not None
        self.task = task
        self.vocabulary: Vocabulary = task.vocabulary

    @classmethod
    def from_checkpoint(cls, path: str | Path, device: str = "cpu") -> Recognizer:
        """The recogniser of a checkpoint.

        Raises:
            RequestError: It is no checkpoint of a recogniser.
        """
        task = load(path, device)
        if not isinstance(task, RecognitionWaveNet):
            raise RequestError(f"{path} holds a {type(task).__name__}, which recognises no phones")
        if task.vocabulary is None:
            raise RequestError(f"{path} was trained without a corpus of this project, so its phones have no names")
        return cls(task)

    @torch.inference_mode()
    def log_probabilities(self, waveform: Tensor) -> Tensor:
        """float32 `[N, C]` of the N whole frames of a recording `[T]`, of which the backbone hears a part at a time."""
        frame, context, device = self.task.frame, self.task.context, self.task.device
        frames = len(waveform) // frame
        part = max(1, round(_PART_SECONDS * self.vocabulary.sample_rate / frame))
        if not frames:
            return torch.zeros(0, self.task.phones + self.task.blank)
        padded = torch.cat([waveform.new_zeros(context), waveform])
        # Frame n of the recording ends with sample context + (n + 1) * frame - 1 of what is padded.
        starts = range(0, frames, part)
        parts = [padded[start * frame : context + min(start + part, frames) * frame] for start in starts]
        pooled = torch.cat([self.task.pool(heard[None].to(device)) for heard in parts], dim=1)
        return self.task.read(pooled, torch.tensor([frames], device=device))[0].log_softmax(-1).cpu()

    def recognize(self, waveform: Tensor) -> list[TimedPhone]:
        """The phones of a recording `[T]` at the vocabulary's rate."""
        log = self.log_probabilities(waveform)
        segments = self.task.decode(log.to(self.task.device))
        return self._timed(segments, range(len(segments)), log.numpy())

    def align(self, waveform: Tensor, phones: Sequence[int], optional: Sequence[bool]) -> list[TimedPhone]:
        """When each phone of a known sequence is said, without gaps.

        With a net that has a blank, a phone goes on to the middle of the blanks between it and the next; its silences
        are what lies before the first phone and after the last.

        Args:
            waveform: `[T]` at the vocabulary's rate.
            phones: Indices of phones in their order.
            optional: Which of them may be left out, as silences between words.

        Raises:
            ValueError: The recording is too short for them; or there are none, but for silences, and a blank.
        """
        log = self.log_probabilities(waveform)
        blank = self.task.blank_index
        if blank is None:
            tokens = [Token(*token) for token in zip(phones, optional, strict=True)]
            aligned = align(self._scores(log), tokens, self.task.shortest)
            timed = self._timed([item.segment for item in aligned], [item.token for item in aligned], log.numpy())
            # The last samples fill no frame.
            return [*timed[:-1], timed[-1]._replace(end=len(waveform) / self.vocabulary.sample_rate)]
        places = [place for place, leave_out in enumerate(optional) if not leave_out]
        if not places:
            raise ValueError("there are no phones to align, only silences")
        aligned = align(self._scores(log), between_blanks([phones[place] for place in places], blank))
        spikes = [item.segment for item in aligned if item.segment.phone != blank]
        cuts = [(one.end + other.start + 1) // 2 for one, other in pairwise(spikes)]
        starts, ends = [spikes[0].start, *cuts], [*cuts, spikes[-1].end]
        held = [Segment(spike.phone, *at) for spike, *at in zip(spikes, starts, ends, strict=True)]
        return self._timed(held, places, log.numpy(), spikes)

    def _scores(self, log: Tensor) -> NDArray[np.floating]:
        return self.task.scores(log.to(self.task.device)).cpu().numpy()

    def _timed(
        self,
        segments: Sequence[Segment],
        tokens: Sequence[int],
        log: NDArray[np.floating],
        sure: Sequence[Segment] | None = None,
    ) -> list[TimedPhone]:
        """Segments in seconds; their scores are those of the frames in `sure`, where these are others."""
        seconds = self.task.frame / self.vocabulary.sample_rate
        scores = [float(log[start:end, phone].mean()) for phone, start, end in sure or segments]
        return [
            TimedPhone(self.vocabulary.phones[phone], start * seconds, end * seconds, score, token)
            for (phone, start, end), score, token in zip(segments, scores, tokens, strict=True)
        ]
