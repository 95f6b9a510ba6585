"""What tasks share that train models of the next sample."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytorch_lightning.callbacks import Callback
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from lightning_wavenet.backbone import WaveNet
from lightning_wavenet.data.batch import Batch
from lightning_wavenet.metrics import BitsPerSample, nats_of_16_bits
from lightning_wavenet.models import Clip, GenerativeModel
from lightning_wavenet.sampling import Sampler
from lightning_wavenet.tasks.base import SPEED_FIGURES, BackboneCallable, BaseTask
from lightning_wavenet.tasks.predictions import PredictionWriter


class GenerationTask(BaseTask):
    """Trains a `GenerativeModel` by maximum likelihood of the next sample (equations 1 and 3).

    Args:
        backbone: Makes the net; its conditioning inputs are those that the task gives it.
        optimizer: Makes the optimizer from the named parameters; None: Adam as it comes.
        lr_scheduler: Makes a learning-rate schedule from the optimizer, stepped every training step, and
            `ReduceLROnPlateau` with the "val/bits" of every validation; None for none.
        noise: Of the samples that the net sees in training, as `WaveNet.nll` (codes). A net that only ever saw clean
            audio loses its way in its own, and leans on its past more than on its conditions.
    """

    monitor = "bits"
    free_options = frozenset({"noise"})
    model: GenerativeModel

    def __init__(
        self,
        backbone: BackboneCallable = WaveNet,
        optimizer: OptimizerCallable | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
        noise: float = 0.0,
    ) -> None:
        super().__init__(optimizer, lr_scheduler)
        if noise < 0:
            raise ValueError(f"model.noise must not be negative, got {noise}")
        self.backbone = backbone
        self.noise = noise
        self.validation_bits = BitsPerSample()
        self.test_bits = BitsPerSample()
        self.test_bits_of_16 = BitsPerSample()
        self._predicted = 0

    def configure_callbacks(self) -> list[Callback]:
        """The writer of what `predict` generates."""
        return [PredictionWriter(self.overwrite)]

    def unit(self) -> str:
        """Bits, of which codec and at which rate."""
        rate = self.model.vocabulary.sample_rate
        return f"bits per sample ({self.model.backbone.distribution.codec}, {rate:,} Hz)"

    @property
    def uniform_loss(self) -> float:
        """Of a guess among all codes (nats)."""
        return math.log(self.model.backbone.distribution.levels)

    @property
    def patience(self) -> float:
        """Of the output."""
        return self.model.backbone.distribution.patience

    @property
    def train_figures(self) -> Sequence[str]:
        """The bits per sample of a batch, beside the measures of speed that the command adds."""
        return ("train/bits", *SPEED_FIGURES)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean nats over the samples that count."""
        nats, mask = self.model.nats(batch, self.noise)
        loss = nats.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)
        self.log("train/bits", loss.detach() / math.log(2), prog_bar=True, batch_size=len(batch.ids))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to "val/bits"."""
        self.validation_bits.update(*self.model.nats(batch))
        self.log("val/bits", self.validation_bits, prog_bar=True, batch_size=len(batch.ids))

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to "test/bits", and to "test/bits_of_16", by which outputs of different codecs compare."""
        nats, mask = self.model.nats(batch)
        self.test_bits.update(nats, mask)
        self.log("test/bits", self.test_bits, batch_size=len(batch.ids))
        distribution = self.model.backbone.distribution
        codes = distribution.encode(batch.audio)[:, -nats.shape[1] :]
        self.test_bits_of_16.update(nats_of_16_bits(nats, codes, distribution), mask)
        self.log("test/bits_of_16", self.test_bits_of_16, batch_size=len(batch.ids))

    def on_predict_start(self) -> None:
        """Counts clips from the first."""
        self._predicted = 0

    def predict_step(self, batch: Batch, batch_idx: int) -> list[Clip]:
        """For each clip of a batch, a new one of its length under the same conditions.

        The seed is the clip's place among the prompts, which processes take in turn (`AudioDataModule`).
        """
        first, self._predicted = self._predicted, self._predicted + len(batch.ids)
        places = [place * self.trainer.world_size + self.global_rank for place in range(first, self._predicted)]
        streams = self.model.streams(batch, batch.target_mask.sum(1).tolist(), places)
        sampler = Sampler(self.model.backbone)
        about = self.model.descriptions(batch, streams, sampler)
        return [Clip(*pair) for pair in zip(sampler.generate(streams), about, strict=True)]
