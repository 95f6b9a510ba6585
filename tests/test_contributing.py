"""The pieces of CONTRIBUTING.md are put in place, as it says, and do what it says."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import types
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
import yaml
from nets import build, needs_native, stream_for, teacher_forced

import lightning_wavenet
from datamodules import Audio, AudioFolderDataModule, Crops, Split
from lightning_wavenet.cli.main import VERBS, main
from lightning_wavenet.cpp import NATIVE, compile_for
from lightning_wavenet.data.batch import Request
from lightning_wavenet.features import Utterance
from lightning_wavenet.sampling import Sampler, Stream, native
from lightning_wavenet.sampling.native import session
from lightning_wavenet.sampling.session import Start

PAGE = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
PIECES = {
    code.partition("\n")[0].removeprefix("# "): code
    for code in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
}
CPP_PIECES = {
    code.partition("\n")[0].removeprefix("// "): code
    for code in re.findall(r"^```cpp\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
}
ALL = Split(validation=0.2, test=0.2)


@pytest.fixture
def placed(tmp_path):
    """Puts the pieces with some titles into a module."""

    def place(name: str, *titles: str) -> types.ModuleType:
        path = tmp_path / f"{name}.py"
        path.write_text("\n".join(PIECES[title] for title in titles))
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return place


def test_every_piece_is_tried_here_and_is_at_most_a_page():
    text = Path(__file__).read_text()
    assert len(PIECES) == 9
    assert len(CPP_PIECES) == 2
    for title, code in (PIECES | CPP_PIECES).items():
        assert f'"{title}"' in text
        assert len(code.splitlines()) <= 50


def test_a_datamodule_of_ones_own_trains_resumes_and_generates(tmp_path, monkeypatch, capsys):
    code = PIECES["my_corpus.py"]
    assert len([line for line in code[code.index("class ") :].splitlines() if line]) <= 20
    (tmp_path / "my_corpus.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    net = [
        "--model.backbone.dilations=1..8",
        "--model.backbone.residual_channels=8",
        "--model.backbone.skip_channels=8",
    ]
    (told,) = re.findall(r"^wavenet (fit .*my_corpus.*)$", PAGE, re.MULTILINE)
    fit = [*told.split(), *net, "--trainer.accelerator=cpu", "--model.optimizer=Adam", "--model.optimizer.lr=0.01"]
    main([*fit[:-4], *fit[-4:], "--trainer.max_steps=30"])
    said = capsys.readouterr().out
    assert "no samples on the way: Sines has no prompts(count, samples, split)" in said
    main([*fit, "--resume", "--trainer.max_steps=60"])
    saved = torch.load("RUN/checkpoints/last.ckpt", weights_only=True)
    assert saved["global_step"] == 60
    assert saved["lightning_wavenet"]["trained_on"]["ids"] == ["sines"]
    bits = float(re.findall(r"val/bits (\d+\.\d+)", capsys.readouterr().out)[-1])
    assert bits < 6.5  # 8 before training.
    main(["generate", "RUN/checkpoints/last.ckpt", "--out", "clips", "--seconds", "0.1"])
    assert sf.info("clips/000.wav").frames == 800


def test_a_datamodule_that_lacks_something_is_refused_by_name(tmp_path, monkeypatch, capsys):
    lacking = PIECES["my_corpus.py"].replace("def connect", "def disconnect").replace("Sines", "Bare")
    (tmp_path / "bare_corpus.py").write_text(lacking)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--model", "UnconditionalWaveNet", "--data", "bare_corpus.Bare", "--trainer.accelerator=cpu"])
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("wavenet:")]
    assert line == "wavenet: error: Bare cannot serve UnconditionalWaveNet: it has no connect"


def test_batches_of_another_kind_and_without_what_was_asked_for_are_refused_by_name(tmp_path, monkeypatch, capsys):
    code = PIECES["my_corpus.py"]
    (tmp_path / "odd.py").write_text(code.replace("[Batch(", "[dict(zip('ab', (").replace("* 4)", "* 4)))"))
    (tmp_path / "mute.py").write_text(code.replace("8_000)\n", '8_000, speakers=("a", "b"))\n', 1))
    monkeypatch.chdir(tmp_path)
    for corpus, task, message in [
        ("odd.Sines", "UnconditionalWaveNet", "Sines yields dict and no lightning_wavenet.Batch"),
        ("mute.Sines", "SpeakerWaveNet", "Sines yields batches without speaker, which was asked for"),
    ]:
        with pytest.raises(SystemExit) as stop:
            main(
                [
                    "fit",
                    "--model",
                    task,
                    "--data",
                    corpus,
                    "--trainer.accelerator=cpu",
                    "--model.backbone.dilations=1,2",
                ]
            )
        assert stop.value.code == 2
        assert f"wavenet: error: {message}" in capsys.readouterr().err


@pytest.fixture
def seasons(tmp_path) -> Path:
    """Ten recordings in each of two seasons."""
    rng = np.random.default_rng(0)
    for number in range(20):
        folder = tmp_path / "birds" / ("spring", "autumn")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        sf.write(folder / f"bird_{number:02d}.wav", rng.uniform(-0.3, 0.3, 2_000), 8_000)
    return tmp_path / "birds"


def opened(data, *fields: str):
    data.prepare_data()
    data.setup()
    data.connect(Request(frozenset(fields)))
    return data


def test_a_corpus_and_its_field_reach_the_batch(placed, seasons):
    birds = placed("datamodules.birds", "datamodules/birds.py", "datamodules/birds.py, further down")
    options = {"audio": Audio(8_000), "split": ALL, "crops": Crops(500), "batch_size": 6}
    data = opened(birds.BirdsDataModule(seasons, **options), "label")
    assert data.vocabulary.labels == ("autumn", "spring")
    batch = next(iter(data.train_dataloader()))
    places = {id: label for id, label in zip(batch.ids, batch.label.tolist(), strict=True)}
    assert all(label == (int(id[-2:]) % 2 == 0) for id, label in places.items())

    data = opened(birds.SeasonedBirds(seasons, **options), "season")
    assert data.vocabulary.others == {"season": ("autumn", "spring")}
    batch = next(iter(data.train_dataloader()))
    assert batch.others["season"].tolist() == [int(int(id[-2:]) % 2 == 0) for id in batch.ids]


def test_a_feature_is_what_it_says(placed):
    energy = placed("lightning_wavenet.features.energy", "lightning_wavenet/features/energy.py").Energy(hop=4)
    wave = np.array([3, -3, 3, -3, 1, 1, 0, 0, 2], np.float32)
    frames = energy.extract(Utterance(wave, 8_000, (), ""))
    assert frames == pytest.approx(np.array([[3, np.sqrt(2) / 2, 1]]))


def test_a_task_trains_and_its_checkpoint_is_loaded(placed, seasons, tmp_path, monkeypatch):
    model = placed("lightning_wavenet.models.label", "lightning_wavenet/models/label.py")
    task = placed("lightning_wavenet.tasks.label", "lightning_wavenet/tasks/label.py")
    monkeypatch.chdir(tmp_path)
    config = {
        "model": {
            "class_path": "lightning_wavenet.tasks.label.LabelWaveNet",
            "init_args": {"backbone": {"dilations": "1..4", "residual_channels": 8, "skip_channels": 8}},
        },
        "data": {
            "class_path": "AudioFolderDataModule",
            "init_args": {
                "root": str(seasons),
                "pattern": "(?P<label>[a-z]+)/",
                "audio": {"sample_rate": 8000},
                "split": {"validation": 0.2},
            },
        },
        "trainer": {"max_steps": 2, "accelerator": "cpu"},
        "samples": {"every_n_steps": 2, "seconds": 0.02, "clips": 2},
    }
    Path("birds.yaml").write_text(yaml.safe_dump(config))
    assert task.LabelWaveNet(partial(build, "plain")) is not None
    main(["fit", "--config", "birds.yaml", "--run", "run", "--data.crops.samples", "500"])
    loaded = lightning_wavenet.load("run/checkpoints/last.ckpt")
    assert type(loaded) is model.LabelModel
    assert loaded.vocabulary.labels == ("autumn", "spring")
    assert loaded.backbone.global_channels == 2
    described = [json.loads(path.read_text()) for path in Path("run/samples/step_0000002").glob("*.json")]
    assert len(described) == 2
    assert all(one["conditions"]["label"] in ("autumn", "spring") for one in described)


@pytest.fixture
def laplace(placed):
    """The output of the page."""
    module = placed(
        "lightning_wavenet.backbone.distributions.laplace", "lightning_wavenet/backbone/distributions/laplace.py"
    )
    yield module
    del sys.modules["lightning_wavenet.backbone.distributions.laplace"]


def test_an_output_is_a_distribution_of_which_samples_are_drawn(laplace):
    output = laplace.Laplace()
    codes = torch.arange(65_536)
    assert torch.equal(output.encode(output.decode(codes)), codes)
    parameters = torch.tensor([0.25, -6.0]).expand(len(codes), 2)
    probabilities = output.nll(parameters, codes).neg().double().exp()
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-3)
    assert probabilities.argmax() == 32_768 + 8_192
    uniforms = torch.linspace(0, 1, 20_001, dtype=torch.float64)[:-1] + 1 / 40_000
    drawn = output.decode(output.sampling()(parameters[: len(uniforms)], uniforms)).double()
    # A Laplace distribution has the variance of its scale squared times 2.
    assert drawn.mean().item() == pytest.approx(0.25, abs=1e-4)
    assert drawn.std().item() == pytest.approx(np.exp(-6) * np.sqrt(2), rel=0.01)


def test_an_output_trains_by_the_command(laplace, seasons, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--model.backbone.dilations=1..4", "--model.backbone.residual_channels=8", "--data.crops.samples=300"]
    options += ["--data.audio.sample_rate=8000", "--samples.every_n_steps=0"]
    options += ["--model.backbone.distribution=lightning_wavenet.backbone.distributions.laplace.Laplace"]
    corpus = ["--data=AudioFolderDataModule", f"--data.root={seasons}", "--data.split.validation=0.2"]
    main(["fit", "--model=UnconditionalWaveNet", *corpus, *options, "--trainer.max_steps=2", "--run=run"])
    assert "bits per sample (linear 16 bit, 8,000 Hz)" in capsys.readouterr().out
    generate = ["generate", "run/checkpoints/last.ckpt", "--out", "clips", "--seconds", "0.02"]
    main([*generate, "--engine", "eager", "--temperature", "0.5"])
    about = json.loads(Path("clips/000.json").read_text())
    assert about["sampling"] == {"temperature": 0.5}
    assert about["codec"] == "linear 16 bit"
    with pytest.raises(SystemExit):
        main([*generate, "--top_p", "0.5", "--overwrite"])
    assert "Laplace takes no top_p in sampling; it takes temperature" in capsys.readouterr().err


@needs_native
def test_the_native_engine_draws_from_an_output_that_was_added(laplace, tmp_path, monkeypatch):
    source = Path(native.__file__).parent
    for path in (*source.glob("*.h"), source / "engine.cpp"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "laplace.h").write_text(CPP_PIECES["lightning_wavenet/sampling/native/laplace.h"])
    outputs = (tmp_path / "outputs.h").read_text()
    case = CPP_PIECES["lightning_wavenet/sampling/native/outputs.h, in make_output"]
    for before, after in (
        ('#include "softmax.h"', '#include "laplace.h"\n#include "softmax.h"'),
        ("GAUSSIAN_MIXTURE }", "GAUSSIAN_MIXTURE, LAPLACE }"),
        ("        default:", f"{case}        default:"),
    ):
        assert before in outputs
        outputs = outputs.replace(before, after)
    (tmp_path / "outputs.h").write_text(outputs)
    library = native.Library(compile_for(NATIVE, tmp_path / "engine.cpp", "-pthread"))
    python = (source / "outputs.py").read_text()
    line = PIECES["lightning_wavenet/sampling/native/outputs.py, in native_output"]
    python = python.replace("    return None\n", f"{line}    return None\n").replace(
        "GAUSSIAN_MIXTURE = 0, 1, 2", "GAUSSIAN_MIXTURE, LAPLACE = 0, 1, 2, 3"
    )
    added: dict = {"LaplaceDraw": laplace.LaplaceDraw}
    exec(compile(python, "outputs.py", "exec"), added)
    monkeypatch.setattr(session, "native_output", added["native_output"])
    monkeypatch.setattr(native, "load", lambda: library)
    monkeypatch.setattr(session, "load", lambda: library)

    net = build("scalar input", distribution=laplace.Laplace())
    assert net.head[-1].out_features == 2
    with torch.no_grad():
        net.head[-1].bias.copy_(torch.tensor([0.0, -4.0]))
    # A step of 16 bits is so fine that rounding moves some samples by one, and what follows them is another clip.
    streams = [stream_for(net, 1, seed=seed, prime=30) for seed in range(300)]
    for options in ({}, {"temperature": 0.5}):
        expected = torch.cat(Sampler(net, "eager", **options).generate(streams))
        assert len(expected.unique()) > 200
        clips = torch.cat(Sampler(net, "native", "float32", **options).generate(streams))
        assert (clips - expected).abs().max() <= 1 / 32_768
    codes = torch.randint(0, 65_536, (1, 50))
    begin = torch.full((1, net.history), net.distribution.silence)
    scored = native.NativeSession(Start(net, begin, net.distribution.sampling()), library, "float32", 1).score(codes)
    torch.testing.assert_close(scored[0], teacher_forced(net, Stream(50), codes[0]), atol=1e-5, rtol=0)


def test_a_verb_does_what_it_says(placed, seasons, tmp_path, monkeypatch, capsys):
    placed("lightning_wavenet.cli.count", "lightning_wavenet/cli/count.py")
    monkeypatch.setitem(VERBS, "count", ("lightning_wavenet.cli.count", "how many clips a corpus has"))
    monkeypatch.chdir(tmp_path)
    corpus = ["--data", "AudioFolderDataModule", "--data.root", str(seasons), "--data.audio.sample_rate", "8000"]
    main(["count", *corpus, "--out", "number.txt"])
    assert Path("number.txt").read_text() == "20\n"
    with pytest.raises(SystemExit) as stop:
        main(["count", *corpus, "--out", "number.txt"])
    assert stop.value.code == 2
    assert "number.txt exists: choose another --out, or say --overwrite" in capsys.readouterr().err
    main(["count", *corpus, "--out", "number.txt", "--overwrite"])
    assert AudioFolderDataModule.__name__ in str(corpus)
