"""The two paths of the stack, reference and fused, against one another and against convolutions."""

from __future__ import annotations

import copy
import csv
import platform
from pathlib import Path

import pytest
import torch
from nets import KINDS, build, textbook_forward

from lightning_wavenet.backbone import WaveNet, residual
from lightning_wavenet.backbone.fused import fused_forward
from lightning_wavenet.backbone.fused import gate as gate_module
from lightning_wavenet.backbone.fused.gate import gate_backward, gate_forward
from lightning_wavenet.benchmarks.training import TextbookWaveNet
from lightning_wavenet.cli.main import main
from lightning_wavenet.cpp import compile_for

BATCHES = (1, 3)


def inputs(net: WaveNet, batch: int, steps: int = 37) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    dtype = next(net.parameters()).dtype
    length = net.receptive_field + steps - 1
    codes = torch.randint(0, 256, (batch, length))
    global_condition = torch.randn(batch, net.global_channels, dtype=dtype) if net.global_channels else None
    local = torch.randn(batch, length, net.local_channels, dtype=dtype) if net.local_channels else None
    return codes, global_condition, local


def gradients(net: WaveNet, output: torch.Tensor, *more: torch.Tensor | None) -> list[torch.Tensor]:
    """Of a sum that treats every output differently, for all parameters and for the conditions."""
    weight = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    wanted = [*net.parameters(), *(tensor.requires_grad_() for tensor in more if tensor is not None)]
    found = torch.autograd.grad((output * weight.sin()).sum(), wanted, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(wanted, found, strict=True)]


