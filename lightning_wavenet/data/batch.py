"""What passes between corpora and tasks: what a task asks for, and the batches that it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor


@dataclass(frozen=True)
class Request:
    """What a task asks of the batches of a corpus (`connect`).

    Attributes:
        fields: Which fields of `Batch` are wanted, beside waveform, mask and ids.
        history: Samples in front of what counts in the loss, a multiple of `hop`.
        hop: Samples that starts of crops are multiples of; also the step of `Batch.phones` and of `Batch.frames`.
        left_frames: Conditioning frames that come before the one of a crop's first sample.
        whole_clips: Whether clips must not be cut.
        phone_times: Whether phones are of no use without their times.
        waveform: Whether the audio is wanted; without it masks are over frames.
        features: What frames consist of, one feature after another, as a vocabulary describes them: with what a model
            has fitted, which counts in place of the corpus's own. Empty: all that the corpus has.
    """

    fields: frozenset[str] = frozenset()
    history: int = 0
    hop: int = 1
    left_frames: int = 0
    whole_clips: bool = False
    phone_times: bool = False
    waveform: bool = True
    features: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if min(self.history, self.left_frames) < 0 or self.hop < 1 or self.history % self.hop:
            raise ValueError(
                f"history and left_frames must not be negative, hop must be positive, and history a multiple of it, "
                f"got {self.history}, {self.left_frames} and {self.hop}"
            )


class Batch(NamedTuple):
    """A batch of B crops or whole clips of T samples, each beginning with the history that the task asked for.

    Fields that were not asked for are None. All crops of a batch have one length; what a clip does not fill is
    silence, and `target_mask` is False there.
    """

    waveform: Tensor | None
    """float32 `[B, T]` in [-1, 1]."""
    target_mask: Tensor
    """bool `[B, T]`: True on the samples that are to be predicted, False on history and padding. Without a waveform,
    `[B, N]` over frames."""
    ids: list[str]
    """The id of each crop's clip, B of them."""
    speaker: Tensor | None = None
    """int64 `[B]`: index into `Vocabulary.speakers`."""
    label: Tensor | None = None
    """int64 `[B]`: index into `Vocabulary.labels`, -1 where a clip has none."""
    tags: Tensor | None = None
    """float32 `[B, tags]`: 1 where a tag holds, in the order of `Vocabulary.tags`."""
    frames: Tensor | None = None
    """float32 `[B, F, left_frames + ceil(T / hop)]`: conditioning frames; frame left_frames + i stands at samples
    i * hop to (i + 1) * hop - 1, and is 0 where the clip has none."""
    phones: Tensor | None = None
    """int64 `[B, T // hop]`: index into `Vocabulary.phones` a frame, -1 where there is none."""
    transcript: Tensor | None = None
    """int64 `[B, L]`: the phones of the whole clip in their order, then -1."""
    optional: Tensor | None = None
    """bool `[B, L]`: True on phones of the transcript that may be left out, silences between words. Comes with
    `transcript`."""
    text: list[str] | None = None
    """What is said in each crop's clip, B of them."""
    others: dict[str, Any] | None = None
    """Fields that a corpus defines itself, by name."""

    @property
    def audio(self) -> Tensor:
        """The waveform of a batch that has one."""
        if self.waveform is None:
            raise ValueError("the batch has no waveform, which was not asked for")
        return self.waveform
