"""How far the phones of hypotheses are from those of references."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from rapidfuzz.distance import Levenshtein
from torch import Tensor
from torchmetrics import Metric


class PhoneErrorRate(Metric):
    """Substitutions, deletions and insertions of the cheapest alignment, in a hundred phones of the references.

    Over all utterances together, so that a long one weighs more than a short one. May exceed 100.

    Attributes:
        table: int64 `[P + 1, P + 1]`: how often the reference's phone of the row is that of the column in the
            hypothesis. The last column counts deletions, the last row insertions.

    Args:
        phones: P.
    """

    full_state_update = False
    table: Tensor

    def __init__(self, phones: int) -> None:
        super().__init__()
        self.phones = phones
        zeros = torch.zeros(phones + 1, phones + 1, dtype=torch.int64)
        self.add_state("table", default=zeros, dist_reduce_fx="sum")

    def update(self, hypothesis: Sequence[int], reference: Sequence[int]) -> None:
        """Adds an utterance: indices of its phones."""
        for block in Levenshtein.opcodes(reference, hypothesis):
            of_reference = list(reference[block.src_start : block.src_end])
            of_hypothesis = list(hypothesis[block.dest_start : block.dest_end])
            # Blocks of equal and of replaced phones have as many of the one as of the other.
            length = max(len(of_reference), len(of_hypothesis))
            rows = of_reference or [self.phones] * length
            columns = of_hypothesis or [self.phones] * length
            where = torch.tensor([rows, columns], device=self.table.device)
            self.table.index_put_(tuple(where), torch.ones_like(where[0]), accumulate=True)

    def compute(self) -> Tensor:
        """Percent."""
        return 100 * (self.table.sum() - self.table.trace()) / self.table[:-1].sum()
