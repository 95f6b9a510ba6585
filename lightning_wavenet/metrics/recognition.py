"""How far recognised phones are from those that were said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor
from torchmetrics import Metric


class PhoneErrorRate(Metric):
    """Substitutions, deletions and insertions of the cheapest alignment, in a hundred phones that were said.

    Over all utterances together, so that a long one weighs more than a short one. May exceed 100.
    """

    full_state_update = False
    substitutions: Tensor
    deletions: Tensor
    insertions: Tensor
    phones: Tensor

    def __init__(self) -> None:
        super().__init__()
        for count in ("substitutions", "deletions", "insertions", "phones"):
            self.add_state(count, default=torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, recognised: Sequence[str], said: Sequence[str]) -> None:
        """Adds an utterance."""
        kinds = Counter(edit.tag for edit in Levenshtein.editops(said, recognised))
        self.substitutions += kinds["replace"]
        self.deletions += kinds["delete"]
        self.insertions += kinds["insert"]
        self.phones += len(said)

    def compute(self) -> Tensor:
        """Percent."""
        return 100 * (self.substitutions + self.deletions + self.insertions) / self.phones


def confusions(recognised: Sequence[str], said: Sequence[str]) -> Counter[tuple[str | None, str | None]]:
    """How often each phone was recognised as which, in the cheapest alignment.

    Keys are (said, recognised); a deleted phone has None in the place of what was recognised, an inserted one in the
    place of what was said.
    """
    pairs: Counter[tuple[str | None, str | None]] = Counter()
    for block in Levenshtein.opcodes(said, recognised):
        before, after = said[block.src_start : block.src_end], recognised[block.dest_start : block.dest_end]
        if block.tag == "delete":
            pairs.update((phone, None) for phone in before)
        elif block.tag == "insert":
            pairs.update((None, phone) for phone in after)
        else:
            pairs.update(zip(before, after, strict=True))
    return pairs
