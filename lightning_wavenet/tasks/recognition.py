"""Speech recognition (section 3.4): phones from raw audio, trained with two losses."""

from __future__ import annotations

from typing import NamedTuple

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric, Metric

from datamodules.base import AudioDataModule
from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.batch import Batch
from lightning_wavenet.decoding import (
    IMPOSSIBLE,
    BestPath,
    Bigram,
    Decoder,
    PrefixBeam,
    Segment,
    Viterbi,
    full_sum,
    with_blanks,
)
from lightning_wavenet.errors import RequestError
from lightning_wavenet.metrics import BitsPerSample, PhoneErrorRate
from lightning_wavenet.phones import SILENCE, PhoneSet, fold
from lightning_wavenet.tasks.base import BaseTask
from lightning_wavenet.tasks.frames import ConvolutionalFrames, RecurrentFrames, standardized
from lightning_wavenet.vocabulary import Vocabulary

_PRIOR_RATE = 0.1
"""How much of the prior a step replaces."""


class Heard(NamedTuple):
    """What the net makes of a batch of B whole clips."""

    logits: Tensor
    """float32 `[B, N, C]`: of the phones, and of the blank where there is one."""
    lengths: Tensor
    """int64 `[B]`: how many of the N frames each clip has."""
    nats: Tensor | None
    """`[B, T]`: negative log-likelihood of every sample behind the context; None where it was not asked for."""


