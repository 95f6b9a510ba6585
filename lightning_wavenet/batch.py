"""What passes from a corpus to a task: one batch of audio clips and what is known of them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """A batch of B crops or whole clips of T samples, each beginning with the context that the model asked for.

    Fields that a corpus does not have, or a task does not use, are None. All crops of a batch have one length;
    what a clip does not fill is silence, and `target_mask` is False there.
    """

    waveform: Tensor
    """float32 `[B, T]` in [-1, 1]."""
    target_mask: Tensor
    """bool `[B, T]`: True on the samples that are to be predicted, False on context and padding."""
    ids: list[str]
    """The id of each crop's clip, B of them."""
    speaker: Tensor | None = None
    """int64 `[B]`: index into `Vocabulary.speakers`."""
    label: Tensor | None = None
    """int64 `[B]`: index into `Vocabulary.labels`, -1 where a clip has none."""
    tags: Tensor | None = None
    """float32 `[B, tags]`: 1 where a tag holds, in the order of `Vocabulary.tags`."""
    frames: Tensor | None = None
    """float32 `[B, F, T // hop]`: conditioning frames; frame i stands at samples i * hop to (i + 1) * hop - 1."""
    phones: Tensor | None = None
    """int64 `[B, T // frame]`: index into `Vocabulary.phones` a frame, -1 where there is none; frame i stands at
    samples i * frame to (i + 1) * frame - 1."""
    transcript: Tensor | None = None
    """int64 `[B, L]`: the phones of the whole clip in their order, then -1."""
    optional: Tensor | None = None
    """bool `[B, L]`: True on phones of the transcript that may be left out, silences between words."""
    text: list[str] | None = None
    """What is said in each crop's clip, B of them."""