@pytest.mark.parametrize("path", ["reference", "fused"])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_gradients_are_those_of_convolutions_and_autograd(kind, batch, recompute, path):
    net = build(kind).double()
    net.stack.recompute, net.stack.path = recompute, path
    codes, global_condition, local = inputs(net, batch)
    conditions = [tensor.requires_grad_() for tensor in (global_condition, local) if tensor is not None]
    ours = net(codes, global_condition, local)
    expected = textbook_forward(net, codes, global_condition, local)
    torch.testing.assert_close(ours, expected, atol=1e-10, rtol=0)
    for mine, theirs in zip(gradients(net, ours, *conditions), gradients(net, expected, *conditions), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_both_paths_give_the_same_outputs_and_gradients(kind, recompute, monkeypatch):
    net = build(kind).double()
    net.stack.recompute = recompute
    codes, global_condition, local = inputs(net, 2)
    conditions = [tensor.requires_grad_() for tensor in (global_condition, local) if tensor is not None]
    found = {}
    for path in ("fused", "reference"):
        net.stack.path = path
        if path == "reference":
            monkeypatch.setattr(residual, "fused_forward", None)  # So that nothing of it can have been used.
        output = net(codes, global_condition, local)
        found[path] = [output, *gradients(net, output, *conditions)]
    for reference, fused in zip(found["reference"], found["fused"], strict=True):
        torch.testing.assert_close(fused, reference, atol=1e-9, rtol=1e-9)


def test_compiled_for_a_cpu_each_path_is_what_it_says(monkeypatch):
    net = build("global and local")
    ran = []

    def fused(*arguments):
        ran.append("fused")
        return fused_forward(*arguments)

    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    monkeypatch.setattr(residual, "fused_forward", fused)
    for path in ("reference", "fused"):
        net.stack.path = path
        net(*inputs(net, 1))
    assert ran == ["fused"]


@pytest.mark.parametrize("autocast", [False, True])
def test_the_command_trains_by_either_path_to_the_same_losses(fit, autocast, monkeypatch):
    losses = {}
    options = ["--trainer.precision", "bf16-mixed"] if autocast else []
    for path in ("fused", "reference"):
        if path == "reference":
            monkeypatch.setattr(residual, "fused_forward", None)  # So that nothing of it can have been used.
        main([*fit, "--run", path, "--execution.path", path, "--trainer.max_steps", "6", *options])
        rows = list(csv.DictReader(next(Path(path).glob("logs/*/metrics.csv")).open()))
        losses[path] = [float(row["train/bits"]) for row in rows if row["train/bits"]]
    assert len(losses["fused"]) >= 6
    assert losses["reference"] == pytest.approx(losses["fused"], abs=3e-2 if autocast else 1e-4)


def test_recomputing_keeps_less():
    kept = {}
    for recompute in (False, True):
        net = WaveNet("1..8 x2", residual_channels=16, gate_channels=32, skip_channels=32, head_channels=16)
        net.stack.recompute = recompute
        saved = 0

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal saved
            saved += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            net.stack(torch.randn(500, 1, 16))
        kept[recompute] = saved
    # Of 8 layers' inputs, gate inputs and z (16 + 32 + 16 channels) a sample, the inputs.
    assert kept[True] < 0.35 * kept[False]


def test_evaluation_keeps_nothing():
    net = build()
    seen = []
    with torch.no_grad(), torch.autograd.graph.saved_tensors_hooks(seen.append, lambda tensor: tensor):
        net(inputs(net, 1)[0])
    assert not seen


@pytest.fixture(params=["this CPU", "x86-64", "x86-64-v3", "torch"])
def built_for(request, monkeypatch):
    """The gate as kinds of CPUs compute it, and without a compiler."""
    if request.param == "torch":
        monkeypatch.setattr(gate_module, "_library", lambda: None)
    elif request.param != "this CPU":
        source = Path(gate_module.__file__).parent / "gate.cpp"
        library = compile_for([[f"-march={request.param}"]], source, "-fopenmp")
        if platform.machine() != "x86_64" or not isinstance(library, Path):
            pytest.skip("no compiler for kinds of x86-64 CPUs")
        monkeypatch.setattr(gate_module, "_library", lambda: gate_module._Library(library))


@pytest.mark.usefixtures("built_for")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("half", [16, 64, 10])
def test_the_gate_and_its_derivative_are_those_of_float64(half, dtype, tolerance):
    both = (4 * torch.randn(300, 2 * half)).to(dtype)
    both[0, :4] = torch.tensor([0.0, 100.0, -100.0, 1e-4])
    both[0, half : half + 4] = torch.tensor([-100.0, 100.0, 0.0, 1e-4])
    upstream, kept = torch.randn(300, half).to(dtype), torch.randn(120, 3 * half).to(dtype)[:, half : 2 * half]
    exact = both.double().requires_grad_()
    filtered, gated = exact.chunk(2, dim=-1)
    expected = filtered.tanh() * gated.sigmoid()
    whole = upstream.double()
    whole[-120:] += kept
    (expected_gradient,) = torch.autograd.grad(expected, exact, whole)
    copy = torch.zeros(100, 3 * half, dtype=dtype)
    z = gate_forward(both, copy[:, half : 2 * half])
    torch.testing.assert_close(z.double(), expected.detach(), atol=tolerance, rtol=tolerance)
    assert torch.equal(copy[:, half : 2 * half], z[-100:])
    assert not copy[:, :half].any()
    assert not copy[:, 2 * half :].any()
    gradient, sums, again = gate_backward(both, upstream, kept)
    torch.testing.assert_close(sums.double(), expected_gradient.sum(0), atol=50 * tolerance, rtol=tolerance)
    torch.testing.assert_close(gradient.double(), expected_gradient, atol=tolerance, rtol=3 * tolerance)
    torch.testing.assert_close(again, z, atol=tolerance, rtol=tolerance)


@pytest.mark.usefixtures("built_for")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nan_passes_through_the_gate(dtype):
    both = torch.zeros(2, 64, dtype=dtype)
    both[0, 3] = both[1, 40] = torch.nan
    z = gate_forward(both, both.new_empty(0, 32))
    assert z[0, 3].isnan()
    assert z[1, 8].isnan()
    assert z.isnan().sum() == 2


def curve(model: torch.nn.Module, net: WaveNet, autocast: bool) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    phase = torch.arange(net.receptive_field + 400) / 9
    losses = []
    for _ in range(200):
        start = torch.rand(2, 1, generator=generator) * 6.28
        noise = torch.randn(2, len(phase), generator=generator)
        codes = net.distribution.encode(0.5 * torch.sin(phase + start) + 0.02 * noise)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            parameters = model(codes[:, :-1])
        loss = net.distribution.nll(parameters.float(), codes[:, net.receptive_field :]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return torch.tensor(losses)


@pytest.mark.slow
@pytest.mark.skipif(gate_module._library() is None, reason="there is no C++ compiler")
def test_the_fast_forms_learn_along_the_curve_of_the_textbook_form():
    """200 steps of Adam, losses in nats averaged over 20 steps, which fall by more than 2.

    float32 forms stay within 0.02 nats of the textbook form, bfloat16 ones within 0.1.
    """
    torch.manual_seed(0)
    net = WaveNet("1..16", residual_channels=16, gate_channels=32, skip_channels=32, head_channels=32)
    compiled = copy.deepcopy(net)
    compiled.compile(dynamic=False)
    assert list(compiled.state_dict()) == list(net.state_dict())
    recomputing = copy.deepcopy(net)
    recomputing.stack.recompute = True
    reference = copy.deepcopy(net)
    reference.stack.path = "reference"
    expected = curve(TextbookWaveNet(net), net, autocast=False).view(-1, 20).mean(1)
    assert expected[0] - expected[-1] > 2
    forms = {
        "float32": (copy.deepcopy(net), False, 0.02),
        "float32, recomputing": (recomputing, False, 0.02),
        "float32, reference": (reference, False, 0.02),
        "bfloat16": (copy.deepcopy(net), True, 0.1),
        "bfloat16, compiled": (compiled, True, 0.1),
    }
    for name, (model, autocast, tolerance) in forms.items():
        found = curve(model, model, autocast).view(-1, 20).mean(1)
        assert (found - expected).abs().max() < tolerance, (name, found - expected)
