"""The forms that benchmarks compare are the same net."""

from __future__ import annotations

import json

import pytest
import torch
from nets import build

from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.benchmarks.training import TextbookWaveNet, cases, prepare
from lightning_wavenet.cli.main import main


@pytest.mark.parametrize("kind", ["plain", "kernel 3", "kernel 4, input 3", "explicit dilations", "no biases"])
def test_the_textbook_form_has_the_logits_of_the_backbone(kind):
    net = build(kind)
    codes = torch.randint(0, 256, (2, net.receptive_field + 40))
    torch.testing.assert_close(TextbookWaveNet(net)(codes), net(codes), atol=1e-4, rtol=0)


def test_the_textbook_form_learns_as_the_backbone_does():
    net = build()
    textbook = TextbookWaveNet(net)
    losses: list[list[float]] = [[], []]
    for model, found in zip((net, textbook), losses, strict=True):
        generator = torch.Generator().manual_seed(0)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(30):
            codes = torch.randint(100, 156, (2, net.receptive_field + 60), generator=generator)
            loss = net.distribution.nll(model(codes[:, :-1]), codes[:, net.receptive_field :]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
    assert losses[0][-1] < losses[0][0] - 0.2
    torch.testing.assert_close(torch.tensor(losses[0]), torch.tensor(losses[1]), atol=2e-3, rtol=0)


def test_a_step_is_counted_in_samples_and_operations():
    case = next(case for case in cases(crop=400, batch=1, threads=1, device="cpu") if case.form == "fused")
    found = prepare(case)(0.01)
    # Multiply-adds of the layers, each over the steps that it gives, of the skip product and of the head.
    net, steps, expected = WaveNet(), 400, 400 * (1_920 * 256 + 2 * 256 * 256)
    for layer in reversed(net.stack.residual_layers()):
        expected += steps * (128 * 128 + (64 * 64 if layer.projection is not None else 0))
        steps += layer.reach
    # Two operations each, forward and for two gradients.
    assert found.gflops * 1e9 / found.samples_per_second * 400 == pytest.approx(6 * expected, rel=1e-6)
    assert 0 < found.share_of_peak < 1.2


def test_the_loader_is_measured_in_samples_that_count(tmp_path):
    case = cases(crop=1_000, batch=2, threads=1, device="cpu")[-1]
    assert case.form == "loader"
    assert prepare(case)(0.01).samples_per_second > 10_000


def test_benchmark_train_refuses_what_cannot_be(tmp_path, capsys):
    (tmp_path / "file").touch()
    for options, message in (
        (["--crop", "0"], "positive"),
        (["--json", str(tmp_path)], "is a folder"),
        (["--json", str(tmp_path / "file" / "rows.json")], "file is a file"),
        (["--json", str(tmp_path / "file")], "file exists: choose another --json, or say --overwrite"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["benchmark", "train", *options])
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err


@pytest.mark.slow
def test_benchmark_train_writes_a_row_a_form(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lightning_wavenet.benchmarks.training.cases", lambda *arguments: cases(*arguments)[::10])
    file = tmp_path / "new" / "rows.json"
    options = ["--crop", "200", "--threads", "1", "--seconds", "0.1", "--rounds", "2", "--json", str(file)]
    main(["benchmark", "train", *options])
    rows = json.loads(file.read_text())
    assert [(row["form"], row["precision"], row["compiled"]) for row in rows] == [
        ("textbook", "float32", False),
        ("loader", "float32", False),
    ]
    assert all(row["samples_per_second"] > 0 and row["peak_memory_mb"] > 100 for row in rows)
    assert f"{rows[0]['samples_per_second']:,.0f}" in capsys.readouterr().out
