"""Speakers as a global condition (section 2.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_wavenet.data.batch import Batch
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.models.model import Names


class Voices(nn.Module):
    """h of equation (3) for a speaker: a one-hot vector, as the paper has it, or an embedding that is learned.

    Args:
        vocabulary: Names the speakers.
        channels: Width of the global condition: the number of speakers, or that of the embedding.
        embedding: Whether to learn one.

    Raises:
        ValueError: The width does not fit.
    """

    def __init__(self, vocabulary: Vocabulary, channels: int, embedding: bool = False) -> None:
        super().__init__()
        speakers = len(vocabulary.speakers)
        if not embedding and channels != speakers:
            raise ValueError(
                f"one-hot speakers need one global channel each: there are {speakers} speakers, and "
                f"backbone.global_channels is {channels}"
            )
        if embedding and not channels:
            raise ValueError("an embedding needs a width: set backbone.global_channels")
        self.vocabulary = vocabulary
        self.weight = nn.Parameter(torch.randn(speakers, channels)) if embedding else None

    @property
    def embedding(self) -> bool:
        """Whether it is learned."""
        return self.weight is not None

    def forward(self, batch: Batch) -> Tensor:
        """Of the speaker of each clip, `[B, channels]`."""
        if batch.speaker is None:
            raise RequestError("the model is conditioned on speakers, and the batch has none")
        if self.weight is not None:
            return F.embedding(batch.speaker, self.weight)
        return F.one_hot(batch.speaker, len(self.vocabulary.speakers)).float()

    def choices(self, given: Mapping[str, str]) -> list[dict[str, str]]:
        """One a speaker: those of `given["speaker"]`, joined by commas, or all.

        Raises:
            RequestError: One of them is not known.
        """
        chosen = dict.fromkeys(given["speaker"].split(",")) if "speaker" in given else self.vocabulary.speakers
        for name in chosen:
            self.vocabulary.speaker_index(name)
        return [{"speaker": name} for name in chosen]

    def indices(self, choices: Sequence[Mapping[str, str]]) -> Tensor:
        """Of the speakers that are chosen, int64 `[B]`."""
        return torch.tensor([self.vocabulary.speaker_index(choice["speaker"]) for choice in choices])

    def name(self, batch: Batch, row: int) -> str:
        """Of the speaker of a clip."""
        assert batch.speaker is not None
        return self.vocabulary.speakers[int(batch.speaker[row])]

    def named_axes(self, of: str) -> Mapping[str, tuple[Names, ...]]:
        """A row of the embedding a speaker, or a column of the net's projection.

        Args:
            of: Attribute of the model that holds this.
        """
        speakers = self.vocabulary.speakers
        if self.embedding:
            return {f"{of}.weight": (speakers, None)}
        return {"backbone.stack.global_projection.weight": (None, speakers)}
