"""What is known of a clip beside its audio: of each field how it is kept, what its names are, and what a batch has.

A new field is one class, and an instance of it in the `fields` of its corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import datasets
import numpy as np
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.clips import Clips
from datamodules.phone_times import Alignment, read_alignment
from datamodules.records import Problem, Record
from datamodules.tables import stamp
from datamodules.transcripts import SPOKEN, UNKNOWN, Transcript, by_hand, frame_labels, has_words, transcript
from lightning_wavenet.text.phones import SILENCE, Phone

_TOO_LONG = "alignment that ends after its recording: it is of another, or of another sample rate"
_SLACK_SECONDS = 0.05

WORDLESS = "text without a word that can be pronounced"
"""Said of such clips."""

_TEXT = datasets.Value("string")


class Window(NamedTuple):
    """A stretch of a clip that goes into a batch."""

    clips: Clips
    clip: int
    start: int
    """First sample; negative before the clip."""
    stop: int
    """One past the last sample; beyond the clip it is silence."""
    hop: int
    left_frames: int
    names: tuple[str, ...]
    """Of the field, in the vocabulary."""


class Field:
    """Something that is known of a clip; as it stands, a value that passes to the batch as a list.

    Attributes:
        name: Of the attribute of `Record` and `Batch`, or of the entry in their `others`.
        kind: Type of its column in the table of labels.
        named: Whether its values are names, which the vocabulary lists and a batch has as indices.
    """

    name: ClassVar[str]
    kind: ClassVar[Any] = _TEXT
    named: ClassVar[bool] = False

    def columns(self) -> dict[str, Any]:
        """Names and types of its columns."""
        return {self.name: self.kind}

    def stored(self, record: Record) -> dict[str, Any]:
        """What its columns have of a record, in plain values."""
        value = record.others[self.name] if self.name in record.others else getattr(record, self.name)
        return {self.name: list(value) if isinstance(value, tuple) else value}

    def depends(self, record: Record) -> Any:
        """What `stored` depends on, as something that prints in full."""
        return self.stored(record)

    def problems(self, clips: Clips) -> list[Problem]:
        """What could not be read of it."""
        return []

    def value(self, stored: Mapping[str, Any], clips: Clips, clip: int) -> Any:
        """Its value for a clip, from what its columns have."""
        return stored[self.name]

    def names(self, clips: Clips) -> tuple[str, ...]:
        """What `Window.names` has: by default all values, sorted, but for empty ones."""
        return tuple(sorted({value for value in clips.values(self.name) if value}))

    def known(self, clips: Clips) -> NDArray[np.bool_]:
        """Of which clips it is known; others are left out where it is asked for."""
        return np.ones(len(clips), np.bool_)

    def cut(self, value: Any, window: Window) -> Any:
        """What an element of a batch has of it."""
        return value

    def collate(self, values: Sequence[Any]) -> dict[str, Any]:
        """Fields of a batch, from what its elements have."""
        return {self.name: list(values)}


class Text(Field):
    """What is said."""

    name = "text"


class Speaker(Field):
    """Who speaks, as an index."""

    name = "speaker"
    named = True

    def known(self, clips: Clips) -> NDArray[np.bool_]:
        """Where the corpus says who speaks."""
        return np.array([bool(speaker) for speaker in clips.values(self.name)])

    def cut(self, value: str, window: Window) -> int:
        """The index of the name."""
        return window.names.index(value)

    def collate(self, values: Sequence[int]) -> dict[str, Tensor]:
        """int64 `[B]`."""
        return {self.name: torch.tensor(values)}


class Label(Field):
    """A class, as an index; -1 where a clip has none."""

    name = "label"
    named = True

    def cut(self, value: str, window: Window) -> int:
        """The index of the name."""
        return window.names.index(value) if value in window.names else UNKNOWN

    def collate(self, values: Sequence[int]) -> dict[str, Tensor]:
        """int64 `[B]`."""
        return {self.name: torch.tensor(values)}


class Tags(Field):
    """What holds of a clip, as ones and zeros."""

    name = "tags"
    kind = datasets.List(_TEXT)
    named = True

    def names(self, clips: Clips) -> tuple[str, ...]:
        """All tags, sorted."""
        return tuple(sorted({tag for tags in clips.values(self.name) for tag in tags}))

    def cut(self, value: list[str], window: Window) -> NDArray[np.float32]:
        """float32 `[tags]`."""
        return np.array([name in value for name in window.names], np.float32)

    def collate(self, values: Sequence[NDArray[np.float32]]) -> dict[str, Tensor]:
        """float32 `[B, tags]`."""
        return {self.name: torch.from_numpy(np.stack(values))}


class Phones(Field):
    """What is said when: the phone in the middle of every frame.

    Args:
        all_names: Names that the vocabulary has, whether or not they occur.
        fold: What a label of an alignment becomes; None leaves it out.
    """

    name = "phones"
    named = True

    def __init__(self, all_names: Sequence[str] = (), fold: Callable[[str], str | None] | None = None) -> None:
        self.all_names = tuple(all_names)
        self.fold = fold

    def columns(self) -> dict[str, Any]:
        """Phones with their times, in which part of a second these are, labels, and why they could not be read."""
        number = datasets.Value("int64")
        phones = datasets.List({"label": _TEXT, "start": number, "end": number})
        return {
            self.name: phones,
            "phone_rate": number,
            "phone_labels": datasets.List(_TEXT),
            "phone_problem": _TEXT,
        }

    def stored(self, record: Record) -> dict[str, Any]:
        """The phones of the record, or of its alignment."""
        said, problem = Alignment(record.phones, record.phone_rate), None
        if record.alignment is not None:
            try:
                said = read_alignment(record.alignment)
                if self.fold is not None:
                    folded = [(self.fold(phone.label), phone) for phone in said.phones]
                    phones = tuple(phone._replace(label=label) for label, phone in folded if label is not None)
                    said = Alignment(phones, said.rate)
            except ValueError as error:
                said, problem = Alignment(()), f"alignment cannot be read: {error}"
        return {
            self.name: [phone._asdict() for phone in said.phones],
            "phone_rate": said.rate,
            "phone_labels": list(said.labels),
            "phone_problem": problem,
        }

    def depends(self, record: Record) -> Any:
        """The phones, or the file of the alignment."""
        if record.alignment is not None:
            return record.alignment.name, stamp(record.alignment), self.all_names
        return record.phones, record.phone_rate

    def problems(self, clips: Clips) -> list[Problem]:
        """Clips whose alignment cannot be read, or is of another recording: they stay, without phones."""
        found = clips.labels.data.column("phone_problem").to_numpy()[clips.rows]
        unread = [Problem(id, why) for id, why in zip(clips.ids, found, strict=True) if why is not None]
        return unread + [Problem(clips.ids[clip], _TOO_LONG) for clip in np.flatnonzero(self.too_long(clips)).tolist()]

    def too_long(self, clips: Clips) -> NDArray[np.bool_]:
        """Which alignments end after their recordings, where these are whole."""
        phones = clips.labels.data.column(self.name).combine_chunks()
        counts = pc.list_value_length(phones).to_numpy(zero_copy_only=False)
        last = np.cumsum(counts) - 1
        ends = np.append(pc.struct_field(pc.list_flatten(phones), "end").to_numpy(zero_copy_only=False), 0)
        rates = clips.labels.data.column("phone_rate").to_numpy().astype(np.float64)[clips.rows]  # NaN for none.
        files = clips.file_rates
        seconds = ends[last][clips.rows] / np.where(np.isnan(rates), files, rates)
        beyond = seconds > clips.lengths / clips.sample_rate + _SLACK_SECONDS
        too_long: NDArray[np.bool_] = beyond & (counts[clips.rows] > 0) & clips.whole
        return too_long

    def value(self, stored: Mapping[str, Any], clips: Clips, clip: int) -> list[Phone]:
        """Phones in samples of the clip; what was cut off has none."""
        return [phone for phone in self._placed(stored, clips, clip) if phone.end > phone.start]

    def labels(self, stored: Mapping[str, Any], clips: Clips, clip: int) -> list[str]:
        """The full-context labels of the same phones; none where there are none."""
        placed = self._placed(stored, clips, clip)
        labels = stored["phone_labels"]
        return [label for label, phone in zip(labels, placed, strict=True) if phone.end > phone.start] if labels else []

    def _placed(self, stored: Mapping[str, Any], clips: Clips, clip: int) -> list[Phone]:
        phones, rate = stored[self.name], stored["phone_rate"]
        seconds = phones[-1]["end"] / (rate or clips.file_rate(clip)) if phones else 0.0
        if clips.whole and seconds > clips.lengths[clip] / clips.sample_rate + _SLACK_SECONDS:
            return []  # As `too_long` has it.
        return [
            Phone(phone["label"], *(clips.place(clip, phone[at], rate) for at in ("start", "end"))) for phone in phones
        ]

    def timed(self, clips: Clips) -> NDArray[np.bool_]:
        """Which clips have phones with times."""
        lengths = pc.list_value_length(clips.labels.data.column(self.name).combine_chunks())
        timed: NDArray[np.bool_] = lengths.to_numpy(zero_copy_only=False)[clips.rows] > 0
        return timed & ~self.too_long(clips)

    def names(self, clips: Clips) -> tuple[str, ...]:
        """Those that have times, or else those of English texts, or given by hand in texts, and silence."""
        used = clips.labels.data.column(self.name).combine_chunks().take(clips.rows)
        timed = pc.unique(pc.struct_field(pc.list_flatten(used), "label")).to_pylist()
        if timed or self.all_names:
            return tuple(sorted({*timed, *self.all_names}))
        texts = [text for text in clips.values("text") if text]
        given = [by_hand(text) for text in texts]
        english = SPOKEN if any(not phones for phones in given) else ()
        return tuple(sorted({*english, SILENCE}.union(*given))) if texts else ()

    def known(self, clips: Clips) -> NDArray[np.bool_]:
        """Clips with times, or where none has these, with a word in their text."""
        timed = self.timed(clips)
        return timed if timed.any() else np.array([has_words(text) for text in clips.values("text")])

    def wordless(self, clips: Clips) -> list[str]:
        """Ids of clips whose phones are not known, although they have a text."""
        if self.timed(clips).any():
            return []
        texts = zip(clips.ids, clips.values("text"), strict=True)
        return [id for id, text in texts if text and not has_words(text)]

    def cut(self, value: list[Phone], window: Window) -> NDArray[np.int64]:
        """int64 `[N]`: of the whole frames of the window."""
        placed = [Phone(label, start - window.start, end - window.start) for label, start, end in value]
        return frame_labels(placed, window.names, (window.stop - window.start) // window.hop, window.hop)

    def collate(self, values: Sequence[NDArray[np.int64]]) -> dict[str, Tensor]:
        """int64 `[B, N]`."""
        return {self.name: padded(values, UNKNOWN)}


class PhoneLabels(Field):
    """The full-context labels of the phones, where their alignment has such."""

    name = "phone_labels"

    def columns(self) -> dict[str, Any]:
        """Those of the phones."""
        return Phones().columns()

    def stored(self, record: Record) -> dict[str, Any]:
        """Nothing of its own."""
        return {}

    def value(self, stored: Mapping[str, Any], clips: Clips, clip: int) -> list[str]:
        """A label a phone; empty where there are none."""
        phones = clips.fields["phones"]
        return phones.labels(stored, clips, clip) if isinstance(phones, Phones) else []


class SpokenPhones(Field):
    """The phones of the whole clip in their order: those that have times, or else those of the text."""

    name = "transcript"
    named = True

    def columns(self) -> dict[str, Any]:
        """None of its own."""
        return {}

    def stored(self, record: Record) -> dict[str, Any]:
        """Nothing."""
        return {}

    def value(self, stored: Mapping[str, Any], clips: Clips, clip: int) -> Transcript:
        """The transcript, in indices of the phones' names."""
        return transcript(clips.value("phones", clip), clips.value("text", clip), clips.names("phones"), clips.lexicon)

    def names(self, clips: Clips) -> tuple[str, ...]:
        """Those of the phones."""
        return clips.names("phones")

    def known(self, clips: Clips) -> NDArray[np.bool_]:
        """As the phones."""
        return clips.fields["phones"].known(clips)

    def collate(self, values: Sequence[Transcript]) -> dict[str, Tensor]:
        """int64 `[B, L]`, and bool `[B, L]`: which may be left out."""
        return {
            self.name: padded([value.phones for value in values], UNKNOWN),
            "optional": padded([value.optional for value in values], False),
        }


