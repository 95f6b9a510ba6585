"""A hidden Markov model of phones, learned from recordings and what is said in them, without any times.

Embedded Baum-Welch training from a flat start (Young et al., The HTK Book, section 8.5): all alignments are summed
over, weighted by how well they fit what is known so far. It is trained on the corpus that it aligns, in seconds. A
phone is one state with a mixture of Gaussians over cepstra: short frames and few parameters find where a phone ends;
telling which phone it is, for which recognizers have more of both, is not asked here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.decoding import IMPOSSIBLE, Token, align, full_sum
from lightning_wavenet.features.cepstra import cepstra
from lightning_wavenet.models.mixtures import Mixtures, Statistics
from lightning_wavenet.models.recognition import TimedPhone

_FRAME_SECONDS = 0.005
_SHORTEST = 4
"""Frames that a phone lasts at least."""
ROUNDS = 12
"""Of training."""
_DOUBLED = (7, 10)
"""Rounds before which every Gaussian becomes two."""
_SCALE = 0.3
"""Of log-densities: neighboring frames overlap, and do not tell as much as so many that do not."""
_STATES_AT_ONCE = 6_000_000
"""Frames times states of a batch, which bounds its memory."""
_LEARN_SECONDS = 3_600.0
"""Of recordings that are learned from at most, taken evenly from all: more do not change a few thousand numbers."""


class Recording(NamedTuple):
    """A recording that can be learned from."""

    read: Callable[[], Tensor]
    """Gives its waveform, `[T]`."""
    length: int
    """T."""
    speaker: str
    """Who speaks."""
    phones: Tensor
    """int64 `[L]`: what is said, in its order."""
    optional: Tensor
    """bool `[L]`: True on silences that may be left out; of neighbors only one may."""


class _Utterance(NamedTuple):
    """Frames `[N, D]` of a recording, and what is said in it."""

    frames: Tensor
    phones: Tensor
    optional: Tensor


class HiddenMarkovAligner:
    """Learns how the phones of a corpus sound, and finds them in its recordings.

    Args:
        vocabulary: Names the phones; has the rate.

    Attributes:
        hop: Samples a frame, 5 ms.
        shortest: Frames that a phone lasts at least.
        mixtures: How the phones sound.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.hop = round(_FRAME_SECONDS * vocabulary.sample_rate)
        self.shortest = _SHORTEST
        self.mixtures: Mixtures | None = None
        self._levels: dict[str, tuple[Tensor, Tensor]] = {}

    def learn(self, recordings: Sequence[Recording]) -> Iterator[Mixtures]:
        """Better from round to round, `ROUNDS` times.

        Args:
            recordings: Of all speakers; those too short for their phones teach nothing.
        """
        total = sum(one.length for one in recordings) / self.vocabulary.sample_rate
        few = recordings[:: math.ceil(total / _LEARN_SECONDS) or 1]
        frames = [self._cepstra(one.read()) for one in few]
        of_speakers = defaultdict(list)
        for one, its_frames in zip(few, frames, strict=True):
            of_speakers[one.speaker].append(its_frames)
        self._levels = {speaker: _levels(torch.cat(parts)) for speaker, parts in of_speakers.items()}
        utterances = [
            _Utterance(self._standardized(its_frames, one.speaker), one.phones, one.optional)
            for one, its_frames in zip(few, frames, strict=True)
        ]
        for mixtures in _learned(utterances, len(self.vocabulary.phones)):
            self.mixtures = mixtures
            yield mixtures

    def align(
        self, waveform: Tensor, phones: Sequence[int], optional: Sequence[bool], speaker: str = ""
    ) -> list[TimedPhone]:
        """When each phone of a known sequence is said, without gaps.

        Args:
            waveform: `[T]` at the vocabulary's rate.
            phones: Indices of phones in their order.
            optional: Which of them may be left out, as silences between words.
            speaker: Who says them.

        Raises:
            ValueError: The recording is too short for them.
        """
        if self.mixtures is None:
            raise RuntimeError("nothing is learned yet: iterate over learn()")
        scores = _scores(self._standardized(self._cepstra(waveform), speaker), self.mixtures).numpy()
        tokens = [Token(*token) for token in zip(phones, optional, strict=True)]
        seconds, names = self.hop / self.vocabulary.sample_rate, self.vocabulary.phones
        timed = [
            TimedPhone(names[phone], start * seconds, end * seconds, score, token)
            for token, (phone, start, end), score in align(scores, tokens, self.shortest)
        ]
        # The last samples fill no frame.
        return [*timed[:-1], timed[-1]._replace(end=len(waveform) / self.vocabulary.sample_rate)]

    def _cepstra(self, waveform: Tensor) -> Tensor:
        return cepstra(waveform, self.vocabulary.sample_rate, self.hop)

    def _standardized(self, frames: Tensor, speaker: str) -> Tensor:
        """Every feature with mean 0 and variance 1 over what its speaker says."""
        mean, deviation = self._levels.get(speaker) or _levels(frames)
        return (frames - mean) / deviation


def _levels(frames: Tensor) -> tuple[Tensor, Tensor]:
    return frames.mean(0), frames.std(0, correction=0).clamp(min=1e-3)


def _learned(utterances: Sequence[_Utterance], phones: int) -> Iterator[Mixtures]:
    """How phones sound, better from round to round."""
    features = utterances[0].frames.shape[1]
    mixtures = Mixtures.standard(phones, features)
    batches = list(_batches(utterances))
    for round in range(ROUNDS):
        if round in _DOUBLED:
            mixtures = mixtures.doubled()
        statistics = Statistics(mixtures)
        for batch in batches:
            for utterance, occupancy in zip(batch, _occupancies(batch, mixtures), strict=True):
                statistics.add(utterance.frames, occupancy)
        mixtures = statistics.estimate()
        yield mixtures


def _scores(frames: Tensor, mixtures: Mixtures) -> Tensor:
    """Log-probabilities of phones `[N, C]` at frames `[N, D]`, all phones being as likely beforehand."""
    return (_SCALE * mixtures.log_densities(frames)).log_softmax(-1)


def _batches(utterances: Sequence[_Utterance]) -> Iterable[list[_Utterance]]:
    """All utterances, those of about one length together."""
    batch: list[_Utterance] = []
    most = 0
    for utterance in sorted(utterances, key=lambda one: len(one.frames)):
        most = max(most, len(utterance.phones))
        if batch and (len(batch) + 1) * len(utterance.frames) * most * _SHORTEST > _STATES_AT_ONCE:
            yield batch
            batch, most = [], len(utterance.phones)
        batch.append(utterance)
    if batch:
        yield batch


def _occupancies(batch: Sequence[_Utterance], mixtures: Mixtures) -> list[Tensor]:
    """How likely each phone is at each frame of each utterance, `[N, C]`; 0 in one that is too short."""
    given = pad_sequence([_scores(one.frames, mixtures) for one in batch], batch_first=True).requires_grad_()
    lengths = torch.tensor([len(one.frames) for one in batch])
    tokens = pad_sequence([one.phones for one in batch], batch_first=True, padding_value=-1)
    optional = pad_sequence([one.optional for one in batch], batch_first=True)
    total = full_sum(given, lengths, tokens, optional, _SHORTEST)
    # The gradient of the sum is how likely each phone is.
    (likely,) = torch.autograd.grad(total[total > IMPOSSIBLE / 2].sum(), given)
    return [one[:length] for one, length in zip(likely, lengths.tolist(), strict=True)]
