import math
from functools import partial
from typing import ClassVar

import pytest
import pytorch_lightning as pl
import torch
from nets import KINDS, build
from torch.nn import functional as F

import lightning_wavenet
from datamodules import Audio, AudioFolderDataModule, Crops, Split
from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.callbacks import LastAndBest
from lightning_wavenet.data import blueprint
from lightning_wavenet.data.batch import Batch
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.metrics import BitsPerSample
from lightning_wavenet.models import SpeakerModel, UnconditionalModel
from lightning_wavenet.models.checkpoint import FORMAT
from lightning_wavenet.sampling import Sampler
from lightning_wavenet.tasks import SpeakerWaveNet, UnconditionalWaveNet
from lightning_wavenet.tasks.schedules import WarmupCosine, WarmupLinear

VOICES = Vocabulary(8_000, speakers=("a", "b", "c"))


def speaker_model(embedding: bool = False) -> SpeakerModel:
    return SpeakerModel(build("global", global_channels=5 if embedding else 3), VOICES, embedding)


def speaker_task(kind: str = "global", embedding: int | None = None, **options) -> SpeakerWaveNet:
    return SpeakerWaveNet(partial(build, kind), embedding, **options)


def batch_of(lengths, context, speakers=(0, 1, 2), padding=0, seed=0):
    """Clips of given lengths, each after `context` samples of silence, padded to the longest and `padding` more."""
    generator = torch.Generator().manual_seed(seed)
    waveform = torch.zeros(len(lengths), context + max(lengths) + padding)
    mask = torch.zeros_like(waveform, dtype=torch.bool)
    for row, length in enumerate(lengths):
        waveform[row, context : context + length] = torch.rand(length, generator=generator) - 0.5
        mask[row, context : context + length] = True
    return Batch(waveform, mask, [f"clip {n}" for n in range(len(lengths))], torch.tensor(speakers[: len(lengths)]))


def row_of(batch, row, length):
    return Batch(
        batch.waveform[row : row + 1, :length],
        batch.target_mask[row : row + 1, :length],
        ["clip"],
        batch.speaker[[row]],
    )


def total(model, batch):
    nats, mask = model.nats(batch)
    return nats[mask].sum().item(), int(mask.sum())


@pytest.mark.parametrize("embedding", [False, True])
def test_the_loss_of_a_clip_is_the_same_alone_padded_and_in_a_batch(embedding):
    model = speaker_model(embedding)
    field = model.backbone.receptive_field
    together = batch_of([40, 70, 55], field, padding=13)
    alone = [row_of(together, row, field + length) for row, length in enumerate([40, 70, 55])]
    padded = [row_of(together, row, together.waveform.shape[1]) for row in range(3)]
    expected = [total(model, clip) for clip in alone]
    assert [samples for _, samples in expected] == [40, 70, 55]
    for one, (nats, samples) in zip(padded, expected, strict=True):
        assert total(model, one) == (pytest.approx(nats, rel=1e-6), samples)
    assert total(model, together) == (pytest.approx(sum(nats for nats, _ in expected), rel=1e-6), 165)
    task = training(model)
    assert task.training_step(together, 0).item() == pytest.approx(sum(n for n, _ in expected) / 165, rel=1e-6)


def training(model: SpeakerModel) -> SpeakerWaveNet:
    """A task with a model, that logs nothing."""
    task = SpeakerWaveNet()
    task.model = model
    task.log = lambda *args, **kwargs: None
    return task


