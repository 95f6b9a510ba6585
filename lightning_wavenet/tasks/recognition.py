"""Speech recognition (section 3.4): phones from raw audio, trained with two losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.data.batch import Batch, Request
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.decoding import BestPath, Bigram, PrefixBeam, Viterbi
from lightning_wavenet.errors import RequestError
from lightning_wavenet.models import PhoneRecognizer
from lightning_wavenet.models.encoders import ConvolutionalEncoder, RecurrentEncoder
from lightning_wavenet.tasks.base import SPEED_FIGURES, BackboneCallable, BaseTask
from lightning_wavenet.tasks.confusions import ConfusionTable
from lightning_wavenet.tasks.phone_criterion import PhoneCriterion
from lightning_wavenet.tasks.phone_measures import PhoneMeasures
from lightning_wavenet.text.phones import PhoneSet

_CRITERION = PhoneCriterion()
_PRIOR_RATE = 0.1
"""How much of the prior a step replaces."""


class RecognitionWaveNet(BaseTask):
    """Trains a `PhoneRecognizer` of the phones of a corpus.

    Args:
        backbone: Makes the net, without conditions.
        encoder: Makes the layers over frames; null: `ConvolutionalEncoder` as it comes.
        criterion: The losses that it is trained by, and their weights.
        hop: Samples that are averaged to a frame; the paper's 160 are 10 ms at 16 kHz.
        blank: Whether there is a class for "no phone" between phones (CTC). Without it every frame is a phone, or a
            silence where one is allowed, which gives times instead of peaks.
        prior_weight: How much of the classes' mean log-probability is taken off their scores, 0 to 1, in decoding and
            in the sum over alignments; there it keeps one class from taking all frames.
        shortest: Frames that a phone lasts at least in the sum over alignments and in forced alignment.
        decoder: Finds the phones; null: `Viterbi`, or `BestPath` where there is a blank.
        score_set: TIMIT's set that phones are folded to before errors are counted; null counts all as they are.
        optimizer: Makes the optimizer from the named parameters; None: Adam as it comes.
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
        criterion: PhoneCriterion = _CRITERION,
        hop: int = 160,
        blank: bool = False,
        prior_weight: float = 0.0,
        shortest: int = 1,
        decoder: BestPath | Viterbi | PrefixBeam | None = None,
        score_set: PhoneSet | None = None,
        optimizer: OptimizerCallable | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(optimizer, lr_scheduler)
        if blank and not criterion.ctc_weight:
            raise ValueError("only criterion.ctc_weight trains a blank: set blank to false, or that weight above 0")
        self.backbone = backbone
        self.encoder: Callable[[], ConvolutionalEncoder | RecurrentEncoder] = encoder or ConvolutionalEncoder
        self.criterion = criterion
        self.hop = hop
        self.blank = blank
        self.prior_weight = prior_weight
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
        if not self.criterion.sample_weight:
            model.backbone.head.requires_grad_(False)
        return model

    @property
    def request(self) -> Request:
        """Whole clips with their phones, and with the times of these where a loss needs them."""
        return replace(self.model.request, phone_times=self.criterion.frame_weight > 0)

    def setup(self, stage: str) -> None:
        """Counts which phone follows which in the training split, where the corpus tells (`transcripts`)."""
        super().setup(stage)
        classes = len(self.model.vocabulary.phones)
        self.measures = nn.ModuleDict({"val": PhoneMeasures(classes), "test": PhoneMeasures(classes)})
        corpus: Any = getattr(self.trainer, "datamodule", None)
        if stage == "fit" and hasattr(corpus, "transcripts"):
            sequences = []
            for phones, optional, *_ in corpus.transcripts("train"):
                sequences.append(phones.tolist())
                if optional.any():
                    # Nobody knows where the reader paused: once everywhere, once nowhere.
                    sequences.append(phones[~optional].tolist())
            self.model.bigram = Bigram.estimate(sequences, classes)

    def configure_callbacks(self) -> list[Callback]:
        """The table of confusions that a test writes."""
        return [ConfusionTable(self.overwrite)]

    def unit(self) -> str:
        """Phone error rate, over which phones."""
        return f"phone error rate in % ({len(self.model.scored_names())} phones)"

    @property
    def uniform_loss(self) -> float:
        """Of guesses among all classes in every frame, and among all codes (nats), with the weights of the losses."""
        criterion, levels = self.criterion, self.model.backbone.distribution.levels
        frames = criterion.frame_weight + criterion.ctc_weight
        return frames * math.log(len(self.model.prior)) + criterion.sample_weight * math.log(levels)

    @property
    def train_figures(self) -> Sequence[str]:
        """The losses that have a weight, beside the measures of speed that the command adds."""
        criterion = self.criterion
        weights = {"frame": criterion.frame_weight, "ctc": criterion.ctc_weight, "nats": criterion.sample_weight}
        return (*(f"train/{name}" for name, weight in weights.items() if weight), *SPEED_FIGURES)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted sum of the losses, which are logged one by one."""
        found = self.model(batch, predict=self.criterion.sample_weight > 0)
        losses = self.criterion.losses(self.model, found, batch, self.global_step)
        with torch.no_grad():
            inside = torch.arange(found.logits.shape[1], device=self.device) < found.lengths[:, None]
            self.model.prior.lerp_(found.logits[inside].softmax(-1).mean(0), _PRIOR_RATE)
        for name, loss in losses.items():
            self.log(f"train/{name}", loss.detach(), prog_bar=True, batch_size=len(batch.ids))
        return self.criterion.total(losses)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to "val/per", and to "val/frame_accuracy" and "val/bits" where they can be known."""
        self._measure("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to "test/per", and to "test/frame_accuracy" and "test/bits" where they can be known."""
        self._measure("test", batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> None:
        """Refuses: `predict` is for tasks that generate."""
        raise RequestError("a recognizer generates nothing: say wavenet recognize CHECKPOINT FILE...")

    def _measure(self, stage: str, batch: Batch) -> None:
        measures = self.measures[stage]
        assert isinstance(measures, PhoneMeasures)
        found = self.model(batch, predict=self.criterion.sample_weight > 0)
        for name, figure in measures.update(self.model, found, batch).items():
            self.log(f"{stage}/{name}", figure, prog_bar=True, batch_size=len(batch.ids))
