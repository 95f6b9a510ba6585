"""`--weights`: a run that begins with what another one learned."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from nets import build

import lightning_wavenet as lw
from lightning_wavenet.cli.main import main
from lightning_wavenet.data.batch import Request
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.models import Model, SpeakerModel, UnconditionalModel
from lightning_wavenet.models.checkpoint import CHECKPOINT_KEY, described, take_weights


def speakers(*names: str, embedding: bool = False, seed: int = 0, **options) -> SpeakerModel:
    width = 5 if embedding else len(names)
    return SpeakerModel(build("global", seed, global_channels=width, **options), Vocabulary(8_000, names), embedding)


def kept(model: Model, path: Path) -> Path:
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"state_dict": state, CHECKPOINT_KEY: described(model)}, path)
    return path


@pytest.mark.parametrize("embedding", [False, True])
def test_speakers_keep_their_weights_by_name_and_new_ones_begin_anew(tmp_path, embedding):
    old = speakers("ann", "bob", "cid", embedding=embedding, seed=1)
    if embedding:
        torch.nn.init.normal_(old.voices.weight)
    new = speakers("bob", "eve", "ann", "fay", embedding=embedding, seed=2)
    before = {name: value.clone() for name, value in new.state_dict().items()}
    told = take_weights(new, kept(old, tmp_path / "old.ckpt"))
    table = "voices.weight" if embedding else "backbone.stack.global_projection.weight"
    after, theirs = new.state_dict(), old.state_dict()
    entries = (lambda state, at: state[table][at]) if embedding else (lambda state, at: state[table][:, at])
    assert torch.equal(entries(after, 0), entries(theirs, 1))
    assert torch.equal(entries(after, 2), entries(theirs, 0))
    assert torch.equal(entries(after, 1), entries(before, 1))
    assert torch.equal(entries(after, 3), entries(before, 3))
    for name in after:
        assert name == table or torch.equal(after[name], theirs[name])
    count = len(after)
    assert told == (
        f"{count} of {count} tensors of {tmp_path}/old.ckpt taken; taken by name: 2 (bob, ann); "
        "new by name: 2 (eve, fay)"
    )


def test_another_task_or_width_takes_what_fits_and_says_what_is_new(tmp_path):
    plain = UnconditionalModel(build(seed=1), Vocabulary(8_000))
    model = speakers("ann", "bob", seed=2)
    told = take_weights(model, kept(plain, tmp_path / "plain.ckpt"))
    assert "new: 1 (backbone.stack.global_projection.weight)" in told
    assert torch.equal(model.backbone.head[1].weight, plain.backbone.head[1].weight)
    wide = UnconditionalModel(build(seed=2, head_channels=11), Vocabulary(8_000))
    told = take_weights(wide, tmp_path / "plain.ckpt")
    assert "new: 3 (backbone.head.1.weight (there [9, 10], here [11, 10])" in told


class Other(Model):
    """A model that has nothing in common with a WaveNet."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__(vocabulary)
        self.layer = torch.nn.Linear(2, 3)

    @property
    def request(self) -> Request:
        return Request()


def test_columns_of_speakers_are_not_taken_for_those_of_an_embedding(tmp_path):
    """Though there are as many."""
    names = ("a", "b", "c", "d", "e")
    told = take_weights(speakers(*names, embedding=True), kept(speakers(*names, seed=1), tmp_path / "old.ckpt"))
    assert "backbone.stack.global_projection.weight" in told.partition("new: ")[2]


def test_weights_none_of_which_fit_are_refused(tmp_path):
    with pytest.raises(RequestError, match="there is no checkpoint"):
        take_weights(speakers("ann"), tmp_path / "missing.ckpt")
    path = kept(Other(Vocabulary(8_000)), tmp_path / "other.ckpt")
    with pytest.raises(RequestError, match=r"^no weight of .*other\.ckpt fits this model: backbone"):
        take_weights(speakers("ann"), path)


def test_fit_begins_with_given_weights_and_says_so(fit, capsys):
    main([*fit, "--run", "one"])
    capsys.readouterr()
    fit = [*fit, "--run", "two", "--trainer.max_steps", "1", "--model.optimizer.lr", "1e-12", "--ema.decay", "null"]
    main([*fit, "--weights", "one/checkpoints/last.ckpt"])
    said = capsys.readouterr().out
    assert "weights: 31 of 31 tensors of one/checkpoints/last.ckpt taken; taken by name: 3 (tone001, tone002" in said
    one, two = (lw.load(f"{run}/checkpoints/last.ckpt").state_dict() for run in ("one", "two"))
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=0, atol=1e-9)
    assert "weights: one/checkpoints/last.ckpt" in Path("two/config.yaml").read_text()
    # What is resumed has weights of its own.
    main([*fit, "--resume", "--weights", "one/checkpoints/last.ckpt", "--trainer.max_steps", "2"])
    assert "tensors of" not in capsys.readouterr().out
    main(["validate", "--config", "two/config.yaml", "--ckpt_path", "two/checkpoints/last.ckpt"])
    assert "tensors of" not in capsys.readouterr().out