def test_padding_gets_no_gradient():
    task = training(speaker_model())
    short = batch_of([40], task.model.backbone.receptive_field)
    padded = batch_of([40], task.model.backbone.receptive_field, padding=50)
    gradients = []
    for batch in (short, padded):
        task.zero_grad()
        task.training_step(batch, 0).backward()
        gradients.append([parameter.grad.clone() for parameter in task.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_samples_without_whole_context_never_count():
    model = speaker_model()
    batch = batch_of([60], 0)
    assert batch.target_mask.all()
    assert total(model, batch)[1] == 60 - model.backbone.receptive_field


def test_bits_are_weighted_by_sample_and_not_by_batch():
    metric = BitsPerSample()
    metric.update(torch.full((2, 50), math.log(2) * 3), torch.ones(2, 50, dtype=torch.bool))
    mask = torch.zeros(1, 50, dtype=torch.bool)
    mask[0, :20] = True
    metric.update(torch.full((1, 50), math.log(2) * 6), mask)
    assert metric.compute().item() == pytest.approx((100 * 3 + 20 * 6) / 120)


def test_untrained_bits_are_eight():
    torch.manual_seed(0)
    net = WaveNet(dilations="1..16", residual_channels=16, gate_channels=32)
    model = UnconditionalModel(net, Vocabulary(8_000))
    nats, samples = total(model, batch_of([500], net.receptive_field))
    assert nats / samples / math.log(2) == pytest.approx(8, abs=0.1)


def test_one_hot_speaker_is_its_column_of_the_projection():
    model = speaker_model()
    global_condition = model.condition(batch_of([5, 5], 0, speakers=(2, 0))).global_condition
    assert global_condition.tolist() == [[0, 0, 1], [1, 0, 0]]
    terms = model.backbone.stack.global_terms(global_condition)
    width = model.backbone.gate_channels
    for layer, term in enumerate(terms):
        torch.testing.assert_close(
            term, model.backbone.stack.global_projection.weight[layer * width :][:width, [2, 0]].T
        )


def test_the_corpus_decides_how_wide_the_condition_is():
    assert speaker_task().build(VOICES).backbone.global_channels == 3
    assert speaker_task(embedding=5).build(VOICES).backbone.global_channels == 5
    assert speaker_task(embedding=5).build(VOICES).voices.weight.shape == (3, 5)


def test_nets_that_do_not_fit_their_model_are_refused():
    with pytest.raises(ValueError, match=r"there are 3 speakers, and backbone\.global_channels is 4"):
        SpeakerModel(build("global", global_channels=4), VOICES)
    with pytest.raises(ValueError, match="embedding needs a width"):
        speaker_task(embedding=0).build(VOICES)
    with pytest.raises(ValueError, match="no conditions"):
        UnconditionalWaveNet(partial(build, "global")).build(VOICES)
    with pytest.raises(ValueError, match="names none"):
        speaker_task().build(Vocabulary(8_000))
    with pytest.raises(RequestError, match="the batch has none"):
        speaker_model().condition(batch_of([5], 0)._replace(speaker=None))


@pytest.mark.parametrize("kind", KINDS)
def test_a_backbone_is_rebuilt_from_its_blueprint(kind):
    net = build(kind)
    plain = blueprint.describe(net)
    again = blueprint.build(plain)
    assert blueprint.describe(again) == plain
    again.load_state_dict(net.state_dict())
    assert again.receptive_field == net.receptive_field


def corpus(root, samples: int = 500, rate: int = 2_000, **options) -> AudioFolderDataModule:
    return AudioFolderDataModule(
        root,
        r"(?P<speaker>\w+)/",
        audio=Audio(rate),
        split=Split(validation=0.1, test=0.1),
        crops=Crops(samples),
        **{"batch_size": 4, **options},
    )


def trainer_for(folder, steps, **options) -> pl.Trainer:
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "limit_val_batches": 0,
        "accelerator": "cpu",
    }
    return pl.Trainer(default_root_dir=folder, max_steps=steps, **{**quiet, **options})


def test_checkpoint_alone_is_enough_to_generate(tones, tmp_path):
    task = speaker_task()
    trainer = trainer_for(tmp_path, 2)
    trainer.fit(task, corpus(tones))
    trainer.save_checkpoint(tmp_path / "some.ckpt")
    model = lightning_wavenet.load(tmp_path / "some.ckpt")
    assert type(model) is SpeakerModel
    assert not model.training
    assert model.vocabulary.sample_rate == 2_000
    assert model.vocabulary.speakers == ("tone001", "tone002", "tone003")
    for mine, theirs in zip(task.model.state_dict().values(), model.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)
    streams = model.streams(batch_of([5, 5, 5], 0), 50, [1, 2, 3])
    clips = Sampler(task.model.backbone.eval()).generate(streams)
    assert all(torch.equal(a, b) for a, b in zip(clips, Sampler(model.backbone).generate(streams), strict=True))


OLD_RECOGNIZER = {"class_path": "lightning_wavenet.models.recognition.PhoneRecognizer", "init_args": {"frame": 160}}


@pytest.mark.parametrize(
    "held",
    [{"task": {}, "vocabulary": None}, {"model": OLD_RECOGNIZER, "vocabulary": {"sample_rate": 8_000}}],
    ids=["without a model", "without a format"],
)
def test_a_checkpoint_of_an_earlier_version_is_refused_in_one_line(held, tmp_path):
    torch.save({"state_dict": {}, "lightning_wavenet": held}, tmp_path / "old.ckpt")
    with pytest.raises(RequestError, match=r"old\.ckpt was written by an earlier version: train it again$"):
        lightning_wavenet.load(tmp_path / "old.ckpt")


def test_files_that_are_no_checkpoints_of_ours_are_refused_in_one_line(tmp_path):
    (tmp_path / "noise.ckpt").write_bytes(b"not a checkpoint")
    (tmp_path / "empty.ckpt").touch()
    (tmp_path / "text.ckpt").write_text("seed_everything: 0\n# a config, for example\n")
    (tmp_path / "sound.ckpt").write_bytes(b"RIFF$\x00\x00\x00WAVEfmt " + bytes(100))
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "pickle.ckpt")
    whole = tmp_path / "whole.ckpt"
    torch.save({"lightning_wavenet": {}, "weights": torch.zeros(10_000)}, whole)
    (tmp_path / "cut.ckpt").write_bytes(whole.read_bytes()[:20_000])
    for name, message in [
        ("missing.ckpt", "there is no checkpoint"),
        ("noise.ckpt", "is no checkpoint, or a damaged one"),
        ("empty.ckpt", "is no checkpoint, or a damaged one"),
        ("text.ckpt", "is no checkpoint, or a damaged one"),
        ("sound.ckpt", "is no checkpoint, or a damaged one"),
        ("cut.ckpt", "is no checkpoint, or a damaged one"),
        ("pickle.ckpt", "is no checkpoint, or a damaged one"),
        ("other.ckpt", "not a checkpoint that wavenet fit wrote"),
    ]:
        with pytest.raises(RequestError, match=message) as error:
            lightning_wavenet.load(tmp_path / name)
        assert "\n" not in str(error.value)


