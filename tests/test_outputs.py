"""Outputs in the engines, the tasks and the command; one by one they are in test_distributions.py."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from nets import build, generate_naively, needs_native, stream_for, teacher_forced
from stand_ins import write_timit

from datamodules.synthetic import synthesize_vctk
from lightning_wavenet.backbone import GaussianMixture, LinearSoftmax, LogisticMixture, MuLawSoftmax, WaveNet
from lightning_wavenet.backbone.distributions.mixtures import UNIT
from lightning_wavenet.cli.main import main
from lightning_wavenet.sampling import Sampler, Stream, native, sampler
from lightning_wavenet.sampling.cuda import CudaSession
from lightning_wavenet.sampling.session import Start

MIXTURES = {
    "10 logistics": LogisticMixture(),
    "one logistic": LogisticMixture(1),
    "normal": GaussianMixture(),
    "10 normals": GaussianMixture(10),
}
SOFTMAXES = {"mu-law 512": MuLawSoftmax(512), "mu-law 1024": MuLawSoftmax(1024), "linear 8 bit": LinearSoftmax()}


def build_mixture(kind: str, name: str) -> WaveNet:
    """A net whose means are as far apart as loud recordings move."""
    net = build(kind, distribution=MIXTURES[name])
    components = net.distribution.components
    with torch.no_grad():
        net.head[-1].weight[-2 * components : -components] *= 0.3 / UNIT
    return net


def drawn_after_primes(net: WaveNet, engine: str, **options: float) -> torch.Tensor:
    """The codes of 2,000 streams that end after one sample, each after another second of noise."""
    streams = [stream_for(net, 1, seed, prime=20) for seed in range(2_000)]
    clips = Sampler(net, engine, "float32", **options).generate(streams)
    return net.distribution.encode(torch.cat(clips))


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("engine", [pytest.param("native", marks=needs_native), "steps of the CUDA engine"])
@pytest.mark.parametrize("options", [{}, {"temperature": 0.6}], ids=str)
def test_engines_draw_alike_from_mixtures(name, engine, options, monkeypatch):
    """A mean that is rounded otherwise may move a code by one, and no more."""
    net = build_mixture("global", name)
    expected = drawn_after_primes(net, "eager", **options)
    if engine != "native":
        monkeypatch.setattr(sampler, "EagerSession", lambda start: CudaSession(start, "float32"))
    found = drawn_after_primes(net, "native" if engine == "native" else "eager", **options)
    assert len(expected.unique()) > 300
    assert (found == expected).double().mean() >= 0.99
    assert (found - expected).abs().max() <= 1


@pytest.mark.parametrize("name", SOFTMAXES)
@pytest.mark.parametrize("engine", [pytest.param("native", marks=needs_native), "steps of the CUDA engine"])
def test_engines_draw_the_same_codes_from_softmaxes(name, engine, monkeypatch):
    net = build("global", distribution=SOFTMAXES[name])
    expected = drawn_after_primes(net, "eager")
    if engine != "native":
        monkeypatch.setattr(sampler, "EagerSession", lambda start: CudaSession(start, "float32"))
    assert torch.equal(drawn_after_primes(net, "native" if engine == "native" else "eager"), expected)


@pytest.mark.parametrize("name", MIXTURES)
def test_cached_generation_is_naive_generation(name):
    net = build_mixture("kernel 3", name).double()
    stream = stream_for(net, 60, prime=7)
    (clip,) = Sampler(net, "eager").generate([stream])
    assert torch.equal(net.distribution.encode(clip), generate_naively(net, stream))


@needs_native
@pytest.mark.parametrize("name", [*MIXTURES, *SOFTMAXES])
def test_a_clip_has_the_likelihood_that_the_eager_net_gives_it(name):
    net = build_mixture("scalar input", name) if name in MIXTURES else build(distribution=SOFTMAXES[name])
    stream = Stream(4_000)
    (clip,) = Sampler(net, "native", "float32").generate([stream])
    codes = net.distribution.encode(clip)
    history = torch.full((1, net.history), net.distribution.silence)
    session = native.NativeSession(Start(net, history, net.distribution.sampling()), native.load(), "float32", 1)
    with torch.inference_mode():
        expected = net.distribution.nll(teacher_forced(net, stream, codes), codes)
        found = net.distribution.nll(session.score(codes[None])[0], codes)
    assert (found.double() - expected.double()).mean().abs() < 1e-4


@needs_native
def test_a_mixture_of_nan_draws_silence():
    """As of a net that diverged."""
    for mixture in MIXTURES.values():
        net = build(distribution=mixture)
        with torch.no_grad():
            net.head[-1].bias.fill_(float("nan"))
        for engine in ("eager", "native"):
            assert Sampler(net, engine).generate([Stream(5)])[0].tolist() == [0.0] * 5


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return synthesize_vctk(tmp_path_factory.mktemp("corpus") / "vctk", speakers=2, clips=4, source="tones", seconds=1)


@pytest.mark.parametrize("task", ["UnconditionalWaveNet", "SpeakerWaveNet"])
def test_a_task_takes_any_output_by_one_option(task, corpus, tmp_path, monkeypatch, capsys):
    """Trained, resumed, and generated from: with a prime, at a temperature."""
    monkeypatch.chdir(tmp_path)
    fit = ["fit", f"--model={task}", "--data=VCTKDataModule", f"--data.root={corpus}", "--data.audio.sample_rate=8000"]
    fit += ["--model.backbone.dilations=1..4", "--model.backbone.residual_channels=8", "--samples.every_n_steps=0"]
    fit += ["--model.backbone.distribution=lightning_wavenet.backbone.LogisticMixture", "--data.num_workers=0"]
    main([*fit, "--trainer.max_steps=1", "--run=run"])
    main([*fit, "--trainer.max_steps=2", "--run=run", "--resume"])
    assert "bits per sample (linear 16 bit, 8,000 Hz)" in capsys.readouterr().out
    prime = next(path for path in corpus.rglob("*.*") if path.suffix in (".wav", ".flac"))
    generate = ["generate", "run/checkpoints/last.ckpt", "--out", "clips", "--seconds", "0.05", "--num", "1"]
    main([*generate, "--prime", str(prime), "--temperature", "0.5"])
    about = json.loads(next(Path("clips").glob("*.json")).read_text())
    assert about["codec"] == "linear 16 bit"
    assert about["sampling"] == {"temperature": 0.5}
    samples = soundfile.read(next(Path("clips").glob("*.wav")), dtype="int16")[0]
    assert len(np.unique(samples)) > 20


def test_a_recognizer_takes_any_output_by_one_option(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    timit = write_timit(tmp_path / "timit", audio=True)
    fit = ["fit", "--model=RecognitionWaveNet", "--data=TIMITDataModule", f"--data.root={timit}", "--run=run"]
    fit += ["--data.audio.sample_rate=8000"]
    fit += ["--model.backbone.dilations=1..4", "--model.backbone.residual_channels=8", "--data.num_workers=0"]
    fit += ["--model.backbone.distribution=lightning_wavenet.backbone.GaussianMixture", "--trainer.max_steps=2"]
    fit += ["--model.backbone.skip_channels=8", "--trainer.limit_val_batches=1", "--data.batch_size=1"]
    main(fit)
    assert "phone error rate" in capsys.readouterr().out


def test_a_net_that_cannot_read_so_many_codes_is_refused_by_the_command(corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fit = ["fit", "--model=UnconditionalWaveNet", "--data=VCTKDataModule", f"--data.root={corpus}", "--run=run"]
    fit += ["--data.audio.sample_rate=8000"]
    fit += ["--model.backbone.distribution=lightning_wavenet.backbone.LogisticMixture"]
    with pytest.raises(SystemExit) as stop:
        main([*fit, "--model.backbone.input=one-hot"])
    assert stop.value.code == 2
    assert "one-hot input takes 1,024 levels at most, and LogisticMixture has 65,536" in capsys.readouterr().err


def test_the_teacher_has_its_size():
    """30 layers of 3 taps, 512 residual, 2 x 256 gate, 256 skip channels, ten logistics; 109 speakers."""
    config = yaml.safe_load((Path(__file__).parents[1] / "configs/experiments/vctk_teacher.yaml").read_text())
    options = config["model"]["init_args"]["backbone"]
    distribution = options.pop("distribution")
    assert distribution == {"class_path": "lightning_wavenet.backbone.LogisticMixture"}
    with torch.device("meta"):
        net = WaveNet(**options, global_channels=109, distribution=LogisticMixture())
    layer = 512 * 3 * 512 + 512 + 109 * 512 + 256 * 512 + 512  # dilated, speaker, projection
    unused = 256 * 512 + 512  # The last layer's projection would lead nowhere.
    expected = 2 * 512 + 512 + 30 * layer - unused + 30 * 256 * 256 + 256 + 256 * 256 + 256 + 256 * 30 + 30
    assert sum(parameter.numel() for parameter in net.parameters()) == expected
    assert math.isclose(expected / 1e6, 31.2, abs_tol=0.1)
    assert net.receptive_field == 3 * 2 * 1_023 + 1 + 1
    assert config["data"]["init_args"]["audio"]["sample_rate"] == 24_000