class RecognitionWaveNet(BaseTask):
    """A WaveNet whose skip sum is averaged over frames and read by layers that see both ways in time.

    Frame n is made of the steps that have just heard samples n * frame to (n + 1) * frame - 1. The losses are added up
    with their weights: cross-entropy of the phone in the middle of each frame (nats a frame); the sum over all
    alignments of the clip's phones, as CTC or without a blank (nats a frame); and the negative log-likelihood of the
    next sample (nats a sample).

    Args:
        backbone: The net, without conditions.
        frames: The layers over frames.
        phones: Number of phones; must be that of the corpus.
        frame: Samples that are averaged; the paper's 160 are 10 ms at 16 kHz.
        frame_weight: Of the cross-entropy of frames; needs a corpus with the times of phones.
        ctc_weight: Of the sum over alignments; needs only to know which phones are said.
        sample_weight: Of the next sample's negative log-likelihood.
        blank: Whether there is a class for "no phone" between phones (CTC). Without it every frame is a phone, or a
            silence where one is allowed, which gives times instead of peaks.
        prior_weight: How much of the classes' mean log-probability is taken off their scores, 0 to 1, in decoding and
            in the sum over alignments; there it keeps one class from taking all frames.
        sum_scale: What scores are multiplied by in the sum over alignments; below 1, more alignments keep a say in it,
            so that it does not settle on early mistakes.
        sum_warmup: Steps in which that scale grows from nothing: at first all alignments count alike, and phones are
            learnt from where they are on average.
        shortest: Frames that a phone lasts at least in the sum over alignments and in forced alignment.
        decoder: Finds the phones; null: `Viterbi`, or `BestPath` where there is a blank.
        score_set: TIMIT's set that phones are folded to before errors are counted; null counts all as they are.
        optimizer: Makes the optimiser from the parameters.
        lr_scheduler: Makes a learning-rate schedule from the optimiser, stepped every training step, and
            `ReduceLROnPlateau` with the "val/per" of every validation; None for none.
    """

    criterion = "per"
    free_options = frozenset({"decoder", "score_set"})
    prior: Tensor
    bigram_start: Tensor
    bigram_follow: Tensor
    bigram_end: Tensor

    def __init__(
        self,
        backbone: WaveNet,
        frames: ConvolutionalFrames | RecurrentFrames,
        phones: int,
        frame: int = 160,
        frame_weight: float = 1.0,
        ctc_weight: float = 0.0,
        sample_weight: float = 1.0,
        blank: bool = False,
        prior_weight: float = 0.0,
        sum_scale: float = 1.0,
        sum_warmup: int = 0,
        shortest: int = 1,
        decoder: BestPath | Viterbi | PrefixBeam | None = None,
        score_set: PhoneSet | None = None,
        optimizer: OptimizerCallable = torch.optim.Adam,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(backbone, optimizer, lr_scheduler)
        if backbone.global_channels or backbone.upsampling is not None:
            raise ValueError("a recogniser's backbone has no conditions: leave out its global_channels and upsampling")
        if min(frame_weight, ctc_weight, sample_weight) < 0 or frame_weight + ctc_weight == 0:
            raise ValueError(
                "weights must not be negative, and frame_weight or ctc_weight must be positive, got "
                f"{frame_weight}, {ctc_weight} and {sample_weight}"
            )
        if blank and not ctc_weight:
            raise ValueError("only ctc_weight trains a blank: set blank to false, or ctc_weight above 0")
        if min(phones, frame, shortest) < 1:
            raise ValueError(f"phones, frame and shortest must be at least 1, got {phones}, {frame} and {shortest}")
        if not 0 <= prior_weight <= 1 or not 0 < sum_scale <= 1 or sum_warmup < 0:
            raise ValueError(
                "prior_weight lies between 0 and 1, sum_scale above 0 and up to 1, and sum_warmup is not negative; got "
                f"{prior_weight}, {sum_scale} and {sum_warmup}"
            )
        if blank and shortest > 1:
            raise ValueError(f"beside a blank a phone may last a single frame: leave out shortest, which is {shortest}")
        if isinstance(decoder, Viterbi if blank else PrefixBeam):
            raise ValueError(f"{type(decoder).__name__} does not decode nets {'with' if blank else 'without'} a blank")
        self.frames = frames
        self.phones = phones
        self.frame = frame
        self.frame_weight = frame_weight
        self.ctc_weight = ctc_weight
        self.sample_weight = sample_weight
        self.blank = blank
        self.prior_weight = prior_weight
        self.sum_scale = sum_scale
        self.sum_warmup = sum_warmup
        self.shortest = shortest
        self.decoder = decoder
        self.score_set = score_set
        classes = phones + blank
        self.enter = nn.Linear(backbone.skip_channels, frames.channels)
        self.classify = nn.Linear(frames.channels, classes)
        if not sample_weight:
            backbone.head.requires_grad_(False)
        self.register_buffer("prior", torch.full((classes,), 1 / classes))
        self.register_buffer("bigram_start", torch.zeros(phones))
        self.register_buffer("bigram_follow", torch.zeros(phones, phones))
        self.register_buffer("bigram_end", torch.zeros(phones))
        self.measures = nn.ModuleDict({"val": _Measures(phones), "test": _Measures(phones)})
        self._seed = 0

    @property
    def context(self) -> int:
        """Samples in front of a clip, which the first frame's first step has heard: whole frames."""
        return -(-self.backbone.receptive_field // self.frame) * self.frame

    @property
    def blank_index(self) -> int | None:
        """Class of the blank."""
        return self.phones if self.blank else None

    @property
    def bigram(self) -> Bigram:
        """Of the phones of the training split."""
        return Bigram(*(log.double().cpu().numpy() for log in (self.bigram_start, self.bigram_follow, self.bigram_end)))

    def check(self, vocabulary: Vocabulary) -> None:
        """The corpus must have as many phones as the net.

        Raises:
            RequestError: It has more or fewer.
        """
        if len(vocabulary.phones) != self.phones:
            raise RequestError(
                f"the corpus has {len(vocabulary.phones)} phones, but model.phones is {self.phones}: set both to the "
                "same number"
            )

    def unit(self) -> str:
        """Phone error rate, over which phones."""
        return f"phone error rate in % ({len(self.scored_names())} phones)"

    def prepare(self, corpus: AudioDataModule) -> None:
        """Asks for whole clips with phones.

        Raises:
            RequestError: The corpus is cut into crops, or has no times where the losses need them.
        """
        if corpus.crops.samples is not None:
            raise RequestError("recognition takes whole clips: set data.crops.samples to null")
        if self.frame_weight and not any(corpus.clips.phones):
            raise RequestError(
                "the corpus does not say when its phones are spoken, which frame_weight needs: set model.frame_weight "
                "to 0 and model.ctc_weight to 1"
            )
        corpus.context = self.context
        corpus.frame = self.frame

    def setup(self, stage: str) -> None:
        """Counts which phone follows which in the training split."""
        super().setup(stage)
        corpus = getattr(self.trainer, "datamodule", None)
        if stage == "fit" and isinstance(corpus, AudioDataModule):
            said = []
            for clip in corpus.clips_of("train"):
                phones, optional, *_ = corpus.transcript(clip)
                said.append(phones.tolist())
                if optional.any():
                    # Nobody knows where the reader paused: once everywhere, once nowhere.
                    said.append(phones[~optional].tolist())
            bigram = Bigram.estimate(said, self.phones)
            for name in ("start", "follow", "end"):
                self.get_buffer(f"bigram_{name}").copy_(torch.from_numpy(getattr(bigram, name)))

    def hear(self, batch: Batch, predict: bool = False) -> Heard:
        """Reads a batch of whole clips behind `context` samples.

        Args:
            batch: The clips.
            predict: Whether the next samples are predicted as well.
        """
        codes = self.backbone.distribution.encode(batch.waveform)
        steps = self.backbone.features(codes).transpose(0, 1)
        nats = None
        if predict:
            parameters = self.backbone.head(steps[self.context - self.backbone.receptive_field : -1])
            nats = self.backbone.distribution.nll(parameters, codes[:, self.context :].T).T
        lengths = batch.target_mask.sum(1) // self.frame
        return Heard(self.read(self._pooled(steps), lengths), lengths, nats)

    def pool(self, waveform: Tensor) -> Tensor:
        """Means of the rectified skip sum over the N whole frames behind `context` samples, `[B, N, skip_channels]`."""
        return self._pooled(self.backbone.features(self.backbone.distribution.encode(waveform)).transpose(0, 1))

    def read(self, pooled: Tensor, lengths: Tensor) -> Tensor:
        """Logits `[B, N, C]` of clips of `lengths` `[B]` (frames), from what `pool` makes of them."""
        entered = self.enter(standardized(pooled.float(), lengths))
        return self.classify(self.frames(entered, lengths)).float()

    def _pooled(self, steps: Tensor) -> Tensor:
        # Step j has heard sample j + R - 1 last.
        first = self.context - self.backbone.receptive_field + 1
        count = (len(steps) - first) // self.frame
        means = F.relu(steps[first : first + count * self.frame]).unflatten(0, (count, self.frame)).mean(1)
        return means.transpose(0, 1)

    def scores(self, logits: Tensor) -> Tensor:
        """Log-probabilities `[..., C]` less prior_weight times the logarithm of the prior."""
        return logits.log_softmax(-1) - self.prior_weight * self.prior.clamp(min=1e-5).log()

    def decode(self, logits: Tensor) -> list[Segment]:
        """The phones of a clip, and their frames, from its logits or log-probabilities `[N, C]`."""
        decoder: Decoder = self.decoder or (BestPath() if self.blank else Viterbi())
        return decoder.decode(self.scores(logits).cpu().numpy(), self.bigram, self.blank_index)

    # Training and evaluation

    def on_fit_start(self) -> None:
        """Remembers the seed of the run."""
        self._seed = torch.initial_seed()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Makes dropout depend on seed, step and process alone, so that a resumed run repeats it."""
        step = self.trainer.fit_loop.total_batch_idx
        torch.manual_seed(self._seed + step * self.trainer.world_size + self.global_rank)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted sum of the losses."""
        heard = self.hear(batch, predict=self.sample_weight > 0)
        inside = torch.arange(heard.logits.shape[1], device=self.device) < heard.lengths[:, None]
        losses = {}
        if self.frame_weight:
            losses["frame"] = self.frame_weight, self._frame_loss(heard, batch)
        if self.ctc_weight:
            losses["ctc"] = self.ctc_weight, self._ctc_loss(heard, batch)
        if heard.nats is not None:
            mask = batch.target_mask[:, self.context :]
            nats = heard.nats.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)
            losses["nats"] = self.sample_weight, nats
        with torch.no_grad():
            self.prior.lerp_(heard.logits[inside].softmax(-1).mean(0), _PRIOR_RATE)
        total = torch.stack([weight * loss for weight, loss in losses.values()]).sum()
        for name, (_, loss) in losses.items():
            self.log(f"train/{name}", loss.detach(), prog_bar=True, batch_size=len(batch.ids))
        return total

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to "val/per", and to "val/frame_accuracy" and "val/bits" where they can be known."""
        self._measure("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to "test/per", and to "test/frame_accuracy" and "test/bits" where they can be known."""
        self._measure("test", batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> None:
        """Refuses: `predict` is for tasks that generate."""
        raise RequestError("a recogniser generates nothing: say wavenet recognize CHECKPOINT FILE...")

    def _labels(self, batch: Batch, frames: int) -> Tensor:
        assert batch.phones is not None
        first = self.context // self.frame
        return batch.phones[:, first : first + frames]

    def _frame_loss(self, heard: Heard, batch: Batch) -> Tensor:
        labels = self._labels(batch, heard.logits.shape[1])
        nats = F.cross_entropy(heard.logits.transpose(1, 2), labels, ignore_index=-1, reduction="sum")
        return nats / (labels >= 0).sum().clamp(min=1)

    def _ctc_loss(self, heard: Heard, batch: Batch) -> Tensor:
        assert batch.transcript is not None
        assert batch.optional is not None
        tokens, optional = batch.transcript, batch.optional
        if self.blank:
            # What may be left out, silences between words, is left to the blank.
            tokens, optional = with_blanks(_without(tokens, optional), self.phones)
        scale = self.sum_scale * min(1.0, (self.global_step + 1) / (self.sum_warmup + 1))
        scores = scale * self.scores(heard.logits)
        sums = full_sum(scores, heard.lengths, tokens, optional, self.shortest) / scale
        # Clips that are too short for their phones teach nothing.
        possible = sums > IMPOSSIBLE / 2
        return -sums.masked_fill(~possible, 0.0).sum() / heard.lengths[possible].sum().clamp(min=1)

    def _measure(self, stage: str, batch: Batch) -> None:
        assert batch.transcript is not None
        assert batch.optional is not None
        assert self.vocabulary is not None
        measures = self.measures[stage]
        assert isinstance(measures, _Measures)
        heard = self.hear(batch, predict=self.sample_weight > 0)
        scored = self._scored()
        index = {name: place for place, name in enumerate(self.scored_names())}
        for logits, length, tokens, optional in zip(
            heard.logits, heard.lengths.tolist(), batch.transcript, batch.optional, strict=True
        ):
            said = [scored[phone] for phone in tokens[(tokens >= 0) & ~optional].tolist()]
            recognised = [scored[segment.phone] for segment in self.decode(logits[:length])]
            if optional.any():
                recognised = [name for name in recognised if name != SILENCE]
            measures.errors.update(*([index[name] for name in side if name is not None] for side in (recognised, said)))
        figures: dict[str, Metric] = {"per": measures.errors}
        labels = self._labels(batch, heard.logits.shape[1]) if batch.phones is not None else None
        if labels is not None and (labels >= 0).any():
            known = labels >= 0
            measures.accuracy.update((heard.logits.argmax(-1) == labels)[known].float())
            figures["frame_accuracy"] = measures.accuracy
        if heard.nats is not None:
            measures.bits.update(heard.nats, batch.target_mask[:, self.context :])
            figures["bits"] = measures.bits
        for name, figure in figures.items():
            self.log(f"{stage}/{name}", figure, prog_bar=True, batch_size=len(batch.ids))

    def confusions(self, stage: str) -> Tensor:
        """`PhoneErrorRate.table` of the "val" or "test" in progress, as far as this process has come."""
        measures = self.measures[stage]
        assert isinstance(measures, _Measures)
        return measures.errors.table

    def scored_names(self) -> list[str]:
        """The phones that errors are counted over, in the order of the rows of `PhoneErrorRate.table`."""
        return sorted({name for name in self._scored() if name is not None})

    def _scored(self) -> list[str | None]:
        """What each phone counts as; None for one that does not count."""
        phones = self.vocabulary.phones if self.vocabulary is not None else ()
        return [phone if self.score_set is None else fold(phone, self.score_set) for phone in phones]


class _Measures(nn.Module):
    """What is measured in a validation or a test."""

    def __init__(self, phones: int) -> None:
        super().__init__()
        self.errors = PhoneErrorRate(phones)
        self.accuracy = MeanMetric()
        self.bits = BitsPerSample()


def _without(tokens: Tensor, optional: Tensor) -> Tensor:
    """Tokens `[B, L]` without those that may be left out, in front, and -1 behind them."""
    order = (optional | (tokens < 0)).long().argsort(dim=1, stable=True)
    return tokens.masked_fill(optional, -1).gather(1, order)