def test_a_checkpoint_cannot_run_code_of_its_choice(tmp_path):
    vocabulary = {"sample_rate": 8000}
    for path, arguments in [
        ("os.system", {"command": f"touch {tmp_path}/ran"}),
        ("pathlib.Path", {}),
        ("lightning_wavenet.files.audio.write_clip", {}),
        ("lightning_wavenet.tasks.base.torch.save", {}),
    ]:
        model = {"class_path": path, "init_args": arguments}
        held = {"format": FORMAT, "model": model, "vocabulary": vocabulary}
        torch.save({"state_dict": {}, "lightning_wavenet": held}, tmp_path / "x.ckpt")
        with pytest.raises(RequestError, match=r"the checkpoint (needs|asks for)"):
            lightning_wavenet.load(tmp_path / "x.ckpt")
    assert not (tmp_path / "ran").exists()


def test_resuming_from_a_checkpoint_that_does_not_fit_is_refused(tones, tmp_path):
    trainer = trainer_for(tmp_path, 1)
    trainer.fit(speaker_task(), corpus(tones))
    trainer.save_checkpoint(tmp_path / "speakers.ckpt")
    for task, message in [
        (UnconditionalWaveNet(build), "checkpoint has task SpeakerWaveNet, this run UnconditionalWaveNet"),
        (SpeakerWaveNet(partial(build, "global", kernel_size=3)), "kernel_size 2, this run 3"),
        (speaker_task(embedding=3), "embedding None, this run 3"),
        (speaker_task(optimizer=torch.optim.NAdam), "optimizer Adam, this run NAdam"),
    ]:
        with pytest.raises(RequestError, match=message):
            trainer_for(tmp_path, 2).fit(task, corpus(tones), ckpt_path=tmp_path / "speakers.ckpt", weights_only=False)
    other = corpus(tones, rate=1_000)
    with pytest.raises(RequestError, match="sample_rate"):
        trainer_for(tmp_path, 2).fit(speaker_task(), other, ckpt_path=tmp_path / "speakers.ckpt", weights_only=False)


@pytest.mark.parametrize("workers", [0, 2])
def test_stop_and_resume_is_the_uninterrupted_run_to_the_bit(tones, tmp_path, workers):
    """Stopped at step 13 of an epoch of 20 steps, resumed to step 27: through the epoch's end into the next."""

    def fit(folder, steps, resume=None):
        pl.seed_everything(1, workers=True, verbose=False)
        task = speaker_task(
            optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-2),
            lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9),
        )
        callbacks = [LastAndBest()]
        trainer = trainer_for(folder, steps, gradient_clip_val=1.0, enable_checkpointing=True, callbacks=callbacks)
        trainer.fit(task, corpus(tones, num_workers=workers), ckpt_path=resume)
        assert trainer.num_training_batches == 20
        return task

    whole = fit(tmp_path / "whole", 27)
    stopped = fit(tmp_path / "stopped", 13)
    resumed = fit(tmp_path / "resumed", 27, tmp_path / "stopped" / "checkpoints" / "last.ckpt")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert not torch.equal(whole.model.backbone.head[1].weight, stopped.model.backbone.head[1].weight)


