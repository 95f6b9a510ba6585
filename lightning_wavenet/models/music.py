"""Music (section 3.3): of any kind, or of the kind that tags say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lightning_wavenet.backbone import Conditions, WaveNet
from lightning_wavenet.data.batch import Batch
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.models.generation import GenerativeModel
from lightning_wavenet.models.model import Names


class MusicModel(GenerativeModel):
    """p(x | h) of equation (3) with h the tags of a clip, as a vector of ones and zeros: a bias a tag in every layer.

    A vector of zeros says nothing: music of any kind.

    Args:
        backbone: The net; its global_channels is the number of tags, or 0 for a model that is told none.
        vocabulary: Names the tags.

    Raises:
        ValueError: The net does not fit the tags.
    """

    def __init__(self, backbone: WaveNet, vocabulary: Vocabulary) -> None:
        if backbone.upsampling is not None:
            raise ValueError("the model gives its backbone no frames: leave out its upsampling")
        if backbone.global_channels not in (0, len(vocabulary.tags)):
            raise ValueError(
                f"tags need one global channel each: there are {len(vocabulary.tags)} tags, and "
                f"backbone.global_channels is {backbone.global_channels}"
            )
        super().__init__(backbone, vocabulary)

    @property
    def told(self) -> bool:
        """Whether it is told tags."""
        return self.backbone.global_channels > 0

    @property
    def fields(self) -> frozenset[str]:
        """The tags, where it is told some."""
        return frozenset({"tags"}) if self.told else frozenset()

    def condition(self, batch: Batch) -> Conditions:
        """The tags of each clip, `[B, tags]`."""
        if not self.told:
            return Conditions()
        if batch.tags is None:
            raise RequestError("the model is conditioned on tags, and the batch has none")
        return Conditions(global_condition=batch.tags.to(next(self.parameters()).dtype))

    def unconditioned(self) -> Tensor:
        """No tags, as a clip has that is trained on without them."""
        if not self.told:
            return super().unconditioned()
        return torch.zeros(len(self.vocabulary.tags))

    def choices(self, given: Mapping[str, str]) -> list[dict[str, str]]:
        """One: all tags of `given["tags"]`, joined by commas, together; no tag where none is given.

        Raises:
            RequestError: The model is told no tags, or does not know one.
        """
        if not self.told:
            return super().choices(given)
        super().choices({name: value for name, value in given.items() if name != "tags"})
        tags = list(dict.fromkeys(tag.strip() for tag in given.get("tags", "").split(",") if tag.strip()))
        for tag in tags:
            self.vocabulary.tag_index(tag)
        return [{"tags": ",".join(tags)} if tags else {}]

    def batch(self, choices: Sequence[Mapping[str, str]], waveform: Tensor) -> Batch:
        """As `GenerativeModel.batch`, with tags where it is told some."""
        batch = super().batch(choices, waveform)
        if not self.told:
            return batch
        rows = [choice.get("tags", "").split(",") for choice in choices]
        tags = torch.tensor([[name in row for name in self.vocabulary.tags] for row in rows])
        ids = ["_".join(row).replace(" ", "-") for row in rows]
        return batch._replace(tags=tags.float().to(self.device), ids=ids)

    def names(self, batch: Batch, row: int) -> dict[str, Any]:
        """The names of the tags, where it is told some."""
        if batch.tags is None or not self.told:
            return {}
        held = batch.tags[row].tolist()
        return {"tags": [name for name, holds in zip(self.vocabulary.tags, held, strict=True) if holds]}

    def named_axes(self) -> Mapping[str, tuple[Names, ...]]:
        """A column of the projection a tag."""
        return {"backbone.stack.global_projection.weight": (None, self.vocabulary.tags)} if self.told else {}
