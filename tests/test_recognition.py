"""The recognizer: frames and labels line up, padding changes nothing, each loss is what it says."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from nets import build, set_up
from recordings import opened, write_clips
from torch.nn import functional as F

from datamodules import Crops
from lightning_wavenet import blueprint
from lightning_wavenet.batch import Batch
from lightning_wavenet.decoding import BestPath, PrefixBeam, Segment, Viterbi
from lightning_wavenet.errors import RequestError
from lightning_wavenet.models import PhoneRecognizer
from lightning_wavenet.models.encoders import standardized
from lightning_wavenet.tasks import ConvolutionalEncoder, RecognitionWaveNet, RecurrentEncoder
from lightning_wavenet.vocabulary import Vocabulary

FRAME = 7
PHONES = ("a", "b", "sil")
LAYERS = partial(ConvolutionalEncoder, channels=6, layers=2, kernel_size=3)


def recognizer(
    encoder: Callable[[], torch.nn.Module] = LAYERS, phones: tuple[str, ...] = PHONES, **options: object
) -> RecognitionWaveNet:
    """A task whose model is a tiny net in evaluation mode, with frames of 7 samples."""
    task = RecognitionWaveNet(build, encoder, **{"hop": FRAME} | options)
    task.model = task.build(Vocabulary(700, phones=phones))
    task.log = lambda *args, **kwargs: None
    return task.eval()


def batch_of(model: PhoneRecognizer, lengths: list[int], seed: int = 0) -> Batch:
    """Whole clips of noise, with a random phone a frame, and three phones in their order."""
    generator = torch.Generator().manual_seed(seed)
    waveform = torch.zeros(len(lengths), model.history + max(lengths))
    mask = torch.zeros_like(waveform, dtype=torch.bool)
    phones = torch.full((len(lengths), waveform.shape[1] // FRAME), -1)
    for row, length in enumerate(lengths):
        waveform[row, model.history : model.history + length] = torch.rand(length, generator=generator) - 0.5
        mask[row, model.history : model.history + length] = True
        first, frames = model.history // FRAME, length // FRAME
        phones[row, first : first + frames] = torch.randint(3, (frames,), generator=generator)
    said = torch.tensor([[0, 1, 2], [1, 0, -1], [2, 0, 1]])[: len(lengths)]
    ids = [f"clip {row}" for row in range(len(lengths))]
    return Batch(waveform, mask, ids, phones=phones, transcript=said, optional=torch.zeros_like(said, dtype=torch.bool))


def row_of(model: PhoneRecognizer, batch: Batch, row: int, length: int) -> Batch:
    """A clip of a batch by itself, without padding."""
    end = model.history + length
    assert batch.phones is not None
    assert batch.transcript is not None
    assert batch.optional is not None
    said = batch.transcript[row : row + 1]
    said = said[:, said[0] >= 0]
    return Batch(
        batch.waveform[row : row + 1, :end],
        batch.target_mask[row : row + 1, :end],
        ["clip"],
        phones=batch.phones[row : row + 1, : end // FRAME],
        transcript=said,
        optional=torch.zeros_like(said, dtype=torch.bool),
    )


@pytest.mark.parametrize("clip_sample", [0, 6, 7, 40, 76, 83])
def test_a_sample_is_heard_in_its_frame_and_in_those_of_the_receptive_field_behind_it(clip_sample):
    model = recognizer().model
    waveform = batch_of(model, [84]).waveform
    before = model.pool(waveform)
    waveform[0, model.history + clip_sample] += 0.4
    frames = (model.pool(waveform) != before).any(-1)[0].nonzero().flatten().tolist()
    # Frame n is made of the steps at samples 7 n to 7 n + 6, each of which hears itself and R - 1 samples before it.
    last = (clip_sample + model.backbone.receptive_field - 1) // FRAME
    assert frames == [n for n in range(12) if clip_sample // FRAME <= n <= last]


def test_the_mean_of_a_frame_is_that_of_its_samples():
    model = recognizer().model
    batch = batch_of(model, [30])
    codes = model.backbone.distribution.encode(batch.waveform)
    field = model.backbone.receptive_field
    frames = []
    for n in range(30 // FRAME):
        heard = []
        for sample in range(n * FRAME, (n + 1) * FRAME):
            end = model.history + sample + 1
            heard.append(model.backbone.features(codes[:, end - field : end])[0, 0].relu())
        frames.append(torch.stack(heard).mean(0))
    torch.testing.assert_close(model.pool(batch.waveform)[0], torch.stack(frames))


def test_every_channel_of_a_clip_gets_mean_0_and_deviation_1_and_0_beyond_it():
    frames = torch.randn(2, 9, 4) * torch.tensor([1.0, 5, 0.1, 2]) + torch.tensor([0.0, 3, -1, 7])
    made = standardized(frames, torch.tensor([9, 6]))
    for row, count in ((0, 9), (1, 6)):
        inside = frames[row, :count]
        expected = (inside - inside.mean(0)) / inside.std(0, correction=0)
        torch.testing.assert_close(made[row, :count], expected, rtol=1e-3, atol=1e-3)
    assert not made[1, 6:].any()


@pytest.mark.parametrize("impulse", [0, 13, 14, 30, 69])
def test_a_click_is_heard_in_the_frame_that_the_corpus_labels_with_it(impulse, tmp_path):
    clip = np.zeros(70, np.int16)
    clip[impulse] = 20_000
    write_clips(tmp_path / "corpus", [clip, clip])
    first = impulse // FRAME * FRAME
    spans = [(0, first, "sil"), (first, first + FRAME, "click"), (first + FRAME, 70, "sil")]
    for number in range(2):
        lines = [f"{start} {end} {label}\n" for start, end, label in spans if end > start]
        (tmp_path / "corpus" / f"clip_{number:03d}.phn").write_text("".join(lines))
    data = opened(tmp_path / "corpus", Crops(samples=None), batch_size=2)
    task = recognizer(phones=data.vocabulary.phones)
    data.connect(task.request)
    batch = next(iter(data.train_dataloader()))
    assert data.vocabulary.phones == ("click", "sil")
    labels = task._labels(batch, 10)
    assert labels.shape == (2, 10)
    heard = task.model.pool(batch.waveform)
    silent = task.model.pool(torch.zeros_like(batch.waveform))
    changed = (heard != silent).any(-1)
    # Causal steps hear the click no earlier than its frame, and some frames longer.
    assert changed.long().argmax(1).tolist() == (labels == 0).long().argmax(1).tolist() == [impulse // FRAME] * 2


@pytest.mark.parametrize(
    "frames", [partial(ConvolutionalEncoder, 6, 3, 5), partial(RecurrentEncoder, 6, 2)], ids=["convolution", "lstm"]
)
def test_logits_are_the_same_alone_padded_and_in_a_batch(frames):
    model = recognizer(frames).model
    lengths = [40, 83, 66]
    together = batch_of(model, lengths)
    heard = model(together, predict=True)
    assert heard.lengths.tolist() == [5, 11, 9]
    for row, length in enumerate(lengths):
        alone = model(row_of(model, together, row, length), predict=True)
        count = length // FRAME
        assert alone.logits.shape == (1, count, 3)
        torch.testing.assert_close(heard.logits[row, :count], alone.logits[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(heard.nats[row, :length], alone.nats[0], rtol=1e-5, atol=1e-6)


def test_next_samples_are_predicted_as_a_generating_task_does():
    model = recognizer().model
    batch = batch_of(model, [50])
    nats = model.backbone.nll(batch.waveform)
    torch.testing.assert_close(
        model(batch, predict=True).nats, nats[:, model.history - model.backbone.receptive_field :]
    )


WEIGHTS = {
    "frame": {"frame_weight": 2.0, "sample_weight": 0.0},
    "ctc": {"frame_weight": 0.0, "ctc_weight": 1.5, "sample_weight": 0.0, "blank": True},
    "two losses": {"frame_weight": 1.0, "sample_weight": 0.5},
    "all": {"frame_weight": 0.7, "ctc_weight": 0.3, "sample_weight": 0.2},
    "scaled": {"frame_weight": 0.0, "ctc_weight": 1.0, "sample_weight": 0.0, "sum_scale": 0.3},
}


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_the_loss_is_the_weighted_sum_of_what_each_is_by_itself(weights):
    task = recognizer(**weights)
    batch = batch_of(task.model, [40, 83, 66])
    heard = task.model(batch, predict=True)
    count = heard.logits.shape[1]
    labels = torch.stack([row[task.model.history // FRAME :][:count] for row in batch.phones])
    expected = 0.0
    if task.frame_weight:
        expected += task.frame_weight * F.cross_entropy(heard.logits[labels >= 0], labels[labels >= 0]).item()
    if task.ctc_weight and task.blank:
        lengths = (batch.transcript >= 0).sum(1)
        log = heard.logits.log_softmax(-1).transpose(0, 1)
        nats = F.ctc_loss(log, batch.transcript.clamp(min=0), heard.lengths, lengths, blank=3, reduction="sum")
        expected += task.ctc_weight * nats.item() / heard.lengths.sum().item()
    elif task.ctc_weight:
        log = task.sum_scale * heard.logits.log_softmax(-1)
        nats = 0.0
        for row, frames in enumerate(heard.lengths.tolist()):
            said = batch.transcript[row][batch.transcript[row] >= 0]
            nats -= sum_of_divisions(log[row, :frames], said.tolist())
        expected += task.ctc_weight * nats / task.sum_scale / heard.lengths.sum().item()
    if task.sample_weight:
        expected += task.sample_weight * heard.nats[batch.target_mask[:, task.model.history :]].mean().item()
    assert task.training_step(batch, 0).item() == pytest.approx(expected, rel=1e-5)


def sum_of_divisions(log: torch.Tensor, said: list[int]) -> float:
    """Logarithm of the sum over all ways to cut the frames into as many parts as there are phones."""
    frames = len(log)
    if len(said) == 1:
        return log[:, said[0]].sum().item()
    parts = [
        log[:cut, said[0]].sum().item() + sum_of_divisions(log[cut:], said[1:])
        for cut in range(1, frames - len(said) + 2)
    ]
    return torch.tensor(parts, dtype=torch.float64).logsumexp(0).item()


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_training_gives_every_weight_that_is_trained_a_gradient_and_padding_none(weights):
    task = recognizer(**weights)
    short = batch_of(task.model, [63])
    padding = 4 * FRAME
    padded = short._replace(
        waveform=F.pad(short.waveform, (0, padding)),
        target_mask=F.pad(short.target_mask, (0, padding)),
        phones=F.pad(short.phones, (0, 4), value=-1),
    )
    gradients = []
    for batch in (short, padded):
        task.zero_grad()
        task.training_step(batch, 0).backward()
        trained = [weight for weight in task.parameters() if weight.requires_grad]
        gradients.append([weight.grad.clone() for weight in trained])
    assert all(gradient.abs().sum() > 0 for gradient in gradients[0])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
    head = list(task.model.backbone.head.parameters())
    assert all(weight.requires_grad == (task.sample_weight > 0) for weight in head)


def test_the_prior_follows_the_mean_posterior_of_whole_frames():
    task = recognizer()
    batch = batch_of(task.model, [40, 83])
    heard = task.model(batch)
    inside = torch.cat([heard.logits[0, :5], heard.logits[1, :11]]).softmax(-1).mean(0)
    task.training_step(batch, 0)
    torch.testing.assert_close(task.model.prior, 0.9 * torch.full((3,), 1 / 3) + 0.1 * inside)
    task.model.prior_weight = 0.5
    scores = task.model.scores(heard.logits)
    torch.testing.assert_close(scores, heard.logits.log_softmax(-1) - 0.5 * task.model.prior.log())


def test_clips_too_short_for_their_phones_teach_nothing():
    task = recognizer(frame_weight=0.0, ctc_weight=1.0, sample_weight=0.0)
    batch = batch_of(task.model, [83, 2 * FRAME])
    batch = batch._replace(transcript=torch.tensor([[0, 1, 2], [0, 1, 2]]))
    alone = row_of(task.model, batch, 0, 83)
    loss = task.training_step(batch, 0)
    assert loss.item() == pytest.approx(task.training_step(alone, 0).item(), rel=1e-5)
    loss.backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in task.parameters())


def test_errors_are_counted_over_folded_phones_and_without_silences_that_nobody_has_heard():
    phones = ("aa", "ao", "q", "sil")
    task = recognizer(phones=phones, score_set=39, sample_weight=0.0)
    set_up(task, Vocabulary(700, phones=phones))
    assert task.model.scored_names() == ["aa", "sil"]
    batch = batch_of(task.model, [63])
    said = torch.tensor([[0, 1, 2, 3]])
    decoded = [(3, 0, 2), (1, 2, 4), (2, 4, 5), (1, 5, 9)]

    def measure(optional: list[bool]) -> float:
        task.measures["val"].errors.reset()
        task.model.decode = lambda logits: [Segment(*segment) for segment in decoded]
        task.validation_step(batch._replace(transcript=said, optional=torch.tensor([optional])), 0)
        return task.measures["val"].errors.compute().item()

    # Said aa aa sil, recognized sil aa aa: two edits. Without silences: nothing wrong in two phones.
    assert measure([False] * 4) == pytest.approx(100 * 2 / 3)
    assert measure([False, False, False, True]) == 0


def test_a_model_is_rebuilt_from_its_blueprint():
    model = recognizer(decoder=Viterbi(0.5, -1.0, 2), score_set=39).model
    described = blueprint.describe(model, leave_out=("vocabulary",))
    again = blueprint.build(copy.deepcopy(described), vocabulary=model.vocabulary)
    again.load_state_dict(model.state_dict())
    batch = batch_of(model, [60])
    assert blueprint.describe(again, leave_out=("vocabulary",)) == described
    assert again.decoder.shortest == 2
    torch.testing.assert_close(again.eval()(batch).logits, model(batch).logits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame_weight": 0.0}, "frame_weight or ctc_weight must be positive"),
        ({"blank": True}, "only ctc_weight trains a blank"),
        ({"ctc_weight": 1.0, "blank": True, "decoder": Viterbi()}, "Viterbi does not decode nets with a blank"),
        ({"decoder": PrefixBeam()}, "PrefixBeam does not decode nets without a blank"),
        ({"ctc_weight": 1.0, "blank": True, "shortest": 2}, "a single frame"),
        ({"prior_weight": 1.5}, "prior_weight"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        recognizer(**options)


def test_a_corpus_with_other_phones_is_refused_with_both():
    task = recognizer(decoder=BestPath())
    with pytest.raises(
        RequestError, match=r"different phones \(3 and 2\): only the model has sil, only the corpus none"
    ):
        set_up(task, Vocabulary(700, phones=("a", "b")))
    set_up(task, Vocabulary(700, phones=PHONES, speakers=("anna",)))


def test_a_corpus_without_phones_is_refused():
    with pytest.raises(RequestError, match="neither phones nor texts to recognize"):
        set_up(RecognitionWaveNet(build, hop=FRAME), Vocabulary(700, speakers=("anna",)))