class Frames(Field):
    """Conditioning frames: the features of a clip, one after another."""

    name = "frames"

    def columns(self) -> dict[str, Any]:
        """None: every extractor has a table of its own."""
        return {}

    def stored(self, record: Record) -> dict[str, Any]:
        """Nothing."""
        return {}

    def value(self, stored: Mapping[str, Any], clips: Clips, clip: int) -> None:
        """Frames are read where they are cut."""

    def known(self, clips: Clips) -> NDArray[np.bool_]:
        """Where all features could be extracted."""
        usable = np.ones(len(clips), np.bool_)
        for table in clips.features:
            usable &= table.usable
        return usable

    def cut(self, value: None, window: Window) -> NDArray[np.float32]:
        """float32 `[F, left_frames + ceil(T / hop)]`."""
        first = window.start // window.hop - window.left_frames
        stop = -(-window.stop // window.hop)
        return np.concatenate([table.frames(window.clip, first, stop) for table in window.clips.features])

    def collate(self, values: Sequence[NDArray[np.float32]]) -> dict[str, Tensor]:
        """float32 `[B, F, N]`."""
        frames = np.zeros((len(values), len(values[0]), max(value.shape[1] for value in values)), np.float32)
        for row, value in enumerate(values):
            frames[row, :, : value.shape[1]] = value
        return {self.name: torch.from_numpy(frames)}


FIELDS: tuple[Field, ...] = (
    Speaker(),
    Label(),
    Tags(),
    Text(),
    Phones(),
    PhoneLabels(),
    SpokenPhones(),
    Frames(),
)
"""What every corpus may have."""


def padded(rows: Sequence[NDArray[Any]], padding: int) -> Tensor:
    """Rows of several lengths as one tensor, `[rows, longest]`."""
    whole = np.full((len(rows), max(map(len, rows))), padding, rows[0].dtype)
    for row, values in enumerate(rows):
        whole[row, : len(values)] = values
    return torch.from_numpy(whole)
