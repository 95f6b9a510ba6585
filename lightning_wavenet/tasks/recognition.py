"""Speech recognition (section 3.4): phones from raw audio, trained with two losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric, Metric

from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.batch import Batch, Request
from lightning_wavenet.decoding import (
    IMPOSSIBLE,
    BestPath,
    Bigram,
    PrefixBeam,
    Viterbi,
    full_sum,
    with_blanks,
)
from lightning_wavenet.errors import RequestError
from lightning_wavenet.metrics import BitsPerSample, PhoneErrorRate
from lightning_wavenet.models import PhoneRecognizer
from lightning_wavenet.models.encoders import ConvolutionalEncoder, RecurrentEncoder
from lightning_wavenet.models.recognition import FrameLogits
from lightning_wavenet.phones import SILENCE, PhoneSet
from lightning_wavenet.tasks.base import BackboneCallable, BaseTask
from lightning_wavenet.vocabulary import Vocabulary

_PRIOR_RATE = 0.1
"""How much of the prior a step replaces."""


class RecognitionWaveNet(BaseTask):
    """Trains a `PhoneRecognizer` of the phones of a corpus.

    The losses are added up with their weights: cross-entropy of the phone in the middle of each frame (nats a frame);
    the sum over all alignments of the clip's phones, as CTC or without a blank (nats a frame); and the negative
    log-likelihood of the next sample (nats a sample).

    Args:
        backbone: Makes the net, without conditions.
        encoder: Makes the layers over frames; null: `ConvolutionalEncoder` as they come.
        hop: Samples that are averaged to a frame; the paper's 160 are 10 ms at 16 kHz.
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
        optimizer: Makes the optimizer from the parameters; None: Adam as it comes.
        lr_scheduler: Makes a learning-rate schedule from the optimizer, stepped every training step, and
            `ReduceLROnPlateau` with the "val/per" of every validation; None for none.
    """

    monitor = "per"
    free_options = frozenset({"decoder", "score_set"})
    model: PhoneRecognizer

    def __init__(
        self,
        backbone: BackboneCallable = WaveNet,
        encoder: Callable[[], ConvolutionalEncoder | RecurrentEncoder] | None = None,
        hop: int = 160,
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
        optimizer: OptimizerCallable | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(optimizer, lr_scheduler)
        if min(frame_weight, ctc_weight, sample_weight) < 0 or frame_weight + ctc_weight == 0:
            raise ValueError(
                "weights must not be negative, and frame_weight or ctc_weight must be positive, got "
                f"{frame_weight}, {ctc_weight} and {sample_weight}"
            )
        if blank and not ctc_weight:
            raise ValueError("only ctc_weight trains a blank: set blank to false, or ctc_weight above 0")
        if not 0 < sum_scale <= 1 or sum_warmup < 0:
            raise ValueError(
                f"sum_scale lies above 0 and up to 1, and sum_warmup is not negative; got {sum_scale} and {sum_warmup}"
            )
        self.backbone = backbone
        self.encoder: Callable[[], ConvolutionalEncoder | RecurrentEncoder] = encoder or ConvolutionalEncoder
        self.hop = hop
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

    def build(self, vocabulary: Vocabulary) -> PhoneRecognizer:
        """The model for a corpus.

        Raises:
            ValueError: The options do not fit together, or the corpus has no phones.
        """
        model = PhoneRecognizer(
            self.backbone(),
            self.encoder(),
            vocabulary,
            self.hop,
            self.blank,
            self.prior_weight,
            self.shortest,
            self.decoder,
            self.score_set,
        )
        if not self.sample_weight:
            model.backbone.head.requires_grad_(False)
        return model

    @property
    def request(self) -> Request:
        """Whole clips with their phones, and with the times of these where a loss needs them."""
        return replace(self.model.request, phone_times=self.frame_weight > 0)

    def setup(self, stage: str) -> None:
        """Counts which phone follows which in the training split, where the corpus tells (`transcripts`)."""
        super().setup(stage)
        classes = len(self.model.vocabulary.phones)
        self.measures = nn.ModuleDict({"val": _Measures(classes), "test": _Measures(classes)})
        corpus: Any = getattr(self.trainer, "datamodule", None)
        if stage == "fit" and hasattr(corpus, "transcripts"):
            said = []
            for phones, optional, *_ in corpus.transcripts("train"):
                said.append(phones.tolist())
                if optional.any():
                    # Nobody knows where the reader paused: once everywhere, once nowhere.
                    said.append(phones[~optional].tolist())
            self.model.bigram = Bigram.estimate(said, classes)

    def unit(self) -> str:
        """Phone error rate, over which phones."""
        return f"phone error rate in % ({len(self.model.scored_names())} phones)"

    # Training and evaluation

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted sum of the losses."""
        found = self.model(batch, predict=self.sample_weight > 0)
        inside = torch.arange(found.logits.shape[1], device=self.device) < found.lengths[:, None]
        losses = {}
        if self.frame_weight:
            losses["frame"] = self.frame_weight, self._frame_loss(found, batch)
        if self.ctc_weight:
            losses["ctc"] = self.ctc_weight, self._ctc_loss(found, batch)
        if found.nats is not None:
            mask = batch.target_mask[:, self.model.history :]
            nats = found.nats.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)
            losses["nats"] = self.sample_weight, nats
        with torch.no_grad():
            self.model.prior.lerp_(found.logits[inside].softmax(-1).mean(0), _PRIOR_RATE)
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
        raise RequestError("a recognizer generates nothing: say wavenet recognize CHECKPOINT FILE...")

    def _labels(self, batch: Batch, frames: int) -> Tensor:
        assert batch.phones is not None
        first = self.model.history // self.hop
        return batch.phones[:, first : first + frames]

    def _frame_loss(self, found: FrameLogits, batch: Batch) -> Tensor:
        labels = self._labels(batch, found.logits.shape[1])
        nats = F.cross_entropy(found.logits.transpose(1, 2), labels, ignore_index=-1, reduction="sum")
        return nats / (labels >= 0).sum().clamp(min=1)

    def _ctc_loss(self, found: FrameLogits, batch: Batch) -> Tensor:
        assert batch.transcript is not None
        assert batch.optional is not None
        tokens, optional = batch.transcript, batch.optional
        if self.blank:
            # What may be left out, silences between words, is left to the blank.
            tokens, optional = with_blanks(_without(tokens, optional), len(self.model.vocabulary.phones))
        scale = self.sum_scale * min(1.0, (self.global_step + 1) / (self.sum_warmup + 1))
        scores = scale * self.model.scores(found.logits)
        sums = full_sum(scores, found.lengths, tokens, optional, self.shortest) / scale
        # Clips that are too short for their phones teach nothing.
        possible = sums > IMPOSSIBLE / 2
        return -sums.masked_fill(~possible, 0.0).sum() / found.lengths[possible].sum().clamp(min=1)

    def _measure(self, stage: str, batch: Batch) -> None:
        assert batch.transcript is not None
        assert batch.optional is not None
        measures = self.measures[stage]
        assert isinstance(measures, _Measures)
        found = self.model(batch, predict=self.sample_weight > 0)
        scored = self.model.scored()
        index = {name: place for place, name in enumerate(self.model.scored_names())}
        for logits, length, tokens, optional in zip(
            found.logits, found.lengths.tolist(), batch.transcript, batch.optional, strict=True
        ):
            reference = [scored[phone] for phone in tokens[(tokens >= 0) & ~optional].tolist()]
            hypothesis = [scored[segment.phone] for segment in self.model.decode(logits[:length])]
            if optional.any():
                hypothesis = [name for name in hypothesis if name != SILENCE]
            sides = (hypothesis, reference)
            measures.errors.update(*([index[name] for name in side if name is not None] for side in sides))
        figures: dict[str, Metric] = {"per": measures.errors}
        labels = self._labels(batch, found.logits.shape[1]) if batch.phones is not None else None
        if labels is not None and (labels >= 0).any():
            known = labels >= 0
            measures.accuracy.update((found.logits.argmax(-1) == labels)[known].float())
            figures["frame_accuracy"] = measures.accuracy
        if found.nats is not None:
            measures.bits.update(found.nats, batch.target_mask[:, self.model.history :])
            figures["bits"] = measures.bits
        for name, figure in figures.items():
            self.log(f"{stage}/{name}", figure, prog_bar=True, batch_size=len(batch.ids))

    def confusions(self, stage: str) -> Tensor:
        """`PhoneErrorRate.table` of the "val" or "test" in progress, as far as this process has come."""
        measures = self.measures[stage]
        assert isinstance(measures, _Measures)
        return measures.errors.table


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
