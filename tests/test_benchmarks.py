"""The forms that benchmarks compare are the same net."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from nets import build

from datamodules.synthetic import synthesize_folder
from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.benchmarks.learning import Recipe
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
        optimizer = torch.optim.SGD(model.parameters(), 0.3)
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
    monkeypatch.setattr("lightning_wavenet.benchmarks.training.cases", lambda *arguments: cases(*arguments)[::12])
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


ECHO = """
import torch

class Echo(torch.nn.Module):
    # A table of logits for the code before: after enough steps it knows that a constant stays.
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(256, 256)

    def forward(self, codes):
        return self.table(codes)

def build():
    return Echo()
"""


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "echo.py").write_text(ECHO)
    (tmp_path / "empty.py").write_text("")
    synthesize_folder(tmp_path / "corpus", 2, 5, "tones", seconds=1.0, sample_rate=16_000)
    return ["benchmark", "learn", "--root", "corpus", "--crop", "500", "--minutes", "0.001,0.02"]


def test_learn_tells_bits_of_held_out_clips_after_equal_time(recordings, capsys):
    main([*recordings, "--net", "echo.py", "--optimizer", "adam", "--lr", "0.05", "--json", "found.json"])
    rows = json.loads(Path("found.json").read_text())
    assert [row["minutes"] for row in rows] == [0, 0.001, 0.02]
    assert rows[0]["steps"] == 0 < rows[1]["steps"] < rows[2]["steps"]
    # Random logits of variance 1 cost half a nat more than a guess, 8.7 bits.
    assert rows[0]["bits"] == pytest.approx(8.7, abs=0.3)
    assert rows[2]["bits"] < 8
    assert capsys.readouterr().out.splitlines()[-1].startswith("0.02 min, ")


def test_learn_trains_the_paper_s_net_by_the_recipe(recordings, capsys):
    main([*recordings[:-1], "0.02"])
    first, last = (float(line.split()[-4]) for line in capsys.readouterr().out.splitlines()[-2:])
    assert first == pytest.approx(8, abs=0.1)
    assert last < first


def test_the_factor_of_a_recipe():
    # Over the first 2 % it rises; half way a cosine and a straight line are at a half.
    for schedule in ("cosine", "linear"):
        recipe = Recipe(schedule=schedule)
        assert recipe.factor(0.0) == pytest.approx(0.05)
        assert recipe.factor(0.5) == pytest.approx(0.5)
        assert recipe.factor(1.0) == 0
    assert Recipe(schedule="linear").factor(0.75) == pytest.approx(0.25)
    assert Recipe(schedule="constant").factor(0.0) == 1


def test_learn_refuses_what_cannot_be(recordings, capsys):
    for arguments, said in (
        (["--minutes", "3,1"], "minutes must rise"),
        (["--minutes", "soon"], "--minutes takes numbers joined by commas"),
        (["--crop", "100000"], "no training clip has the 100,000 samples of a crop"),
        (["--root", "nowhere"], "nowhere"),
        (["--net", "nowhere.py"], "a Python file that defines build(), and nowhere.py is neither"),
        (["--net", "empty.py"], "a Python file that defines build(), and empty.py is neither"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([*recordings, *arguments])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
