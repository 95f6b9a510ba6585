"""What all models share: a vocabulary, what they ask of a corpus, and which weights belong to which names."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from lightning_wavenet.data.batch import Request
from lightning_wavenet.data.vocabulary import Vocabulary

Names = Sequence[str] | None
"""What the entries of an axis of a weight stand for; None where they stand for nothing that has a name."""


class Model(nn.Module, ABC):
    """A net and the vocabulary of the corpus that it is trained on.

    Constructor arguments are kept as attributes of the same names, from which a checkpoint rebuilds the model.

    Attributes:
        checkpoint: The file that it was loaded from.
        step: Training step of that file.

    Args:
        vocabulary: Names, rate and frame settings of the corpus.
    """

    checkpoint: Path | None = None
    step: int | None = None

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.vocabulary = vocabulary

    @property
    @abstractmethod
    def request(self) -> Request:
        """What the model asks of a corpus."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def named_axes(self) -> Mapping[str, tuple[Names, ...]]:
        """For each weight that has entries for names of the vocabulary, what the entries of its axes stand for."""
        return {}

    def digest(self) -> str:
        """SHA-256 of the weights, by which a clip tells what it was generated from."""
        digest = hashlib.sha256()
        for name, value in sorted(self.state_dict().items()):
            digest.update(name.encode() + value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()
