"""Mixtures of Gaussians, against PyTorch's distributions and steps worked by hand."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from lightning_wavenet.models.mixtures import Mixtures, Statistics


def some(classes: int = 3, parts: int = 2, features: int = 4) -> Mixtures:
    torch.manual_seed(0)
    weights = torch.rand(classes, parts)
    shape = (classes, parts, features)
    return Mixtures(weights / weights.sum(1, keepdim=True), torch.randn(shape), torch.rand(shape) + 0.1)


def test_densities_are_those_of_torch_distributions():
    mixtures, frames = some(), torch.randn(7, 4)
    parts = Independent(Normal(mixtures.means, mixtures.variances.sqrt()), 1)
    right = MixtureSameFamily(Categorical(mixtures.weights), parts).log_prob(frames[:, None])
    torch.testing.assert_close(mixtures.log_densities(frames), right)


def test_an_estimate_by_hand():
    """Class 0 has four frames of value 1 and four of 3; class 1 half of four frames of value 10, too few."""
    statistics = Statistics(Mixtures.standard(2, 1))
    values = [1.0] * 4 + [3.0] * 4 + [10.0] * 4
    shares = [[1.0, 0.0]] * 8 + [[0.0, 0.5]] * 4
    statistics.add(torch.tensor(values)[:, None], torch.tensor(shares))
    found = statistics.estimate()
    # Mean 2; variance the mean of 1 and 9 less 4. Two frames are too few: class 1 stays as it was.
    assert found.means.flatten().tolist() == [2.0, 0.0]
    assert found.variances.flatten().tolist() == [1.0, 1.0]
    assert found.weights.flatten().tolist() == [1.0, 1.0]


def test_every_step_makes_the_frames_likelier():
    torch.manual_seed(1)
    frames = torch.cat([torch.randn(200, 2) * 0.3 + 2, torch.randn(100, 2) * 0.5 - 2])
    mixtures, likely = Mixtures.standard(1, 2).doubled(), []
    for _ in range(12):
        likely.append(float(mixtures.log_densities(frames).sum()))
        statistics = Statistics(mixtures)
        statistics.add(frames, torch.ones(300, 1))
        mixtures = statistics.estimate()
    assert all(after > before - 1e-3 for before, after in itertools.pairwise(likely))
    # The two clouds are found: their sizes, and their means to three standard errors.
    order = mixtures.means[0, :, 0].argsort()
    assert mixtures.weights[0, order].tolist() == pytest.approx([1 / 3, 2 / 3], abs=0.01)
    assert mixtures.means[0, order].mean(1).tolist() == pytest.approx([-2, 2], abs=0.15)


def test_halves_together_are_near_what_they_were():
    mixtures = some(parts=1)
    twice = mixtures.doubled()
    assert twice.weights.sum(1).tolist() == pytest.approx([1, 1, 1])
    torch.testing.assert_close(twice.means.mean(1, keepdim=True), mixtures.means)
    apart = (twice.means[:, 1] - twice.means[:, 0]) / mixtures.variances[:, 0].sqrt()
    torch.testing.assert_close(apart, torch.full_like(apart, 0.4))


def test_values_that_are_all_the_same_have_a_variance_still():
    statistics = Statistics(Mixtures.standard(1, 1))
    statistics.add(torch.full((10, 1), 5.0), torch.ones(10, 1))
    found = statistics.estimate()
    assert found.variances.item() == pytest.approx(0.02)
    assert torch.isfinite(found.log_densities(torch.tensor([[5.0], [-50.0]]))).all()
