"""How likely a sequence of phones is when nobody says at which times: the sum over all alignments."""

from __future__ import annotations

import torch
from torch import Tensor

IMPOSSIBLE = -1e30
"""Instead of -inf, whose gradients are NaN."""


def full_sum(scores: Tensor, frames: Tensor, tokens: Tensor, optional: Tensor, shortest: int = 1) -> Tensor:
    """Logarithm of the sum, over all divisions of the frames among the tokens in their order, of exp(sum of scores).

    Where every phone stands between blanks that are optional, but for those between equal phones, this is the
    likelihood of connectionist temporal classification (CTC; Graves et al., 2006, equation 14).

    Args:
        scores: float `[B, N, C]`: log-probabilities of C classes.
        frames: int64 `[B]`: how many of the N frames count.
        tokens: int64 `[B, L]`: classes in their order, then negative numbers.
        optional: bool `[B, L]`: True on tokens that may be left out; of neighbors only one may be.
        shortest: Frames that a token lasts at least.

    Returns:
        `[B]`; about `IMPOSSIBLE` where there are too few frames.
    """
    batch, count = tokens.shape
    # Every token is a chain of states, of which the last may be held.
    of_states = scores.gather(2, tokens.clamp(min=0)[:, None].expand(-1, scores.shape[1], -1))
    of_states = of_states.repeat_interleave(shortest, dim=2)
    nowhere = scores.new_full((batch, count * shortest), IMPOSSIBLE)
    places = torch.arange(count * shortest, device=scores.device)
    holds = places % shortest == shortest - 1
    begins = places % shortest == 0
    # A token begins after the one before it, or after the one before that, if the one between is optional.
    over = torch.cat([optional.new_zeros(batch, 1), optional[:, :-1]], dim=1).repeat_interleave(shortest, dim=1)
    first = (places == 0) | (begins & over & (places == shortest))
    reached = torch.where(first, of_states[:, 0], nowhere)
    for frame in range(1, scores.shape[1]):
        held = torch.where(holds, reached, nowhere)
        begun = torch.cat([nowhere[:, :1], reached[:, :-1]], dim=1)
        skipped = torch.cat([nowhere[:, : shortest + 1], reached[:, : -shortest - 1]], dim=1)[:, : count * shortest]
        skipped = torch.where(begins & over, skipped, nowhere)
        longer = torch.logsumexp(torch.stack([held, begun, skipped]), dim=0) + of_states[:, frame]
        reached = torch.where((frame < frames)[:, None], longer, reached)
    last = (tokens >= 0).sum(1, keepdim=True) - 1
    ends = reached.gather(1, (last + 1) * shortest - 1)
    before = reached.gather(1, (last * shortest - 1).clamp(min=0))
    may_end_before = optional.gather(1, last) & (last > 0)
    total = torch.logaddexp(ends, torch.where(may_end_before, before, nowhere[:, :1])).squeeze(1)
    return total.masked_fill(frames == 0, IMPOSSIBLE)


def with_blanks(phones: Tensor, blank: int) -> tuple[Tensor, Tensor]:
    """The tokens of CTC, `[B, 2 L + 1]`, and which of them are optional: blanks around phones `[B, L]`.

    A blank may be left out, unless it parts equal phones.
    """
    batch, count = phones.shape
    tokens = phones.new_full((batch, 2 * count + 1), blank)
    tokens[:, 1::2] = phones
    # Behind the last phone there is one blank, and then nothing.
    lengths = (phones >= 0).sum(1, keepdim=True)
    places = torch.arange(2 * count + 1, device=phones.device)
    tokens = tokens.masked_fill(places > 2 * lengths, -1)
    optional = tokens == blank
    optional[:, 2:-1:2] &= phones[:, 1:] != phones[:, :-1]
    return tokens, optional
