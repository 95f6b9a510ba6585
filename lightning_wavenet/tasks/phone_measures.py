"""What is measured of a recognizer in a validation or a test."""

from __future__ import annotations

from torch import nn
from torchmetrics import MeanMetric, Metric

from lightning_wavenet.data.batch import Batch
from lightning_wavenet.metrics import BitsPerSample, PhoneErrorRate
from lightning_wavenet.models import PhoneRecognizer
from lightning_wavenet.models.recognition import FrameLogits
from lightning_wavenet.text.phones import SILENCE


class PhoneMeasures(nn.Module):
    """Phone error rate (%), the part of the frames that is right (0 to 1), and bits per sample.

    Args:
        phones: How many phones errors are counted over at most.
    """

    def __init__(self, phones: int) -> None:
        super().__init__()
        self.errors = PhoneErrorRate(phones)
        self.accuracy = MeanMetric()
        self.bits = BitsPerSample()

    def update(self, model: PhoneRecognizer, found: FrameLogits, batch: Batch) -> dict[str, Metric]:
        """Adds a batch.

        Args:
            model: Decodes, and says which phones count.
            found: What it makes of the batch.
            batch: Whole clips with transcripts.

        Returns:
            What can be known of this batch, by name: "per"; "frame_accuracy" where it has the times of phones; "bits"
            where the next samples were predicted.
        """
        self._count_errors(model, found, batch)
        figures: dict[str, Metric] = {"per": self.errors}
        labels = model.labels(batch) if batch.phones is not None else None
        if labels is not None and (labels >= 0).any():
            known = labels >= 0
            self.accuracy.update((found.logits.argmax(-1) == labels)[known].float())
            figures["frame_accuracy"] = self.accuracy
        if found.nats is not None:
            self.bits.update(found.nats, batch.target_mask[:, model.history :])
            figures["bits"] = self.bits
        return figures

    def _count_errors(self, model: PhoneRecognizer, found: FrameLogits, batch: Batch) -> None:
        assert batch.transcript is not None
        assert batch.optional is not None
        scored = model.scored()
        index = {name: place for place, name in enumerate(model.scored_names())}
        for logits, length, tokens, optional in zip(
            found.logits, found.lengths.tolist(), batch.transcript, batch.optional, strict=True
        ):
            reference = [scored[phone] for phone in tokens[(tokens >= 0) & ~optional].tolist()]
            hypothesis = [scored[segment.phone] for segment in model.decode(logits[:length])]
            if optional.any():
                # Nobody knows which of the silences between words there are.
                hypothesis = [name for name in hypothesis if name != SILENCE]
            sides = (hypothesis, reference)
            self.errors.update(*([index[name] for name in side if name is not None] for side in sides))
