"""Music (section 3.3): conditioned on nothing, or on tags such as its instruments, genre and tempo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from rapidfuzz import process
from torch import Tensor

from lightning_wavenet.backbone import Conditions, WaveNet
from lightning_wavenet.data.batch import Batch
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.models.generation import GenerativeModel
from lightning_wavenet.models.model import Names


class MusicModel(GenerativeModel):
    """p(x), or p(x | h) of equation (3) with h the binary vector of tags, which shifts the gates as biases do.

    Args:
        backbone: The net; its global_channels is the number of tags, or 0 for music without.
        vocabulary: Names the tags.
    """

    def __init__(self, backbone: WaveNet, vocabulary: Vocabulary) -> None:
        super().__init__(backbone, vocabulary)
        tags = len(vocabulary.tags)
        if backbone.global_channels not in (0, tags):
            raise ValueError(f"a net has a global channel a tag: {tags} tags, {backbone.global_channels} channels")

    @property
    def fields(self) -> frozenset[str]:
        """The tags, where the net is told them."""
        return frozenset({"tags"}) if self.backbone.global_channels else frozenset()

    def condition(self, batch: Batch) -> Conditions:
        """The tags of each clip, `[B, tags]`."""
        if not self.backbone.global_channels:
            return Conditions()
        if batch.tags is None:
            raise RequestError("the model is conditioned on tags, and the batch has none")
        return Conditions(global_condition=batch.tags.to(next(self.parameters()).dtype))

    def unconditioned(self) -> Tensor:
        """No tags at all, as of clips without any and of those whose tags were left out in training."""
        if not self.backbone.global_channels:
            return super().unconditioned()
        return torch.zeros(len(self.vocabulary.tags))

    def choices(self, given: Mapping[str, str]) -> list[dict[str, str]]:
        """One: the tags of `given["tags"]`, joined by commas, or none.

        Raises:
            RequestError: One of them is not known.
        """
        if not self.backbone.global_channels:
            return super().choices(given)
        super().choices({name: value for name, value in given.items() if name != "tags"})
        chosen = dict.fromkeys(tag.strip() for tag in given.get("tags", "").split(",") if tag.strip())
        for tag in chosen:
            if tag not in self.vocabulary.tags:
                near = ", ".join(name for name, *_ in process.extract(tag, self.vocabulary.tags, limit=5))
                raise RequestError(f"the model knows no tag {tag!r}; near it are {near}")
        return [{"tags": ",".join(chosen)}]

    def batch(self, choices: Sequence[Mapping[str, str]], waveform: Tensor) -> Batch:
        """As `GenerativeModel.batch`, with tags where the net is told them."""
        batch = super().batch(choices, waveform)
        if not self.backbone.global_channels:
            return batch
        chosen = [choice["tags"].split(",") for choice in choices]
        tags = torch.tensor([[float(tag in names) for tag in self.vocabulary.tags] for names in chosen])
        ids = ["_".join(names).replace(" ", "-") for names in chosen]
        return batch._replace(tags=tags.to(self.device), ids=ids)

    def names(self, batch: Batch, row: int) -> dict[str, Any]:
        """The tags."""
        if batch.tags is None or not self.backbone.global_channels:
            return {}
        told = batch.tags[row].tolist()
        return {"tags": [tag for tag, holds in zip(self.vocabulary.tags, told, strict=True) if holds]}

    def named_axes(self) -> Mapping[str, tuple[Names, ...]]:
        """A column of the projection a tag."""
        if not self.backbone.global_channels:
            return {}
        return {"backbone.stack.global_projection.weight": (None, self.vocabulary.tags)}
