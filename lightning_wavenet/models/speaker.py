"""Multi-speaker speech (section 3.1): one model of many voices, conditioned on who speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_wavenet.backbone import Conditions, WaveNet
from lightning_wavenet.data.batch import Batch
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.models.generation import GenerativeModel
from lightning_wavenet.models.model import Names


class SpeakerModel(GenerativeModel):
    """p(x | h) of equation (3) with h the speaker, as a one-hot vector or an embedding.

    Args:
        backbone: The net; its global_channels is the number of speakers, or the width of the embedding.
        vocabulary: Names the speakers.
        embedding: False feeds the one-hot vector, as the paper has it; True learns an embedding of
            `backbone.global_channels` numbers a speaker.
    """

    fields = frozenset({"speaker"})

    def __init__(self, backbone: WaveNet, vocabulary: Vocabulary, embedding: bool = False) -> None:
        super().__init__(backbone, vocabulary)
        speakers = len(vocabulary.speakers)
        if not embedding and backbone.global_channels != speakers:
            raise ValueError(
                f"one-hot speakers need one global channel each: there are {speakers} speakers, and "
                f"backbone.global_channels is {backbone.global_channels}"
            )
        if embedding and not backbone.global_channels:
            raise ValueError("an embedding needs a width: set backbone.global_channels")
        self.embedding = embedding
        self.voices = nn.Embedding(speakers, backbone.global_channels) if embedding else None

    def condition(self, batch: Batch) -> Conditions:
        """The speaker of each clip, `[B, global_channels]`."""
        if batch.speaker is None:
            raise RequestError("the model is conditioned on speakers, and the batch has none")
        if self.voices is not None:
            return Conditions(global_condition=self.voices(batch.speaker))
        one_hot = F.one_hot(batch.speaker, len(self.vocabulary.speakers))
        return Conditions(global_condition=one_hot.to(next(self.parameters()).dtype))

    def choices(self, given: Mapping[str, str]) -> list[dict[str, str]]:
        """One a speaker: those of `given["speaker"]`, joined by commas, or all."""
        others = {name: value for name, value in given.items() if name != "speaker"}
        super().choices(others)
        chosen = dict.fromkeys(given["speaker"].split(",")) if "speaker" in given else self.vocabulary.speakers
        for name in chosen:
            self.vocabulary.speaker_index(name)
        return [{"speaker": name} for name in chosen]

    def batch(self, choices: Sequence[Mapping[str, str]], waveform: Tensor) -> Batch:
        """As `GenerativeModel.batch`, with speakers."""
        indices = [self.vocabulary.speaker_index(choice["speaker"]) for choice in choices]
        return super().batch(choices, waveform)._replace(speaker=torch.tensor(indices, device=waveform.device))

    def names(self, batch: Batch, row: int) -> dict[str, Any]:
        """The speaker's name."""
        assert batch.speaker is not None
        return {"speaker": self.vocabulary.speakers[int(batch.speaker[row])]}

    def named_axes(self) -> Mapping[str, tuple[Names, ...]]:
        """A column of the projection, or a row of the embedding, a speaker."""
        speakers = self.vocabulary.speakers
        if self.embedding:
            return {"voices.weight": (speakers, None)}
        return {"backbone.stack.global_projection.weight": (None, speakers)}
