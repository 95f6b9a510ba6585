"""Audio of one kind, conditioned on nothing but its own past."""

from __future__ import annotations

from lightning_wavenet.backbone import Conditions
from lightning_wavenet.batch import Batch
from lightning_wavenet.errors import RequestError
from lightning_wavenet.tasks.generation import GenerationTask
from lightning_wavenet.vocabulary import Vocabulary


class UnconditionalWaveNet(GenerationTask):
    """p(x) of equation (1): a WaveNet without conditions."""

    def condition(self, batch: Batch) -> Conditions:
        """None."""
        return Conditions()

    def check(self, vocabulary: Vocabulary) -> None:
        """Any corpus will do; the backbone must not expect conditions.

        Raises:
            RequestError: The backbone takes a condition.
        """
        if self.backbone.global_channels or self.backbone.upsampling is not None:
            raise RequestError(
                "UnconditionalWaveNet gives its backbone no conditions: leave out its global_channels and upsampling"
            )
