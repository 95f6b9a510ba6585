"""The sum over all alignments, against PyTorch's CTC and against all divisions tried one by one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_wavenet.decoding import IMPOSSIBLE, full_sum, with_blanks

BLANK = 4


def random_logits(batch: int, frames: int, classes: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(batch, frames, classes, generator=generator, dtype=torch.float64)


def padded(rows: list[list[int]]) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [-1] * (longest - len(row)) for row in rows])


def by_trying(scores: np.ndarray, tokens: list[int], optional: list[bool], shortest: int) -> float:
    """The same from every way to write one token to each frame, in their order."""
    sums = []
    for path in itertools.combinations_with_replacement(range(len(tokens)), len(scores)):
        counts = [path.count(place) for place in range(len(tokens))]
        if all(count >= shortest or (count == 0 and may) for count, may in zip(counts, optional, strict=True)):
            sums.append(sum(scores[frame, tokens[place]] for frame, place in enumerate(path)))
    return float(np.logaddexp.reduce(sums)) if sums else -math.inf


def test_with_blanks_it_is_ctc_in_values_and_gradients():
    phones = [[0, 1, 2], [3, 3, 0, 0, 0], [1], [], [2, 2]]
    frames = torch.tensor([12, 9, 7, 4, 3])
    ours, theirs = (random_logits(5, 12, 5).requires_grad_() for _ in range(2))
    tokens, optional = with_blanks(padded(phones), BLANK)
    value = full_sum(ours.log_softmax(-1), frames, tokens, optional)
    right = F.ctc_loss(
        theirs.log_softmax(-1).transpose(0, 1),
        padded(phones).clamp(min=0),
        frames,
        torch.tensor([len(row) for row in phones]),
        blank=BLANK,
        reduction="none",
    )
    torch.testing.assert_close(-value, right)
    weights = torch.tensor([1.0, 2.0, -1.0, 0.5, 3.0])
    (-value * weights).sum().backward()
    (right * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert theirs.grad[1, :9].abs().min() > 0


def test_blanks_stand_around_phones_and_must_part_equal_ones():
    tokens, optional = with_blanks(padded([[0, 0, 1], [2], [3, 3]]), BLANK)
    assert tokens.tolist() == [[4, 0, 4, 0, 4, 1, 4], [4, 2, 4, -1, -1, -1, -1], [4, 3, 4, 3, 4, -1, -1]]
    assert [[place for place, may in enumerate(row) if may] for row in optional.tolist()] == [[0, 4, 6], [0, 2], [0, 4]]


# Tokens and which of them may be left out.
SEQUENCES = [
    ([0, 1], []),
    ([2, 0, 2, 1, 2], [0, 2, 4]),
    ([0, 2, 1], [2]),
    ([2, 0, 0], [0]),
    ([1], []),
    ([2], [0]),
    ([0, 2, 0, 2], [1, 3]),
    ([1, 0], [0]),
]


@pytest.mark.parametrize("shortest", [1, 2, 3])
def test_it_is_the_sum_over_all_divisions(shortest):
    frames = [9, 8, 9, 7, 4, 3, 9, 6]
    scores = random_logits(8, 9, 3, seed=shortest)
    tokens = padded([row for row, _ in SEQUENCES])
    optional = torch.zeros_like(tokens, dtype=torch.bool)
    for row, (_, places) in enumerate(SEQUENCES):
        optional[row, places] = True
    found = full_sum(scores, torch.tensor(frames), tokens, optional, shortest)
    right = [
        by_trying(scores[row, :count].numpy(), said, optional[row, : len(said)].tolist(), shortest)
        for row, ((said, _), count) in enumerate(zip(SEQUENCES, frames, strict=True))
    ]
    assert all(math.isfinite(one) for one in right)
    np.testing.assert_allclose(found.numpy(), right, rtol=1e-12)


@pytest.mark.parametrize("shortest", [1, 2, 3])
def test_gradients_are_those_of_finite_differences(shortest):
    scores = random_logits(3, 7, 3, seed=7).requires_grad_()
    frames, tokens = torch.tensor([7, 6, 3]), padded([[2, 0, 2], [0, 1], [1]])
    optional = torch.tensor([[True, False, True], [False, False, False], [False, False, False]])
    assert torch.autograd.gradcheck(lambda given: full_sum(given, frames, tokens, optional, shortest), scores)
    full_sum(scores, frames, tokens, optional, shortest).sum().backward()
    # Each frame has one token: the gradients are how likely each is, and what is beyond the end has none.
    torch.testing.assert_close(scores.grad.sum(-1), (torch.arange(7) < frames[:, None]).double())


@pytest.mark.parametrize("shortest", [1, 2])
def test_too_few_frames_are_impossible_without_spoiling_the_others(shortest):
    scores = random_logits(3, 6, 3).float().requires_grad_()
    # The second has one frame too few, the third just enough.
    frames = torch.tensor([6, 3 * shortest - 1, 2 * shortest])
    tokens = padded([[0, 1], [0, 2, 1], [0, 2, 1]])
    optional = torch.tensor([[False, False, False], [False, False, False], [False, True, False]])
    found = full_sum(scores, frames, tokens, optional, shortest)
    assert found[1].item() == pytest.approx(IMPOSSIBLE, rel=1e-3)
    given = scores.detach().double().numpy()
    assert found[0].item() == pytest.approx(by_trying(given[0], [0, 1], [False] * 2, shortest), rel=1e-5)
    last = by_trying(given[2, : 2 * shortest], [0, 2, 1], [False, True, False], shortest)
    assert found[2].item() == pytest.approx(last, rel=1e-5)
    found.sum().backward()
    assert scores.grad.isfinite().all()
    torch.testing.assert_close(scores.grad[0].sum(-1), torch.ones(6))


def test_no_frames_are_too_few():
    scores = random_logits(2, 3, 3).requires_grad_()
    found = full_sum(scores, torch.tensor([0, 1]), torch.tensor([[1], [1]]), torch.tensor([[False], [False]]))
    assert found.tolist() == [IMPOSSIBLE, scores[1, 0, 1].item()]
    found.sum().backward()
    assert not scores.grad[0].any()
