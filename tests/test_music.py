"""Music of any kind and of the kind that tags say: the model, its task, and the command around them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile as sf
import torch
from nets import build, set_up
from torch import Tensor

import lightning_wavenet as lw
from datamodules.synthetic_music import synthesize_music
from lightning_wavenet.cli.main import main
from lightning_wavenet.data.batch import Batch
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.models import MusicModel
from lightning_wavenet.models.checkpoint import CHECKPOINT_KEY, described, take_weights
from lightning_wavenet.sampling import Guidance
from lightning_wavenet.tasks import MusicWaveNet

TAGS = ("harp", "no vocals", "piano", "slow")
VOCABULARY = Vocabulary(8_000, tags=TAGS)


def model() -> MusicModel:
    return MusicModel(build("global", global_channels=4), VOCABULARY).eval()


def test_tags_together_are_one_condition():
    net = model()
    one, other = net.generate(0.01, tags="slow, harp,slow", num=2, seed=5)
    assert [clip.description.id for clip in (one, other)] == ["slow_harp_000", "slow_harp_001"]
    assert one.description.conditions == other.description.conditions == {"tags": ["harp", "slow"]}
    held = torch.tensor([1.0, 0.0, 0.0, 1.0])
    by_hand = lw.Sampler(net.backbone).generate([lw.Stream(80, seed, global_condition=held) for seed in (5, 6)])
    assert torch.equal(one.waveform, by_hand[0])
    assert torch.equal(other.waveform, by_hand[1])


def test_without_tags_nothing_is_said():
    net = model()
    for given in ({}, {"tags": ""}):
        (clip,) = net.generate(0.01, **given)
        assert (clip.description.id, clip.description.conditions) == ("000", {"tags": []})
        (by_hand,) = lw.Sampler(net.backbone).generate([lw.Stream(80, 0, global_condition=torch.zeros(4))])
        assert torch.equal(clip.waveform, by_hand)


def test_what_a_model_does_not_know_is_refused():
    with pytest.raises(RequestError, match=r"^unknown tag 'vocals'; of 4 that this model knows: no vocals, \.\.\.$"):
        model().generate(tags="slow,vocals")
    with pytest.raises(
        RequestError, match=r"^unknown tag 'x'; of 4 that this model knows: harp, no vocals, piano, slow$"
    ):
        model().generate(tags="x")
    with pytest.raises(RequestError, match="not conditioned on a speaker"):
        model().generate(speaker="ann")
    plain = MusicModel(build(), VOCABULARY)
    with pytest.raises(RequestError, match=r"this model is not conditioned on tags$"):
        plain.generate(tags="slow")
    assert plain.request.fields == frozenset()
    assert plain.generate(0.01)[0].description.conditions == {}
    with pytest.raises(ValueError, match=r"there are 4 tags, and backbone\.global_channels is 3"):
        MusicModel(build("global"), VOCABULARY)
    with pytest.raises(RequestError, match=r"the corpus has none: set model\.tags to false"):
        set_up(MusicWaveNet(build), Vocabulary(8_000))
    with pytest.raises(ValueError, match=r"tag_dropout is 0 to 1, of a model\.tags that is true; got 0\.1"):
        MusicWaveNet(build, tags=False, tag_dropout=0.1)


def test_guidance_leads_away_from_no_tags():
    net = model()
    (clip,) = net.generate(0.05, tags="no vocals", guidance=3.0)
    held = torch.tensor([0.0, 1.0, 0.0, 0.0])
    guided = lw.Stream(400, 0, global_condition=held, guidance=Guidance(3.0, torch.zeros(4)))
    assert torch.equal(clip.waveform, lw.Sampler(net.backbone).generate([guided])[0])
    assert clip.description.id == "no-vocals_000"
    assert clip.description.sampling["guidance"] == 3.0
    (one,) = net.generate(0.05, tags="no vocals", guidance=1.0)
    assert "guidance" not in one.description.sampling
    with pytest.raises(RequestError, match="leave out --guidance"):
        MusicModel(build(), VOCABULARY).generate(0.05, guidance=2.0)


def test_other_tags_are_refused_and_weights_taken_by_name(tmp_path):
    old = model()
    with torch.no_grad():
        old.backbone.stack.global_projection.weight.normal_()
    new = MusicModel(build("global", 2, global_channels=3), Vocabulary(8_000, tags=("oboe", "piano", "slow")))
    with pytest.raises(
        RequestError, match=r"different tags \(3 and 4\): only the model has oboe, only x harp, no vocals$"
    ):
        new.vocabulary.must_match(old.vocabulary, new.request.fields, "x")
    before = new.backbone.stack.global_projection.weight.detach().clone()
    state = {f"model.{name}": value for name, value in old.state_dict().items()}
    torch.save({"state_dict": state, CHECKPOINT_KEY: described(old)}, tmp_path / "old.ckpt")
    told = take_weights(new, tmp_path / "old.ckpt")
    assert told.endswith("taken by name: 2 (piano, slow); new by name: 1 (oboe)")
    after, theirs = (one.backbone.stack.global_projection.weight for one in (new, old))
    assert torch.equal(after[:, 1:], theirs[:, 2:])
    assert torch.equal(after[:, 0], before[:, 0])


class Seen(MusicWaveNet):
    """Notes the tags that its model is given."""

    def seen(self, batch: Batch) -> Tensor:
        given = []
        self.model.nats = lambda one, *_, **__: (
            given.append(one.tags) or (torch.ones(8, 1), torch.ones(8, 1, dtype=bool))
        )
        self.log = lambda *_, **__: None
        for step in range(200):
            self.training_step(batch, step)
        return torch.stack(given)


@pytest.mark.parametrize("often", [0.0, 0.25, 1.0])
def test_tags_are_dropped_all_together_and_as_often_as_asked(often):
    task = Seen(lambda **given: build("global", **given), tag_dropout=often)
    set_up(task, VOCABULARY)
    tags = torch.tensor([[1.0, 0.0, 1.0, 1.0]] * 8)
    batch = Batch(torch.zeros(8, 100), torch.ones(8, 100, dtype=torch.bool), ["a"] * 8, tags=tags)
    seen = task.seen(batch)
    dropped = (seen == 0).all(-1)
    assert torch.equal(seen, tags * ~dropped.unsqueeze(-1))
    # Of 1,600: a deviation of sqrt(0.25 * 0.75 / 1600) = 0.011.
    assert float(dropped.float().mean()) == pytest.approx(often, abs=0.045)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return synthesize_music(tmp_path_factory.mktemp("music"), clips=32, seconds=1.0, sample_rate=4_000)


def fit(corpus: Path) -> list[str]:
    command = ["fit", "--model=MusicWaveNet", "--model.backbone.dilations=1..4", "--model.backbone.residual_channels=8"]
    command += [f"--model.backbone.{name}_channels=12" for name in ("gate", "skip", "head")]
    command += ["--data=MagnaTagATuneDataModule", f"--data.root={corpus}", "--data.audio.sample_rate=4000"]
    command += ["--data.min_clips=3", "--data.crops.samples=400", "--data.crops.prompts=2", "--data.batch_size=4"]
    return [*command, "--model.tag_dropout=0.2", "--trainer.accelerator=cpu", "--trainer.max_steps=2", "--run=run"]


def test_the_command_trains_and_generates(corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(fit(corpus))
    loaded = lw.load("run/checkpoints/last.ckpt", device="cpu")
    assert loaded.vocabulary.tags == ("drum", "fast", "flute", "guitar", "high", "low", "organ", "slow")
    assert loaded.backbone.global_channels == 8
    generate = ["generate", "run/checkpoints/last.ckpt", "--out", "clips", "--seconds", "0.05"]
    main([*generate, "--tags", "organ,slow"])
    assert sf.info("clips/organ_slow_000.wav").frames == 200
    about = json.loads(Path("clips/organ_slow_000.json").read_text())
    assert (about["conditions"], about["model"]) == ({"tags": ["organ", "slow"]}, "MusicModel")
    main([*generate, "--tags", "slow", "--guidance", "2"])
    assert json.loads(Path("clips/slow_000.json").read_text())["sampling"]["guidance"] == 2.0
    main(generate)
    assert json.loads(Path("clips/000.json").read_text())["conditions"] == {"tags": []}
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([*generate, "--tags", "organs"])
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert said == ["wavenet: error: unknown tag 'organs'; of 8 that this model knows: organ, ..."]
