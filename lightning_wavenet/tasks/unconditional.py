"""Audio of one kind, conditioned on nothing but its own past."""

from __future__ import annotations

from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.models import UnconditionalModel
from lightning_wavenet.tasks.generation import GenerationTask


class UnconditionalWaveNet(GenerationTask):
    """Trains an `UnconditionalModel`."""

    def build(self, vocabulary: Vocabulary) -> UnconditionalModel:
        """The model for a corpus, any corpus."""
        return UnconditionalModel(self.backbone(), vocabulary)
