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
from lightning_wavenet.data import blueprint
from lightning_wavenet.data.batch import Batch
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.decoding import BestPath, PrefixBeam, Segment, Viterbi
from lightning_wavenet.errors import RequestError
from lightning_wavenet.models import PhoneRecognizer
from lightning_wavenet.models.encoders import standardized
from lightning_wavenet.models.recognition import FrameLogits
from lightning_wavenet.tasks import (
    ConvolutionalEncoder,
    PhoneCriterion,
    RecognitionWaveNet,
    RecurrentEncoder,
    phone_criterion,
)
from lightning_wavenet.tasks.phone_criterion import alignment_loss

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
    labels = task.model.labels(batch)
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


CRITERIA = {
    "frame": (PhoneCriterion(2.0, 0.0, 0.0), False),
    "ctc": (PhoneCriterion(0.0, 1.5, 0.0), True),
    "two losses": (PhoneCriterion(1.0, 0.0, 0.5), False),
    "all": (PhoneCriterion(0.7, 0.3, 0.2), False),
    "scaled": (PhoneCriterion(0.0, 1.0, 0.0, sum_scale=0.3), False),
}


@pytest.mark.parametrize(("criterion", "blank"), CRITERIA.values(), ids=CRITERIA)
def test_the_loss_is_the_weighted_sum_of_what_each_is_by_itself(criterion, blank):
    task = recognizer(criterion=criterion, blank=blank)
    batch = batch_of(task.model, [40, 83, 66])
    heard = task.model(batch, predict=True)
    count = heard.logits.shape[1]
    labels = torch.stack([row[task.model.history // FRAME :][:count] for row in batch.phones])
    expected = 0.0
    if criterion.frame_weight:
        expected += criterion.frame_weight * F.cross_entropy(heard.logits[labels >= 0], labels[labels >= 0]).item()
    if criterion.ctc_weight and blank:
        lengths = (batch.transcript >= 0).sum(1)
        log = heard.logits.log_softmax(-1).transpose(0, 1)
        nats = F.ctc_loss(log, batch.transcript.clamp(min=0), heard.lengths, lengths, blank=3, reduction="sum")
        expected += criterion.ctc_weight * nats.item() / heard.lengths.sum().item()
    elif criterion.ctc_weight:
        log = criterion.sum_scale * heard.logits.log_softmax(-1)
        nats = 0.0
        for row, frames in enumerate(heard.lengths.tolist()):
            said = batch.transcript[row][batch.transcript[row] >= 0]
            nats -= sum_of_divisions(log[row, :frames], said.tolist())
        expected += criterion.ctc_weight * nats / criterion.sum_scale / heard.lengths.sum().item()
    if criterion.sample_weight:
        expected += criterion.sample_weight * heard.nats[batch.target_mask[:, task.model.history :]].mean().item()
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


@pytest.mark.parametrize(("criterion", "blank"), CRITERIA.values(), ids=CRITERIA)
def test_training_gives_every_weight_that_is_trained_a_gradient_and_padding_none(criterion, blank):
    task = recognizer(criterion=criterion, blank=blank)
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
    assert all(weight.requires_grad == (criterion.sample_weight > 0) for weight in head)


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


@pytest.mark.parametrize("blank", [False, True])
def test_clips_too_short_for_their_phones_teach_nothing(blank):
    task = recognizer(criterion=PhoneCriterion(0.0, 1.0, 0.0), blank=blank)
    batch = batch_of(task.model, [83, 2 * FRAME])
    batch = batch._replace(transcript=torch.tensor([[0, 1, 2], [0, 1, 2]]))
    alone = row_of(task.model, batch, 0, 83)
    loss = task.training_step(batch, 0)
    assert loss.item() == pytest.approx(task.training_step(alone, 0).item(), rel=1e-5)
    loss.backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in task.parameters())


def test_errors_are_counted_over_folded_phones_and_without_silences_that_nobody_has_heard():
    phones = ("aa", "ao", "q", "sil")
    task = recognizer(phones=phones, score_set=39, criterion=PhoneCriterion(sample_weight=0.0))
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


BOTH = PhoneCriterion(ctc_weight=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blank": True}, r"only criterion\.ctc_weight trains a blank"),
        ({"criterion": BOTH, "blank": True, "decoder": Viterbi()}, "Viterbi does not decode nets with a blank"),
        ({"decoder": PrefixBeam()}, "PrefixBeam does not decode nets without a blank"),
        ({"criterion": BOTH, "blank": True, "shortest": 2}, "a single frame"),
        ({"prior_weight": 1.5}, "prior_weight"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        recognizer(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame_weight": 0.0}, "frame_weight or ctc_weight must be positive"),
        ({"sample_weight": -1.0}, "must not be negative"),
        ({"sum_scale": 0.0}, "sum_scale lies above 0"),
        ({"sum_scale": 1.5}, "sum_scale lies above 0"),
        ({"sum_warmup": -1}, "sum_warmup is not negative"),
    ],
)
def test_numbers_of_a_criterion_that_are_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PhoneCriterion(**options)


def test_the_scale_of_the_sum_grows_to_its_own_over_the_warmup():
    model = recognizer().model
    batch = batch_of(model, [40, 83, 66])
    found = model(batch, predict=False)
    losses = [
        PhoneCriterion(0.0, 1.0, 0.0, 0.8, 3).losses(model, found, batch, step)["ctc"].item() for step in (0, 1, 3, 9)
    ]
    steady = [
        PhoneCriterion(0.0, 1.0, 0.0, scale).losses(model, found, batch, 0)["ctc"].item()
        for scale in (0.2, 0.4, 0.8, 0.8)
    ]
    assert losses == pytest.approx(steady)


def random_phones(generator: torch.Generator) -> tuple[Batch, FrameLogits]:
    """Six clips of up to eight phones, many of them twice in a row and some optional; one too short, one empty."""
    tokens = torch.randint(2, (6, 8), generator=generator)
    counts = torch.randint(1, 9, (6,), generator=generator)
    lengths = torch.randint(16, 31, (6,), generator=generator)
    counts[0], lengths[1], lengths[2] = 0, 3, 0
    counts[1] = 5
    tokens[torch.arange(8) >= counts[:, None]] = -1
    optional = (torch.rand(6, 8, generator=generator) < 0.2) & (tokens >= 0)
    optional[1] = False
    # Equal phones in as few frames as there may be, and in one less: a blank must part them.
    tokens[3:5], optional[3:5] = torch.tensor([0, 0, 0, 1, -1, -1, -1, -1]), False
    lengths[3], lengths[4] = 6, 5
    mask = torch.zeros(6, 30 * FRAME, dtype=torch.bool)
    batch = Batch(None, mask, [], transcript=tokens, optional=optional)
    return batch, FrameLogits(3 * torch.randn(6, 30, 3, generator=generator).double(), lengths, None)


def loss_and_gradient(model: PhoneRecognizer, found: FrameLogits, batch: Batch, scale: float = 1.0) -> tuple:
    """Of the alignments of a batch, with respect to its logits."""
    logits = found.logits.clone().requires_grad_()
    loss = alignment_loss(model, found._replace(logits=logits), batch, scale)
    loss.backward()
    return loss.detach(), logits.grad


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("seed", range(5))
def test_ctc_of_pytorch_and_the_sum_of_this_project_are_the_same_in_value_and_gradient(seed, monkeypatch, request):
    model = recognizer(criterion=BOTH, blank=True, phones=("a", "b")).model
    batch, found = random_phones(torch.Generator().manual_seed(seed))
    with monkeypatch.context() as patch:
        patch.setattr(phone_criterion, "full_sum", None)
        theirs = loss_and_gradient(model, found, batch)
    request.getfixturevalue("deterministic")
    monkeypatch.setattr(F, "ctc_loss", None)
    ours = loss_and_gradient(model, found, batch)
    torch.testing.assert_close(theirs, ours)
    # Not the clips without frames, without enough for their phones, and without one for a blank between equal ones.
    taught = (theirs[1].abs().sum(-1) > 0).sum(1).tolist()
    assert taught == [found.lengths[0], 0, 0, 6, 0, found.lengths[5]]


@pytest.mark.parametrize(("prior_weight", "scale"), [(0.5, 1.0), (0.0, 0.5)])
def test_where_scores_are_no_log_probabilities_the_sum_is_this_projects(prior_weight, scale, monkeypatch):
    """Of others the gradient of PyTorch's CTC is wrong."""
    monkeypatch.setattr(F, "ctc_loss", None)
    model = recognizer(criterion=BOTH, blank=True, phones=("a", "b"), prior_weight=prior_weight).model
    model.prior.copy_(torch.tensor([0.6, 0.3, 0.1]))
    batch, found = random_phones(torch.Generator().manual_seed(0))
    _, gradient = loss_and_gradient(model, found, batch, scale)
    moved = torch.zeros_like(found.logits)
    moved[5, 3, 1] = 1e-5
    up, down = (
        alignment_loss(model, found._replace(logits=found.logits + sign * moved), batch, scale) for sign in (1, -1)
    )
    assert gradient[5, 3, 1].item() == pytest.approx((up - down).item() / 2e-5, rel=1e-4)


@pytest.mark.parametrize("columns", [0, 2])
def test_clips_in_which_nothing_is_said_are_all_blanks(columns):
    model = recognizer(criterion=BOTH, blank=True).model
    found = FrameLogits(torch.randn(2, 5, 4), torch.tensor([5, 3]), None)
    tokens = torch.full((2, columns), -1)
    batch = Batch(None, torch.zeros(2, 1), [], transcript=tokens, optional=torch.zeros_like(tokens, dtype=torch.bool))
    log = found.logits.log_softmax(-1)[..., 3]
    expected = -(log[0].sum() + log[1, :3].sum()) / 8
    torch.testing.assert_close(alignment_loss(model, found, batch), expected)


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
