"""Durations of phones and log F0 from linguistic features (section 3.2), trained for mean squared error."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torchmetrics import MeanMetric, MeanSquaredError, Metric, PearsonCorrCoef

from lightning_wavenet.data.batch import Batch
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.features.linguistic import frames_of_phone
from lightning_wavenet.models import DurationPredictor, LogF0Predictor
from lightning_wavenet.tasks.base import SPEED_FIGURES, BaseTask
from lightning_wavenet.text.symbols import SILENCE


class ProsodyTask(BaseTask):
    """What the two have in common: a loss, and figures of each validation and test."""

    @property
    def train_figures(self) -> Sequence[str]:
        """The loss, beside the measures of speed that the command adds."""
        return ("train/loss", *SPEED_FIGURES)

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Mean squared error of a batch."""

    @abstractmethod
    def measures(self) -> Mapping[str, Metric]:
        """The figures of a validation or a test by name, of nothing yet."""

    @abstractmethod
    def update(self, measures: Mapping[str, Metric], batch: Batch) -> None:
        """Adds a batch to them."""

    def setup(self, stage: str) -> None:
        """Makes the figures of validation and test."""
        super().setup(stage)
        self.figures = nn.ModuleDict({name: nn.ModuleDict(self.measures()) for name in ("val", "test")})

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean squared error."""
        loss = self.loss(batch)
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=len(batch.ids))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to the figures."""
        self._measure("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to the figures."""
        self._measure("test", batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> None:
        """Refuses: `predict` is for tasks that generate."""
        raise RequestError("prosody is not heard by itself: say wavenet say CHECKPOINT with a model of audio")

    def _measure(self, stage: str, batch: Batch) -> None:
        measures = cast("Mapping[str, Metric]", self.figures[stage])
        self.update(measures, batch)
        for name, figure in measures.items():
            self.log(f"{stage}/{name}", figure, prog_bar=True, batch_size=len(batch.ids))


class DurationModel(ProsodyTask):
    """Trains a `DurationPredictor`: how long phones last.

    Silences do not count in the figures: how long one is belongs to the cut of a recording. "rmse_ms_of_means" is that
    of the mean of each phone in the training split.

    Args:
        channels: Width of the LSTM in each direction.
        layers: Of the LSTM.
        dropout: Part of what enters and leaves the LSTM that is left out in training.
        optimizer: Makes the optimizer from the named parameters; None: Adam as it comes.
        lr_scheduler: Makes a learning-rate schedule from the optimizer, stepped every training step; None for none.
    """

    monitor = "rmse_ms"
    model: DurationPredictor

    def __init__(
        self,
        channels: int = 128,
        layers: int = 1,
        dropout: float = 0.3,
        optimizer: OptimizerCallable | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(optimizer, lr_scheduler)
        self.channels = channels
        self.layers = layers
        self.dropout = dropout

    def build(self, vocabulary: Vocabulary) -> DurationPredictor:
        """The model for a corpus.

        Raises:
            ValueError: The corpus has no linguistic features.
        """
        return DurationPredictor(vocabulary.with_features(["linguistic"]), self.channels, self.layers, self.dropout)

    def unit(self) -> str:
        """Root of the mean squared error."""
        return "error of a phone's duration (ms, root mean square)"

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean squared error; counts the phones of all processes for the means."""
        sums = self.model.counted(self.model.phones(batch))
        self.model.add(self.trainer.strategy.reduce(sums, reduce_op="sum"))
        return super().training_step(batch, batch_idx)

    def loss(self, batch: Batch) -> Tensor:
        """Mean squared error of the logarithms."""
        series = self.model.phones(batch)
        errors = self.model(series.contexts, series.counts) - series.durations
        return errors[series.inside].square().mean()

    def measures(self) -> Mapping[str, Metric]:
        """Root mean squared error (ms), that of the means by phone, and correlation."""
        return {
            "rmse_ms": MeanSquaredError(squared=False),
            "rmse_ms_of_means": MeanSquaredError(squared=False),
            "correlation": PearsonCorrCoef(),
        }

    def update(self, measures: Mapping[str, Metric], batch: Batch) -> None:
        """Adds the phones of a batch that are no silences."""
        model, series = self.model, self.model.phones(batch)
        labels = model.labels(series.contexts)
        counted = series.inside & (labels != model.linguistic.phones.index(SILENCE))
        assert model.vocabulary.hop is not None
        ms = 1_000 * model.vocabulary.hop / model.vocabulary.sample_rate
        spoken = ms * frames_of_phone(series.durations[counted])
        found = ms * frames_of_phone(model(series.contexts, series.counts)[counted]).clamp(min=1.0)
        measures["rmse_ms"].update(found, spoken)
        measures["rmse_ms_of_means"].update(ms * model.mean_frames(labels[counted]), spoken)
        measures["correlation"].update(found, spoken)


class LogF0Model(ProsodyTask):
    """Trains a `LogF0Predictor`: the melody of a voice, and where there is one.

    Figures are those of contours that are generated from nothing but what is said. F0 counts in frames that are voiced
    in the recording; "rmse_hz_of_mean" is that of the speaker's mean. V/UV errors are in percent of all frames.

    Args:
        channels: Width.
        layers: Non-causal convolutions over what is said.
        kernel_size: Frames that each of these sees.
        past: Frames of its own past that the net sees.
        noise: Deviation of the noise on the past in training.
        dropout: Part of each convolution's outputs that is left out in training.
        optimizer: Makes the optimizer from the named parameters; None: Adam as it comes.
        lr_scheduler: Makes a learning-rate schedule from the optimizer, stepped every training step; None for none.
    """

    monitor = "rmse_hz"
    model: LogF0Predictor

    def __init__(
        self,
        channels: int = 64,
        layers: int = 3,
        kernel_size: int = 9,
        past: int = 64,
        noise: float = 2.0,
        dropout: float = 0.2,
        optimizer: OptimizerCallable | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(optimizer, lr_scheduler)
        self.channels = channels
        self.layers = layers
        self.kernel_size = kernel_size
        self.past = past
        self.noise = noise
        self.dropout = dropout

    def build(self, vocabulary: Vocabulary) -> LogF0Predictor:
        """The model for a corpus.

        Raises:
            ValueError: The corpus has no linguistic features, or no log F0.
        """
        return LogF0Predictor(
            vocabulary.with_features(["linguistic", "f0"]),
            self.channels,
            self.layers,
            self.kernel_size,
            self.past,
            self.noise,
            self.dropout,
        )

    def unit(self) -> str:
        """Root of the mean squared error."""
        return "error of F0 (Hz, root mean square)"

    def loss(self, batch: Batch) -> Tensor:
        """Mean squared error of normalized log F0 and of V/UV, over all frames."""
        linguistic, f0 = self.model.divided(batch)
        found = self.model(linguistic, f0, batch.target_mask.sum(1))
        return (found - f0).square().mean(1)[batch.target_mask].mean()

    def measures(self) -> Mapping[str, Metric]:
        """Root mean squared error (Hz), that of the mean, correlation, and errors of V/UV (%)."""
        return {
            "rmse_hz": MeanSquaredError(squared=False),
            "rmse_hz_of_mean": MeanSquaredError(squared=False),
            "correlation": PearsonCorrCoef(),
            "vuv_error": MeanMetric(),
        }

    def update(self, measures: Mapping[str, Metric], batch: Batch) -> None:
        """Generates the contours of a batch and adds them."""
        model = self.model
        _, extractor = model.extractors
        linguistic, f0 = model.divided(batch)
        lengths = batch.target_mask.sum(1)
        generated = model.generate(linguistic, lengths)
        for row, length in enumerate(lengths.tolist()):
            speaker = "" if batch.speaker is None else model.vocabulary.speakers[int(batch.speaker[row])]
            mean, deviation = extractor.statistics(speaker)
            # There is a contour where there is no voice too, so that it counts where V/UV alone is wrong.
            spoken, found = ((mean + deviation * one[row, 0, :length]).exp() for one in (f0, generated))
            voiced, told = (one[row, 1, :length] >= 0.5 for one in (f0, generated))
            measures["vuv_error"].update(100 * (voiced != told).float())
            if voiced.sum() > 1:
                average = torch.full_like(spoken[voiced], math.exp(mean))
                measures["rmse_hz"].update(found[voiced], spoken[voiced])
                measures["rmse_hz_of_mean"].update(average, spoken[voiced])
                measures["correlation"].update(found[voiced], spoken[voiced])
