"""Multi-speaker speech (section 3.1): one model of many voices, conditioned on who speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from lightning_wavenet.backbone import Conditions, WaveNet
from lightning_wavenet.data.batch import Batch
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.models.generation import GenerativeModel
from lightning_wavenet.models.model import Names
from lightning_wavenet.models.voices import Voices


class SpeakerModel(GenerativeModel):
    """p(x | h) of equation (3) with h the speaker, as a one-hot vector or an embedding.

    Args:
        backbone: The net; its global_channels is the number of speakers, or the width of the embedding.
        vocabulary: Names the speakers.
        embedding: False feeds the one-hot vector, as the paper has it; True learns an embedding of
            `backbone.global_channels` numbers a speaker.
    """

    def __init__(self, backbone: WaveNet, vocabulary: Vocabulary, embedding: bool = False) -> None:
        super().__init__(backbone, vocabulary)
        self.embedding = embedding
        self.voices = Voices(vocabulary, backbone.global_channels, embedding)

    @property
    def fields(self) -> frozenset[str]:
        """The speaker."""
        return frozenset({"speaker"})

    def condition(self, batch: Batch) -> Conditions:
        """The speaker of each clip, `[B, global_channels]`."""
        return Conditions(global_condition=self.voices(batch).to(next(self.parameters()).dtype))

    def choices(self, given: Mapping[str, str]) -> list[dict[str, str]]:
        """One a speaker: those of `given["speaker"]`, joined by commas, or all."""
        super().choices({name: value for name, value in given.items() if name != "speaker"})
        return self.voices.choices(given)

    def batch(self, choices: Sequence[Mapping[str, str]], waveform: Tensor) -> Batch:
        """As `GenerativeModel.batch`, with speakers."""
        return super().batch(choices, waveform)._replace(speaker=self.voices.indices(choices).to(self.device))

    def names(self, batch: Batch, row: int) -> dict[str, Any]:
        """The speaker's name."""
        return {"speaker": self.voices.name(batch, row)}

    def named_axes(self) -> Mapping[str, tuple[Names, ...]]:
        """A column of the projection, or a row of the embedding, a speaker."""
        return self.voices.named_axes("voices")
