"""A hidden Markov model of phones, learned from recordings and what is said in them, without any times.

Embedded Baum-Welch training from a flat start (Young et al., The HTK Book, section 8.5): all alignments are summed over,
weighted by how well they fit the models so far. It is trained on the corpus that it aligns, in seconds. A phone is one
state with a mixture of Gaussians over cepstra: short frames and few parameters find where a phone ends; telling which
phone it is, for which recognizers have more of both, is not asked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lightning_wavenet.decoding import IMPOSSIBLE, Aligned, Token, align, full_sum
from lightning_wavenet.models.mixtures import Mixtures, Statistics

FRAME_SECONDS = 0.005
SHORTEST = 4
"""Frames that a phone lasts at least."""
ROUNDS = 12
"""Of training."""
_DOUBLED = (7, 10)
"""Rounds before which every Gaussian becomes two."""
_SCALE = 0.3
"""Of log-densities: neighboring frames overlap, and do not tell as much as so many that do not."""
_STATES_AT_ONCE = 6_000_000
"""Frames times states of a batch, which bounds its memory."""


class Utterance(NamedTuple):
    """A recording and what is said in it."""

    frames: Tensor
    """`[N, D]`, each feature with mean 0 and variance 1 over all that its speaker says."""
    phones: Tensor
    """int64 `[L]`, in the order of speech."""
    optional: Tensor
    """bool `[L]`: True on silences that may be left out, of neighbors only one."""


def learned(utterances: Sequence[Utterance], phones: int) -> Iterator[Mixtures]:
    """Models of phones, better from round to round, `ROUNDS` times.

    Args:
        utterances: All that is learned from; those too short for their phones teach nothing.
        phones: How many there are.
    """
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


def scores(frames: Tensor, mixtures: Mixtures) -> Tensor:
    """Log-probabilities of phones `[N, C]` at frames `[N, D]`, all phones being as likely beforehand."""
    return (_SCALE * mixtures.log_densities(frames)).log_softmax(-1)


def align_utterance(utterance: Utterance, mixtures: Mixtures) -> list[Aligned]:
    """The likeliest division of an utterance's frames among its phones.

    Raises:
        ValueError: There are too few frames for the phones.
    """
    tokens = [Token(*token) for token in zip(utterance.phones.tolist(), utterance.optional.tolist(), strict=True)]
    return align(scores(utterance.frames, mixtures).numpy(), tokens, SHORTEST)


def _batches(utterances: Sequence[Utterance]) -> Iterable[list[Utterance]]:
    """All utterances, those of about one length together."""
    batch: list[Utterance] = []
    most = 0
    for utterance in sorted(utterances, key=lambda one: len(one.frames)):
        most = max(most, len(utterance.phones))
        if batch and (len(batch) + 1) * len(utterance.frames) * most * SHORTEST > _STATES_AT_ONCE:
            yield batch
            batch, most = [], len(utterance.phones)
        batch.append(utterance)
    if batch:
        yield batch


def _occupancies(batch: Sequence[Utterance], mixtures: Mixtures) -> list[Tensor]:
    """How likely each phone is at each frame of each utterance, `[N, C]`; 0 in one that is too short."""
    given = pad_sequence([scores(one.frames, mixtures) for one in batch], batch_first=True).requires_grad_()
    lengths = torch.tensor([len(one.frames) for one in batch])
    tokens = pad_sequence([one.phones for one in batch], batch_first=True, padding_value=-1)
    optional = pad_sequence([one.optional for one in batch], batch_first=True)
    total = full_sum(given, lengths, tokens, optional, SHORTEST)
    # The gradient of the sum is how likely each phone is.
    (likely,) = torch.autograd.grad(total[total > IMPOSSIBLE / 2].sum(), given)
    return [one[:length] for one, length in zip(likely, lengths.tolist(), strict=True)]
