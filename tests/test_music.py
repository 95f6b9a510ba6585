"""Music: tags as a condition, left out in training, and led towards in generation."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from nets import build, set_up

from lightning_wavenet.cli.main import main
from lightning_wavenet.data.batch import Batch
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.models import MusicModel, checkpoint
from lightning_wavenet.models.checkpoint import take_weights
from lightning_wavenet.sampling import Guidance, Sampler, Stream
from lightning_wavenet.tasks import MusicWaveNet

TAGS = Vocabulary(8_000, tags=("fast", "no vocals", "piano", "pizza"))


@pytest.fixture
def model() -> MusicModel:
    return MusicModel(build("global", global_channels=4), TAGS).eval()


def test_tags_are_a_binary_vector(model):
    clips = model.generate(0.05, num=2, seed=3, tags="piano, no vocals,piano")
    assert [clip.description.id for clip in clips] == ["piano_no-vocals_000", "piano_no-vocals_001"]
    assert clips[0].description.conditions == {"tags": ["no vocals", "piano"]}
    vector = torch.tensor([0.0, 1, 1, 0])
    (right,) = Sampler(model.backbone).generate([Stream(400, 4, global_condition=vector)])
    assert torch.equal(clips[1].waveform, right)
    (plain,) = model.generate(0.05)
    assert (plain.description.id, plain.description.conditions) == ("000", {"tags": []})
    (right,) = Sampler(model.backbone).generate([Stream(400, 0, global_condition=torch.zeros(4))])
    assert torch.equal(plain.waveform, right)


def test_an_unknown_tag_is_refused_with_those_near_it(model):
    with pytest.raises(RequestError, match="knows no tag 'pianos'; near it are piano, pizza"):
        model.generate(0.05, tags="fast,pianos")
    with pytest.raises(RequestError, match="not conditioned on speaker"):
        model.generate(0.05, tags="fast", speaker="anna")
    plain = MusicModel(build(), TAGS)
    with pytest.raises(RequestError, match="not conditioned on tags"):
        plain.generate(0.05, tags="fast")
    with pytest.raises(RequestError, match="leave out --guidance"):
        plain.generate(0.05, guidance=2.0)
    assert plain.generate(0.05)[0].description.conditions == {}


def test_guidance_leads_away_from_no_tags(model):
    (clip,) = model.generate(0.05, tags="piano", guidance=3.0)
    guided = Stream(400, 0, global_condition=torch.tensor([0.0, 0, 1, 0]), guidance=Guidance(3.0, torch.zeros(4)))
    assert torch.equal(clip.waveform, Sampler(model.backbone).generate([guided])[0])
    assert clip.description.sampling["guidance"] == 3.0
    (one,) = model.generate(0.05, tags="piano", guidance=1.0)
    assert "guidance" not in one.description.sampling


def test_weights_of_tags_are_taken_by_name(model, tmp_path):
    torch.save(
        {"state_dict": {f"model.{k}": v for k, v in model.state_dict().items()}} | held(model), tmp_path / "a.ckpt"
    )
    other = MusicModel(build("global", seed=1, global_channels=3), Vocabulary(8_000, tags=("guitar", "piano", "fast")))
    before = other.backbone.stack.global_projection.weight.clone()
    told = take_weights(other, tmp_path / "a.ckpt")
    assert "taken by name: 2 (piano, fast); new by name: 1 (guitar)" in told
    weight, given = (one.backbone.stack.global_projection.weight for one in (other, model))
    assert torch.equal(weight, torch.stack([before[:, 0], given[:, 2], given[:, 0]], dim=1))


def held(model: MusicModel) -> dict:
    return {checkpoint.CHECKPOINT_KEY: checkpoint.described(model)}


def test_tags_are_left_out_of_so_many_clips(monkeypatch):
    task = MusicWaveNet(partial(build, "global"), tag_dropout=0.3)
    set_up(task, TAGS)
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(task.model, "nats", lambda batch, noise=0.0: (seen.append(batch.tags), pytest.skip)[0])
    history = task.model.backbone.history
    batch = Batch(torch.zeros(2_000, history + 2), torch.ones(2_000, history + 2, dtype=torch.bool), [""] * 2_000)
    batch = batch._replace(tags=torch.ones(2_000, 4))
    with pytest.raises(TypeError):
        task.training_step(batch, 0)
    (tags,) = seen
    # Whole vectors, and 0.3 of 2,000 with a deviation of 0.01.
    assert set(tags.sum(1).tolist()) == {0.0, 4.0}
    assert (tags.sum(1) == 0).double().mean() == pytest.approx(0.3, abs=0.04)
    assert batch.tags.all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tag_dropout": 1.0}, "from 0 to below 1"),
        ({"tag_dropout": 0.1, "tags": False}, "of a net that is told tags"),
        ({"noise": -1.0}, "noise must not be negative"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MusicWaveNet(build, **options)


def test_a_corpus_without_tags_is_refused():
    with pytest.raises(RequestError, match="the corpus has no tags"):
        set_up(MusicWaveNet(partial(build, "global")), Vocabulary(8_000))


def test_the_command_takes_tags_and_guidance(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "load", lambda path, device: model)
    main(["generate", "a.ckpt", "--out", "out", "--tags", "piano,fast", "--guidance", "2", "--seconds", "0.05"])
    about = json.loads(Path("out/piano_fast_000.json").read_text())
    assert about["conditions"] == {"tags": ["fast", "piano"]}
    assert about["sampling"]["guidance"] == 2.0
