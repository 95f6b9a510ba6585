"""Checkpoints as Lightning's users load them, of other versions, and of nets that the user compiled."""

from functools import partial
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from nets import build
from runs import stopped

import lightning_wavenet
from datamodules import Audio, AudioFolderDataModule, Crops
from lightning_wavenet.backbone import TransposedUpsampling
from lightning_wavenet.cli.main import main
from lightning_wavenet.errors import RequestError
from lightning_wavenet.features import MelSpectrogram
from lightning_wavenet.models.checkpoint import FORMAT
from lightning_wavenet.tasks import (
    BaseTask,
    MusicWaveNet,
    RecognitionWaveNet,
    SpeakerWaveNet,
    TTSWaveNet,
    UnconditionalWaveNet,
)

SPEAKERS = r"(?P<speaker>\w+)/"


def corpus(tones, pattern=SPEAKERS):
    features = [MelSpectrogram(20, 100, 3, high_hz=2_000)]
    return AudioFolderDataModule(tones, pattern, audio=Audio(4_000), crops=Crops(300), batch_size=4, features=features)


def trainer(folder, steps=2):
    return pl.Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=2,
    )


def trained(task, tones, folder) -> Path:
    fitting = trainer(folder)
    fitting.fit(task, corpus(tones))
    fitting.save_checkpoint(folder / "made.ckpt")
    return folder / "made.ckpt"


@pytest.mark.parametrize(
    "task",
    [
        lambda: UnconditionalWaveNet(build),
        lambda: SpeakerWaveNet(build, embedding=3),
        lambda: SpeakerWaveNet(build),
        lambda: MusicWaveNet(partial(build, "contexts"), tags=False),
        lambda: TTSWaveNet(lambda channels: TransposedUpsampling(channels, [4, 5], 4), build, speaker=True),
    ],
)
def test_a_task_is_loaded_as_any_lightning_module(tones, tmp_path, task):
    made = task()
    path = trained(made, tones, tmp_path)
    for kind in (type(made), BaseTask):
        loaded = kind.load_from_checkpoint(path, map_location="cpu")
        assert type(loaded) is type(made)
        assert loaded.state_dict().keys() == made.state_dict().keys()
        assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in made.state_dict().items())
    figures = [trainer(tmp_path).validate(one, corpus(tones), verbose=False) for one in (made, loaded)]
    assert figures[0] == figures[1]
    loaded = type(made).load_from_checkpoint(path, optimizer=lambda weights: torch.optim.SGD(weights, lr=0.5))
    again = trained(loaded, tones, tmp_path)
    assert BaseTask.load_from_checkpoint(again).model.step == 2
    assert lightning_wavenet.load(again, "cpu").step == 2


def test_another_kind_of_task_is_refused(tones, tmp_path):
    path = trained(SpeakerWaveNet(build), tones, tmp_path)
    with pytest.raises(RequestError, match="is a checkpoint of SpeakerWaveNet, not of RecognitionWaveNet"):
        RecognitionWaveNet.load_from_checkpoint(path)
    with pytest.raises(RequestError, match="there is no checkpoint"):
        SpeakerWaveNet.load_from_checkpoint(tmp_path / "none.ckpt")


HEAD = "model.backbone.head.3.weight"


def rename(saved):
    saved["state_dict"]["model.backbone.top.weight"] = saved["state_dict"].pop(HEAD)


def shrink(saved):
    saved["state_dict"][HEAD] = saved["state_dict"][HEAD][:, :1]


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (rename, "lacks 1 (backbone.head.3.weight), it has beside them 1 (backbone.top.weight)"),
        (shrink, "it has in another shape 1 (backbone.head.3.weight)"),
        (lambda saved: saved["state_dict"].pop(HEAD), "it lacks 1 (backbone.head.3.weight)"),
        (lambda saved: saved.pop("state_dict"), "it has no state_dict"),
        (lambda saved: saved["lightning_wavenet"].pop("vocabulary"), "it has no vocabulary"),
        (lambda saved: saved["lightning_wavenet"].pop("model"), "it has no model"),
        (lambda saved: saved["lightning_wavenet"]["model"].pop("class_path"), "it has no class_path"),
        (lambda saved: saved["lightning_wavenet"]["model"]["init_args"].update(depth=9), "depth"),
        (lambda saved: saved["lightning_wavenet"]["vocabulary"].update(breeds=["cat"]), "breeds"),
        (lambda saved: saved["lightning_wavenet"].update(format=FORMAT + 1), "by a later version"),
        (lambda saved: saved["lightning_wavenet"].update(format=FORMAT - 1), "by an earlier version"),
    ],
)
def test_a_checkpoint_of_another_version_is_one_line(tones, tmp_path, alter, said):
    path = trained(SpeakerWaveNet(build), tones, tmp_path)
    saved = torch.load(path, weights_only=True)
    alter(saved)
    torch.save(saved, path)
    for load in (lightning_wavenet.load, SpeakerWaveNet.load_from_checkpoint):
        with pytest.raises(RequestError) as refused:
            load(path)
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (rename, "backbone.top.weight"),
        (lambda saved: saved["lightning_wavenet"].pop("machine"), "it has no machine"),
        (lambda saved: saved["lightning_wavenet"].pop("random"), "it has no random"),
    ],
)
def test_no_training_resumes_from_one(fit, alter, said, capsys):
    main([*fit, "--run", "run", "--trainer.max_steps", "1"])
    saved = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    alter(saved)
    torch.save(saved, "run/checkpoints/last.ckpt")
    capsys.readouterr()
    assert stopped([*fit, "--run", "run", "--resume"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("wavenet: error:")]
    assert said in line


@pytest.mark.parametrize("what", ["net", "maker"])
def test_what_the_user_compiles_is_saved_as_if_it_were_not(tones, tmp_path, what):
    task = SpeakerWaveNet(build, embedding=3)
    if what == "maker":
        task.backbone = torch.compile(task.backbone, backend="eager")
        task.model = SpeakerWaveNet(build, embedding=3).build(_vocabulary(tones))
    else:
        task.model = task.build(_vocabulary(tones))
        task.model.backbone = torch.compile(task.model.backbone, backend="eager")
    path = trained(task, tones, tmp_path)
    names = torch.load(path, weights_only=True)["state_dict"]
    assert not [name for name in names if "_orig_mod" in name]
    model = lightning_wavenet.load(path, "cpu")
    assert torch.equal(model.state_dict()["backbone.head.3.weight"], names[HEAD])
    # It resumes compiled as it was, and plain.
    fitting = trainer(tmp_path, steps=3)
    fitting.fit(task, corpus(tones), ckpt_path=path)
    assert fitting.global_step == 3


def _vocabulary(tones):
    data = corpus(tones)
    data.prepare_data()
    data.setup("fit")
    return data.vocabulary
