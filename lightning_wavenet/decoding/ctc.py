"""Prefix beam search over the outputs of connectionist temporal classification (CTC)."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from lightning_wavenet.decoding.bigram import Bigram


def prefix_beam(
    scores: NDArray[np.floating],
    blank: int,
    width: int = 16,
    bigram: Bigram | None = None,
    weight: float = 1.0,
    insertion: float = 0.0,
) -> list[int]:
    """The likeliest sequence of phones: all paths of frames that collapse to it count.

    Args:
        scores: `[N, P + 1]`: log-probabilities of phones and of the blank.
        blank: Index of the blank.
        width: Sequences that are kept from frame to frame.
        bigram: Of the P phones, numbered as if there were no blank; None for no language model.
        weight: Of the bigram's log-probabilities.
        insertion: Added for each phone.

    Returns:
        Phones, numbered as in `scores`.
    """
    phones = [phone for phone in range(scores.shape[1]) if phone != blank]
    place = {phone: index for index, phone in enumerate(phones)}

    def language(prefix: tuple[int, ...], phone: int) -> float:
        if bigram is None:
            return insertion
        log = bigram.follow[place[prefix[-1]], place[phone]] if prefix else bigram.start[place[phone]]
        return insertion + weight * float(log)

    # By sequence: log-probability of the paths that end in a blank, and of those that end in the last phone.
    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -np.inf)}
    for frame in scores:
        ending_in_blank: defaultdict[tuple[int, ...], float] = defaultdict(lambda: -np.inf)
        ending_in_phone: defaultdict[tuple[int, ...], float] = defaultdict(lambda: -np.inf)
        for prefix, (blanks, repeats) in beam.items():
            whole = np.logaddexp(blanks, repeats)
            ending_in_blank[prefix] = np.logaddexp(ending_in_blank[prefix], whole + frame[blank])
            if prefix:
                ending_in_phone[prefix] = np.logaddexp(ending_in_phone[prefix], repeats + frame[prefix[-1]])
            for phone in phones:
                # The phone that a sequence ends in begins anew only after a blank.
                come = blanks if prefix and phone == prefix[-1] else whole
                if come > -np.inf:
                    longer = (*prefix, phone)
                    gained = come + frame[phone] + language(prefix, phone)
                    ending_in_phone[longer] = np.logaddexp(ending_in_phone[longer], gained)
        found = {
            prefix: (ending_in_blank[prefix], ending_in_phone[prefix])
            for prefix in ending_in_blank.keys() | ending_in_phone.keys()
        }
        kept = sorted(found, key=lambda prefix: (-np.logaddexp(*found[prefix]), prefix))[:width]
        beam = {prefix: found[prefix] for prefix in kept}

    def total(prefix: tuple[int, ...]) -> float:
        end = weight * float(bigram.end[place[prefix[-1]]]) if bigram is not None and prefix else 0.0
        return float(np.logaddexp(*beam[prefix])) + end

    best: tuple[int, ...] = max(beam, key=total)
    return list(best)
