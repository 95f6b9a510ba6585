"""Audio of one kind, conditioned on nothing but its own past."""

from __future__ import annotations

from lightning_wavenet.backbone import Conditions, WaveNet
from lightning_wavenet.data.batch import Batch
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.models.generation import GenerativeModel


class UnconditionalModel(GenerativeModel):
    """p(x) of equation (1): a WaveNet without conditions.

    Args:
        backbone: The net, without conditions.
        vocabulary: Of the corpus.
    """

    def __init__(self, backbone: WaveNet, vocabulary: Vocabulary) -> None:
        if backbone.global_channels or backbone.upsampling is not None:
            raise ValueError("the model gives its backbone no conditions: leave out its global_channels and upsampling")
        super().__init__(backbone, vocabulary)

    def condition(self, batch: Batch) -> Conditions:
        """None."""
        return Conditions()
