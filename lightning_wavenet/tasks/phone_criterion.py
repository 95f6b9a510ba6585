"""What a recognizer is trained by: up to three losses and their weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_wavenet.data.batch import Batch
from lightning_wavenet.decoding import IMPOSSIBLE, full_sum, with_blanks
from lightning_wavenet.models import PhoneRecognizer
from lightning_wavenet.models.recognition import FrameLogits


@dataclass(frozen=True)
class PhoneCriterion:
    """Cross-entropy of frames, the sum over alignments, and the next sample's likelihood, each with its weight.

    The first is that of the phone in the middle of each frame (nats a frame); the second that of the clip's phones at
    whatever times, as CTC or without a blank (nats a frame); the third the paper's second loss (nats a sample).

    Raises:
        ValueError: A number is out of its range.
    """

    frame_weight: float = 1.0
    """Of the cross-entropy of frames; needs a corpus with the times of phones."""
    ctc_weight: float = 0.0
    """Of the sum over alignments; needs no times, only which phones there are."""
    sample_weight: float = 1.0
    """Of the next sample's negative log-likelihood."""
    sum_scale: float = 1.0
    """What scores are multiplied by in the sum over alignments; below 1, more alignments keep a say in it, so that it
    does not settle on early mistakes."""
    sum_warmup: int = 0
    """Steps in which that scale grows from nothing: at first all alignments count alike, and phones are learned from
    where they are on average."""

    def __post_init__(self) -> None:
        if min(self.frame_weight, self.ctc_weight, self.sample_weight) < 0 or self.frame_weight + self.ctc_weight == 0:
            raise ValueError(
                "weights must not be negative, and frame_weight or ctc_weight must be positive, got "
                f"{self.frame_weight}, {self.ctc_weight} and {self.sample_weight}"
            )
        if not 0 < self.sum_scale <= 1 or self.sum_warmup < 0:
            raise ValueError(
                f"sum_scale lies above 0 and up to 1, and sum_warmup is not negative; got {self.sum_scale} and "
                f"{self.sum_warmup}"
            )

    def losses(self, model: PhoneRecognizer, found: FrameLogits, batch: Batch, step: int) -> dict[str, Tensor]:
        """The losses that have a weight, before it: "frame", "ctc" and "nats".

        Args:
            model: What was trained to this step.
            found: What it makes of the batch; with `nats` where the next sample has a weight.
            batch: Whole clips, with the fields that the weights need.
            step: Training step, from 0, which the warmup goes by.
        """
        losses = {}
        if self.frame_weight:
            losses["frame"] = frame_loss(found.logits, model.labels(batch))
        if self.ctc_weight:
            scale = self.sum_scale * min(1.0, (step + 1) / (self.sum_warmup + 1))
            losses["ctc"] = alignment_loss(model, found, batch, scale)
        if self.sample_weight:
            assert found.nats is not None
            mask = batch.target_mask[:, model.history :]
            losses["nats"] = found.nats.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)
        return losses

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """The weighted sum of what `losses` gives."""
        weights = {"frame": self.frame_weight, "ctc": self.ctc_weight, "nats": self.sample_weight}
        return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()


def frame_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of logits `[B, N, C]` over the frames whose label `[B, N]` is not -1 (nats a frame)."""
    nats = F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=-1, reduction="sum")
    return nats / (labels >= 0).sum().clamp(min=1)


def alignment_loss(model: PhoneRecognizer, found: FrameLogits, batch: Batch, scale: float = 1.0) -> Tensor:
    """Negative logarithm of the sum over alignments of the batch's phones, divided by `scale` (nats a frame).

    Clips that are too short for their phones teach nothing, and their frames do not count.

    Args:
        model: Says how logits are scored, and whether there is a blank.
        found: What it makes of the batch.
        batch: With transcripts.
        scale: What scores are multiplied by.
    """
    assert batch.transcript is not None
    assert batch.optional is not None
    tokens, optional = batch.transcript, batch.optional
    if model.blank_index is not None:
        # What may be left out, silences between words, is left to the blank.
        tokens = _without(tokens, optional)
        if scale == 1 and not model.prior_weight and not torch.are_deterministic_algorithms_enabled():
            # Its gradient is right for normalized log-probabilities alone, and on a GPU it differs from run to run.
            nats, possible = ctc(found.logits.log_softmax(-1), found.lengths, tokens, model.blank_index)
            return nats.sum() / found.lengths[possible].sum().clamp(min=1)
        tokens, optional = with_blanks(tokens, model.blank_index)
    sums = full_sum(scale * model.scores(found.logits), found.lengths, tokens, optional, model.shortest) / scale
    possible = sums > IMPOSSIBLE / 2
    return -sums.masked_fill(~possible, 0.0).sum() / found.lengths[possible].sum().clamp(min=1)


def ctc(log_probabilities: Tensor, lengths: Tensor, phones: Tensor, blank: int) -> tuple[Tensor, Tensor]:
    """PyTorch's CTC: what `full_sum` over `with_blanks` is, in one kernel.

    Args:
        log_probabilities: float `[B, N, C]`, whose exponentials add up to 1 in each frame.
        lengths: int64 `[B]`: how many of the N frames count.
        phones: int64 `[B, L]`: classes in their order, then -1.
        blank: Class of the blank.

    Returns:
        Nats of each clip `[B]`, 0 where it has too few frames; and bool `[B]`: whether it has enough.
    """
    counts = (phones >= 0).sum(1)
    repeats = ((phones[:, 1:] == phones[:, :-1]) & (phones[:, 1:] >= 0)).sum(1)
    possible = (lengths >= counts + repeats) & (lengths > 0)
    nats = F.ctc_loss(
        log_probabilities.transpose(0, 1),
        phones.clamp(min=0),
        lengths.clamp(min=1),
        counts,
        blank,
        reduction="none",
        zero_infinity=True,
    )
    return nats.masked_fill(~possible, 0.0), possible


def _without(tokens: Tensor, optional: Tensor) -> Tensor:
    """Tokens `[B, L]` without those that may be left out, in front, and -1 behind them."""
    order = (optional | (tokens < 0)).long().argsort(dim=1, stable=True)
    return tokens.masked_fill(optional, -1).gather(1, order)
