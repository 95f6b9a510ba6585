"""Muon against singular values, against Adam, and against torch's own for matrices."""

from __future__ import annotations

import copy

import pytest
import torch
from runs import assert_same, stopped
from torch import nn

from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.cli.main import main
from lightning_wavenet.tasks.optimizers import Muon, orthogonalized


def net_with_gradients(seed: int = 0) -> WaveNet:
    torch.manual_seed(seed)
    net = WaveNet("1..4", residual_channels=4, gate_channels=16, skip_channels=6, head_channels=10)
    for parameter in net.parameters():
        parameter.grad = torch.randn_like(parameter)
    return net


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 4, 10), (2, 10, 4)])
def test_orthogonalized_changes_singular_values_only(shape):
    torch.manual_seed(0)
    matrices = 100 * torch.randn(shape, dtype=torch.float64)
    u, s, v = torch.linalg.svd(matrices, full_matrices=False)
    s = s / s.square().sum(-1, keepdim=True).sqrt()
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    assert torch.allclose(orthogonalized(matrices, 5), u @ torch.diag_embed(s) @ v, atol=1e-9)
    assert s.max() < 1.25


def test_a_first_step_moves_by_the_learning_rate():
    net = net_with_gradients()
    layer = net.stack.residual_layers()[0]
    before, gradient = layer.dilated.weight.detach().clone(), layer.dilated.weight.grad[None]
    Muon(net.named_parameters(), matrix_lr=0.5).step()
    # 16 rows of 8: twice as tall as wide.
    expected = before - 0.5 * 2**0.5 * orthogonalized(gradient, 5)[0]
    assert torch.allclose(layer.dilated.weight, expected, atol=1e-6)


def test_which_parameters_are_left_to_adam():
    ours, theirs = net_with_gradients(), net_with_gradients()
    muon = Muon(ours.named_parameters(), lr=0.01, betas=(0.8, 0.95))
    adam = torch.optim.Adam(theirs.parameters(), lr=0.01, betas=(0.8, 0.95))
    for _ in range(3):
        muon.step()
        adam.step()
    differing = {
        name
        for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True)
        if not torch.equal(one, other)
    }
    stack = {f"stack.layers.{layer}.dilated.weight" for layer in range(3)}
    stack |= {f"stack.layers.{layer}.projection.weight" for layer in range(2)}
    assert differing == stack | {"head.1.weight"}


def test_matrices_move_as_torch_moves_them():
    torch.manual_seed(0)
    ours = nn.ModuleDict({"layers": nn.ModuleList([nn.ModuleDict({"dilated": nn.Linear(12, 8, bias=False)})])})
    weight = ours["layers"][0]["dilated"].weight
    other = nn.Parameter(weight.detach().clone())
    muon = Muon(ours.named_parameters(), matrix_lr=0.1, momentum=0.9)
    torchs = torch.optim.Muon([other], lr=0.1, momentum=0.9, weight_decay=0.0, adjust_lr_fn="original")
    for _ in range(4):
        weight.grad = torch.randn_like(weight)
        other.grad = weight.grad.clone()
        muon.step()
        torchs.step()
    # Four steps of at most 0.1 in every direction; torch's are rounded to the 8 bits of bfloat16.
    assert (weight - other).norm() < 0.02 * 4 * 0.1 * 8**0.5
    assert (weight - other).abs().max() > 0


def test_goes_on_from_its_state_to_the_bit():
    net = net_with_gradients()
    muon = Muon(net.named_parameters())
    muon.step()
    again = copy.deepcopy(net)
    resumed = Muon(again.named_parameters())
    resumed.load_state_dict(copy.deepcopy(muon.state_dict()))
    for (name, one), other in zip(net.named_parameters(), again.parameters(), strict=True):
        torch.manual_seed(len(name))
        one.grad = torch.randn_like(one)
        other.grad = one.grad.clone()
    muon.step()
    resumed.step()
    assert all(map(torch.equal, net.parameters(), again.parameters()))


def test_gradients_are_left_as_they_were_and_a_closure_is_called():
    net = net_with_gradients()
    gradients = [one.grad.clone() for one in net.parameters()]
    assert Muon(net.named_parameters()).step(lambda: 3.0) == 3.0
    assert all(torch.equal(one.grad, gradient) for one, gradient in zip(net.parameters(), gradients, strict=True))


def test_a_run_that_was_stopped_goes_on_to_the_bit(fit):
    muon = [*fit, "--model.optimizer", "lightning_wavenet.tasks.optimizers.Muon"]
    main([*muon, "--run", "whole"])
    main([*muon, "--run", "parts", "--trainer.max_steps", "7"])
    main([*muon, "--ckpt_path", "parts/checkpoints/last.ckpt"])
    assert_same("parts", "whole")


def test_options_out_of_range_are_refused_in_one_line(fit, capsys):
    muon = ["--model.optimizer", "lightning_wavenet.tasks.optimizers.Muon"]
    assert stopped([*fit, *muon, "--model.optimizer.momentum", "1", "--run", "wrong"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert line == "wavenet: error: model.optimizer: momentum lies between 0 and 1, got 1.0"


def test_parameters_without_names_or_matrices_are_refused():
    net = net_with_gradients()
    with pytest.raises(ValueError, match="give it named_parameters"):
        Muon(net.parameters())
    with pytest.raises(ValueError, match="no matrix among the parameters"):
        Muon(nn.Linear(2, 2).named_parameters())
