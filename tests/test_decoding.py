"""Decoding and alignment, against all possibilities tried one by one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from lightning_wavenet.decoding import Bigram, Segment, Token, align, best_path, collapse, prefix_beam, viterbi

PHONES = 3


def random_scores(frames: int, seed: int, columns: int = PHONES) -> np.ndarray:
    logits = 3 * np.random.default_rng(seed).standard_normal((frames, columns))
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def random_bigram(seed: int) -> Bigram:
    rng = np.random.default_rng(seed)
    return Bigram.estimate([rng.integers(0, PHONES, 6).tolist() for _ in range(4)], PHONES)


def divisions(frames: int, parts: int, shortest: int):
    """All ways to divide frames into so many parts."""
    for cuts in itertools.combinations(range(1, frames), parts - 1):
        ends = [0, *cuts, frames]
        if all(end - start >= shortest for start, end in itertools.pairwise(ends)):
            yield list(itertools.pairwise(ends))


def test_neighbors_collapse_to_segments():
    assert collapse([2, 2, 0, 1, 1, 1]) == [Segment(2, 0, 2), Segment(0, 2, 3), Segment(1, 3, 6)]
    scores = np.log([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]])
    assert best_path(scores) == [Segment(0, 0, 2), Segment(1, 2, 3)]


def test_the_bigram_is_that_worked_out_by_hand():
    bigram = Bigram.estimate([[0, 1], [0, 0]], 2)
    # Followed: the beginning by 0 twice; 0 by 1, 0 and the end; 1 by the end. Of six tokens with one added to each:
    single = np.array([3 + 1, 1 + 1, 2 + 1]) / 9
    np.testing.assert_allclose(np.exp(bigram.start), (np.array([2, 0]) + 1 * single[:2]) / 3)
    np.testing.assert_allclose(np.exp(bigram.follow[0]), (np.array([1, 1]) + 3 * single[:2]) / 6)
    np.testing.assert_allclose(np.exp(bigram.end), [(1 + 3 * single[2]) / 6, (1 + 1 * single[2]) / 2])
    for row, end in zip(bigram.follow, bigram.end, strict=True):
        assert np.exp(row).sum() + np.exp(end) == pytest.approx(1)


@pytest.mark.parametrize("shortest", [1, 2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_viterbi_finds_the_best_of_all_sequences(seed, shortest):
    frames, weight, insertion = 7, 1.5, -0.4
    scores, bigram = random_scores(frames, seed), random_bigram(seed)

    def score(segments):
        phones = [segment.phone for segment in segments]
        language = bigram.start[phones[0]] + bigram.end[phones[-1]]
        language += sum(bigram.follow[pair] for pair in itertools.pairwise(phones))
        heard = sum(scores[start:end, phone].sum() for phone, start, end in segments)
        return heard + weight * language + insertion * len(phones)

    everything = (
        [Segment(phone, *part) for phone, part in zip(phones, parts, strict=True)]
        for count in range(1, frames // shortest + 1)
        for parts in divisions(frames, count, shortest)
        for phones in itertools.product(range(PHONES), repeat=count)
    )
    found = viterbi(scores, bigram, weight, insertion, shortest)
    assert found == max(everything, key=score)
    assert viterbi(scores[: shortest - 1], bigram, shortest=shortest) == []


@pytest.mark.parametrize("shortest", [1, 2])
@pytest.mark.parametrize("seed", range(6))
def test_alignment_finds_the_best_of_all_divisions(seed, shortest):
    scores = random_scores(8, seed)
    tokens = [Token(2, True), Token(0), Token(2, True), Token(1), Token(0), Token(2, True)]
    best, right = -math.inf, None
    for said in itertools.product(*([False, True] if token.optional else [True] for token in tokens)):
        places = [place for place, is_said in enumerate(said) if is_said]
        for parts in divisions(8, len(places), shortest):
            total = sum(
                scores[start:end, tokens[at].phone].sum() for at, (start, end) in zip(places, parts, strict=True)
            )
            if total > best:
                best, right = total, list(zip(places, parts, strict=True))
    found = align(scores, tokens, shortest)
    assert [(one.token, (one.segment.start, one.segment.end)) for one in found] == right
    for one in found:
        assert one.segment.phone == tokens[one.token].phone
        assert one.score == pytest.approx(scores[one.segment.start : one.segment.end, one.segment.phone].mean())


def test_too_few_frames_cannot_be_aligned():
    with pytest.raises(ValueError, match="3 frames are too few for 2 phones of 2 frames"):
        align(random_scores(3, 0), [Token(0), Token(2, True), Token(1)], shortest=2)
    assert [one.token for one in align(random_scores(4, 0), [Token(0), Token(2, True), Token(1)], shortest=2)] == [0, 2]


@pytest.mark.parametrize("with_bigram", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_a_wide_beam_finds_the_likeliest_of_all_sequences(seed, with_bigram):
    frames, blank = 5, 0
    scores = random_scores(frames, seed, PHONES + 1)
    bigram = random_bigram(seed) if with_bigram else None

    def score(phones):
        if bigram is None:
            language = 0.0
        else:
            places = [phone - 1 for phone in phones]
            language = bigram.start[places[0]] + bigram.end[places[-1]] if places else 0.0
            language += sum(bigram.follow[pair] for pair in itertools.pairwise(places))
        # PyTorch's own sum over all paths.
        nll = torch.nn.functional.ctc_loss(
            torch.from_numpy(scores).unsqueeze(1),
            torch.tensor([phones], dtype=torch.long),
            torch.tensor([frames]),
            torch.tensor([len(phones)]),
            blank=blank,
            reduction="sum",
        )
        return 0.7 * language + 0.3 * len(phones) - nll.item()

    everything = [
        list(phones) for count in range(frames + 1) for phones in itertools.product(range(1, PHONES + 1), repeat=count)
    ]
    found = prefix_beam(scores, blank, width=10_000, bigram=bigram, weight=0.7, insertion=0.3)
    assert found == max(everything, key=score)


def test_the_beam_counts_all_paths_where_the_best_path_counts_one():
    # The blank is likeliest in both frames, but all paths to one phone together are likelier.
    scores = np.log([[0.6, 0.4], [0.6, 0.4]])
    assert [segment.phone for segment in best_path(scores)] == [0]
    assert prefix_beam(scores, blank=0) == [1]