def test_three_speakers_of_one_tone_each_generate_their_own(tones, tmp_path):
    """The speaker's tone is the strongest in at least 16 of 24 clips; by chance it would be in 8."""
    pl.seed_everything(0, verbose=False)
    net = partial(
        WaveNet, dilations="1..32 x2", residual_channels=24, gate_channels=48, skip_channels=48, head_channels=48
    )
    task = SpeakerWaveNet(net, optimizer=lambda parameters: torch.optim.Adam(parameters, lr=5e-3))
    trainer_for(tmp_path, 300, gradient_clip_val=1.0).fit(task, corpus(tones, samples=500, batch_size=4))
    speakers = torch.arange(3).repeat(8)
    prompts = batch_of([5] * 24, 0)._replace(speaker=speakers)
    model = task.model.eval()
    clips = torch.stack(Sampler(model.backbone).generate(model.streams(prompts, 2_000, range(1, 25))))
    spectra = torch.fft.rfft(clips * torch.hann_window(2_000)).abs().square()
    tones_hz = [round(100 * prime**0.5) for prime in (2, 3, 5)]
    power = torch.stack([spectra[:, tone - 3 : tone + 4].sum(1) for tone in tones_hz], dim=1)
    assert (power.argmax(1) == speakers).sum() >= 16


def test_scheduler_steps_with_the_optimizer(tones, tmp_path):
    task = speaker_task(
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1.0),
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5),
    )
    trainer = trainer_for(tmp_path, 3, gradient_clip_val=1e-6)
    trainer.fit(task, corpus(tones))
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.125)


def test_a_plateau_is_looked_for_once_a_validation(tones, tmp_path):
    class Counting(torch.optim.lr_scheduler.ReduceLROnPlateau):
        seen: ClassVar[list[float]] = []

        def step(self, metrics, epoch=None):
            self.seen.append(float(metrics))
            super().step(metrics)

    task = speaker_task(
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1e-9),
        lr_scheduler=lambda optimizer: Counting(optimizer, factor=0.1, patience=0, threshold=0.1, eps=0),
    )
    trainer = trainer_for(tmp_path, 7, limit_val_batches=1, val_check_interval=2)
    trainer.fit(task, corpus(tones))
    # Steps too small to learn by: after the first validation every one is a plateau.
    assert len(Counting.seen) == 3
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-11)


def test_validation_bits_are_those_of_the_whole_split(tones, tmp_path):
    task = speaker_task()
    data = corpus(tones, batch_size=3, samples=300)
    trainer = trainer_for(tmp_path, 1, limit_val_batches=1.0)
    reported = trainer.validate(task, data, verbose=False)[0]["val/bits"]
    field = task.model.backbone.receptive_field
    nats = samples = 0
    for index in data.clips_of("validation"):
        pcm = torch.from_numpy(data.clips.pcm(index, 0, 10**9) / 32768.0).float()
        clip = F.pad(pcm, (field, 0)).unsqueeze(0)
        speaker = data.vocabulary.speakers.index(data.clips.value("speaker", index))
        batch = Batch(clip, torch.ones_like(clip, dtype=torch.bool), ["clip"], torch.tensor([speaker]))
        more = total(task.model, batch)
        nats, samples = nats + more[0], samples + more[1]
    assert reported == pytest.approx(nats / samples / math.log(2), rel=1e-5)


def test_warmup_linear_falls_on_a_straight_line():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    schedule = WarmupLinear(optimizer, total_steps=6, warmup_steps=1)
    seen = []
    for _ in range(8):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert seen == pytest.approx([1.0, 2.0, 1.6, 1.2, 0.8, 0.4, 0.0, 0.0])


def test_warmup_cosine_rises_falls_and_can_be_given_more_steps():
    def rates(total, steps):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
        schedule = WarmupCosine(optimizer, total_steps=total, warmup_steps=3)
        seen = []
        for _ in range(steps):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return seen

    assert rates(11, 12) == pytest.approx(
        [2 * f for f in (0.25, 0.5, 0.75, 1)] + [1 + math.cos(math.pi * n / 8) for n in range(1, 9)]
    )
    assert rates(None, 6) == rates(-1, 6)
    assert rates(-1, 6) == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0, 2.0])
    assert rates(1, 3) == pytest.approx([0.5, 1.0, 1.5])
    assert rates(5, 9)[6:] == [0, 0, 0]
