"""How likely a sequence of phones is when nobody says at which times: the sum over all alignments."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

IMPOSSIBLE = -1e30
"""Instead of -inf, whose gradients are NaN."""


def full_sum(scores: Tensor, lengths: Tensor, tokens: Tensor, optional: Tensor, shortest: int = 1) -> Tensor:
    """Logarithm of the sum, over all divisions of the frames among the tokens in their order, of exp(sum of scores).

    Where every phone stands between blanks that are optional, but for those between equal phones, this is the
    likelihood of connectionist temporal classification (CTC; Graves et al., 2006, equation 14).

    Args:
        scores: float `[B, N, C]`: log-probabilities of C classes.
        lengths: int64 `[B]`: how many of the N frames count.
        tokens: int64 `[B, L]`: classes in their order, then negative numbers.
        optional: bool `[B, L]`: True on tokens that may be left out; of neighbors only one may be.
        shortest: Frames that a token lasts at least.

    Returns:
        `[B]`; about `IMPOSSIBLE` where there are too few frames.
    """
    total: Tensor = _FullSum.apply(scores, lengths, tokens, optional, shortest)
    return total


class _FullSum(torch.autograd.Function):
    """Forward and backward algorithm: the gradient of the sum is how likely each class is at each frame.

    Every token is a chain of states, of which the last may be held. A state is reached from itself, from the one before
    it, and, where a token begins behind one that is optional, from the end of the token before that.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, lengths: Tensor, tokens: Tensor, optional: Tensor, shortest: int) -> Tensor:
        batch, frames, classes = scores.shape
        states = tokens.shape[1] * shortest
        of_states = tokens.clamp(min=0).repeat_interleave(shortest, dim=1)
        given = scores.gather(2, of_states[:, None].expand(-1, frames, -1)).transpose(0, 1).contiguous()
        hold, skip = _moves(tokens, optional, shortest, scores)
        reached = scores.new_full((frames, batch, states), IMPOSSIBLE)
        reached[0, :, 0] = given[0, :, 0]
        if states > shortest:
            reached[0, :, shortest] = given[0, :, shortest] + skip[:, shortest]
        for frame in range(1, frames):
            before, now = reached[frame - 1], reached[frame]
            torch.add(before, hold, out=now)
            now[:, 1:] = torch.logaddexp(now[:, 1:], before[:, :-1])
            over = skip[:, shortest + 1 :] + before[:, : -shortest - 1]
            now[:, shortest + 1 :] = torch.logaddexp(now[:, shortest + 1 :], over)
            now += given[frame]
        last = (tokens >= 0).sum(1, keepdim=True) - 1
        may_end_before = optional.gather(1, last.clamp(min=0)) & (last > 0)
        final = scores.new_full((batch, states), IMPOSSIBLE)
        final.scatter_(1, (last * shortest - 1).clamp(min=0), torch.where(may_end_before, 0.0, IMPOSSIBLE).to(final))
        final.scatter_(1, (last + 1) * shortest - 1, 0.0)
        ends = reached[(lengths - 1).clamp(min=0), torch.arange(batch, device=scores.device)]
        total = (ends + final).logsumexp(1).clamp(min=IMPOSSIBLE).masked_fill(lengths == 0, IMPOSSIBLE)
        ctx.save_for_backward(given, reached, lengths, of_states, hold, skip, final, total)
        ctx.shortest, ctx.classes = shortest, classes
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, weights: Tensor) -> tuple[Tensor, None, None, None, None]:
        given, reached, lengths, of_states, hold, skip, final, total = ctx.saved_tensors
        shortest = ctx.shortest
        frames, batch, _ = given.shape
        gradient = given.new_zeros(batch, frames, ctx.classes)
        counts = torch.where(total > IMPOSSIBLE / 2, weights, 0.0)[:, None]
        rest = final
        """What the best and all other ways on from each state come to."""
        for frame in range(frames - 1, -1, -1):
            if frame < frames - 1:
                after = rest + given[frame + 1]
                rest = after + hold
                rest[:, :-1] = torch.logaddexp(rest[:, :-1], after[:, 1:])
                over = (skip + after)[:, shortest + 1 :]
                rest[:, : -shortest - 1] = torch.logaddexp(rest[:, : -shortest - 1], over)
                rest = torch.where((frame < lengths - 1)[:, None], rest, final)
            likely = (reached[frame] + rest - total[:, None]).exp_()
            inside = torch.where((frame < lengths)[:, None], counts, 0.0)
            gradient[:, frame].scatter_add_(1, of_states, likely.nan_to_num_(posinf=0.0) * inside)
        return gradient, None, None, None, None


def _moves(tokens: Tensor, optional: Tensor, shortest: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """What is added where a state is held `[S]`, and where it is reached over an optional token `[B, S]`.

    It is 0 where that is allowed and `IMPOSSIBLE` elsewhere.
    """
    places = torch.arange(tokens.shape[1] * shortest, device=tokens.device)
    hold = torch.where(places % shortest == shortest - 1, 0.0, IMPOSSIBLE).to(like)
    over = torch.cat([optional.new_zeros(len(tokens), 1), optional[:, :-1]], dim=1).repeat_interleave(shortest, dim=1)
    skip = torch.where((places % shortest == 0) & over, 0.0, IMPOSSIBLE).to(like)
    return hold, skip


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
