"""Linguistic features (appendix B): what is said, where in syllable, word, phrase and utterance, and for how long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_wavenet.errors import RequestError
from lightning_wavenet.features.extractor import Extractor, Kept, Unusable, Utterance
from lightning_wavenet.text.full_context import FIELDS, Context, contexts, read_label
from lightning_wavenet.text.matching import Aligned, Mismatch, matched, whole
from lightning_wavenet.text.phones import Phone
from lightning_wavenet.text.pronunciation import Lexicon
from lightning_wavenet.text.structure import CONTENT, Structure
from lightning_wavenet.text.symbols import CONSONANTS, PHONES, SILENCE, VOWELS, arpabet

_SPOKEN = tuple(sorted((*PHONES, SILENCE)))
_AROUND = ("p1", "p2", "p3", "p4", "p5")
_NUMBERS = tuple(field for field in FIELDS if field.scale)
_WORDS = tuple(field for field in FIELDS if field.name in ("d1", "e1", "f1"))
_OF_PHONE = {"silence": (SILENCE,), "vowel": VOWELS, "consonant": CONSONANTS}
_IN_PHONE = ("part of phone", "frames since the phone's start", "frames to the phone's end", "frames of phone")
_LOG_SCALE = 5.0
"""The logarithm of 148 frames, 0.74 s at 5 ms."""
_LABEL_BYTES, _BYTES_A_NUMBER = 9, 3
"""A label is kept as numbers of 24 bits, which a float32 holds exactly."""
_LABEL_ROWS = _LABEL_BYTES // _BYTES_A_NUMBER
_END = _LABEL_ROWS * (len(_AROUND) + 1)
"""The row of the frame that comes after a phone, behind those of labels."""
_LATEST = 0.25
"""Seconds of a recording that an alignment may leave out at its end."""


class Timed(NamedTuple):
    """The phones of an utterance with all that is known of them."""

    contexts: Sequence[Context]
    ends: NDArray[np.int64]
    """One past the last sample of each phone; they follow each other from sample 0 without a gap."""


class Linguistic(Extractor):
    """Full-context features of the phone that a frame is in, and where in the phone it is.

    Channels: the phone, and two to each side, one-hot; whether it is a silence, a vowel or a consonant; the vowel of
    its syllable, one-hot; counts and positions in syllable, word, phrase and utterance, stress, accents and content
    words (`text.full_context.FIELDS`), each divided by a usual large value; and of the frame itself how far it is in
    its phone and how many frames that has, the latter as logarithms. What is not known, or does not apply, is 0.

    A phone that begins at sample s begins with frame floor(s / hop + 1/2); one that has no frame is seen by its
    neighbors alone.

    Words, syllables and phrases are those of the text, to whose words the phones of the alignment are matched; or those
    of the alignment's own full-context labels, where it has some.

    Args:
        hop: Samples a frame; 80 are 5 ms at 16 kHz.
        symbols: What phones are called. "arpabet": as in CMUdict, TIMIT, HTS or MFA's ARPAbet, all 39 and silence.
            "other": by any names, of which the corpus decides; nothing is known but the phones themselves then, and
            what full-context labels say.

    Attributes:
        phones: Names of the phones.
    """

    name = "linguistic"
    reads = frozenset({"phones", "text", "labels"})
    fitted = ("phones",)

    def __init__(self, hop: int = 80, symbols: Literal["arpabet", "other"] = "arpabet") -> None:
        if hop < 1:
            raise RequestError(f"linguistic: hop must be a positive number of samples, got {hop}")
        if symbols not in ("arpabet", "other"):
            raise RequestError(f"linguistic: symbols is arpabet or other, not {symbols}")
        self.hop = hop
        self.symbols: Literal["arpabet", "other"] = symbols
        self.phones: Sequence[str] = list(_SPOKEN) if symbols == "arpabet" else []

    @property
    def _vowels(self) -> Sequence[str]:
        return VOWELS if self.symbols == "arpabet" else ()

    @property
    def channel_names(self) -> Sequence[str]:
        """What each channel is: "phone: AH", "next phone: sil", "syllable in word", ..."""
        meaning = {field.name: field.meaning for field in FIELDS}
        return [
            *(f"{meaning[name]}: {phone}" for name in _AROUND for phone in self.phones),
            *_OF_PHONE,
            *(f"{meaning['b16']}: {vowel}" for vowel in self._vowels),
            *(field.meaning for field in _NUMBERS),
            *(f"{field.meaning.removeprefix('part of speech of ')} is a content word" for field in _WORDS),
            *_IN_PHONE,
        ]

    @property
    def channels(self) -> int:
        """As many as `channel_names`."""
        return len(self.channel_names)

    @property
    def phone_channels(self) -> slice:
        """Of the phone itself, one-hot."""
        first = _AROUND.index("p3") * len(self.phones)
        return slice(first, first + len(self.phones))

    @property
    def context_channels(self) -> int:
        """The first so many channels are the same through a phone; those in it come after them.

        Of these the second is 0 in a phone's first frame alone, and the last tells how many frames it has
        (`frames_of_phone`).
        """
        return self.channels - len(_IN_PHONE)

    # From a clip, and for speaking

    def extract(self, utterance: Utterance) -> NDArray[np.float32]:
        """What `keep` makes of a clip's alignment and text.

        Raises:
            Unusable: There is no alignment, or it is not of the clip or the text.
        """
        length, rate = len(utterance.waveform), utterance.sample_rate
        if not utterance.phones:
            raise Unusable("no phone times: set data.alignments to a folder of alignments, as wavenet align makes one")
        if length - utterance.phones[-1].end > _LATEST * rate:
            raise Unusable(
                "the alignment ends before its recording: align it again",
                f"at {utterance.phones[-1].end / rate:.2f} of {length / rate:.2f} s",
            )
        try:
            return self.keep(self.timed(utterance), length)
        except Mismatch as error:
            raise Unusable(error.reason, error.place) from error

    def timed(self, utterance: Utterance) -> Timed:
        """What is said when in a clip, and in which context.

        Raises:
            Mismatch: Its alignment is not of its text.
        """
        length = len(utterance.waveform)
        if utterance.labels:
            known = [read_label(label) for label in utterance.labels]
            return Timed(known, np.array([*(phone.start for phone in utterance.phones[1:]), length]))
        if self.symbols == "other":
            phones = whole(utterance.phones, length)
            return Timed(_bare([phone.label for phone in phones]), np.array([phone.end for phone in phones]))
        if not utterance.text:
            raise Mismatch("phone times without a text, which words and syllables are those of")
        lexicon = Lexicon.english(utterance.lexicon)
        aligned = matched(utterance.text, utterance.phones, length, utterance.sample_rate, lexicon)
        return self.aligned(aligned)

    def aligned(self, aligned: Aligned) -> Timed:
        """What a text and its alignment are together."""
        return Timed(contexts(aligned.structure), np.array([phone.end for phone in aligned.phones]))

    def spoken(self, structure: Structure, durations: Sequence[int]) -> Timed:
        """A text that is to be spoken.

        Args:
            structure: Of the text.
            durations: Of each of its segments (samples); silences of 0 are none.

        Raises:
            ValueError: Numbers of segments and durations differ, or a duration is negative or that of a phone 0.
        """
        if len(durations) != len(structure.segments) or min(durations, default=0) < 0:
            raise ValueError(f"{len(structure.segments)} segments need as many durations of 0 or more samples")
        none = [at for at, duration in enumerate(durations) if not duration]
        left = [duration for duration in durations if duration]
        return Timed(contexts(structure.without(none)), np.cumsum(left))

    def keep(self, timed: Timed, length: int) -> NDArray[np.float32]:
        """What is kept of an utterance, `[K, phones]`.

        Args:
            timed: Its phones.
            length: Of the audio (samples); the last phone lasts to its end.

        Raises:
            Mismatch: A phone has a name that is not one of the set.
        """
        kept = np.zeros((_END + 1 + len(_NUMBERS) + len(_WORDS), len(timed.contexts)), np.float32)
        for at, context in enumerate(timed.contexts):
            for place, name in enumerate((*_AROUND, "b16")):
                label = context[name]
                if isinstance(label, str):
                    kept[place * _LABEL_ROWS : (place + 1) * _LABEL_ROWS, at] = _as_numbers(self._named(label, at))
            numbers = [context[field.name] or 0 for field in _NUMBERS]
            kept[_END + 1 :, at] = numbers + [float(context[field.name] == CONTENT) for field in _WORDS]
        ends = np.floor(timed.ends / self.hop + 0.5)
        ends[-1] = -(-length // self.hop)
        kept[_END] = np.minimum(ends, ends[-1])
        return kept

    def _named(self, label: str, at: int) -> str:
        if self.symbols == "other":
            name = SILENCE if arpabet(label) == SILENCE else label
            if len(name.encode()) > _LABEL_BYTES:
                raise Mismatch(f"a phone's name is longer than {_LABEL_BYTES} bytes", repr(label))
            return name
        found = arpabet(label)
        if found is None:
            raise Mismatch(
                "a phone is no ARPAbet; for phones of another set say data.features.symbols other",
                f"{label!r}, phone {at + 1}",
            )
        return found

    # Frames

    def fit(self, clips: Iterable[Kept]) -> Self:
        """With the phones that a corpus has, where the set is another than ARPAbet."""
        if self.symbols == "arpabet":
            return self
        rows = {
            tuple(column)
            for clip in clips
            if clip.frames.size
            for column in clip.frames[2 * _LABEL_ROWS : 3 * _LABEL_ROWS].T.tolist()
        }
        return self.with_fitted(phones=sorted({SILENCE, *map(_as_label, rows)}))

    def adopt(self, fitted: Mapping[str, Any]) -> Self:
        """With a model's phones.

        Raises:
            RequestError: The corpus has others.
        """
        if new := sorted(set(self.phones) - set(fitted["phones"])):
            raise RequestError(
                f"the corpus has phones that the model does not know ({', '.join(new[:10])}): train with these, or "
                "align the corpus with the model's phones"
            )
        return super().adopt(fitted)

    def expand(self, kept: NDArray[np.float32], first: int, stop: int, speaker: str = "") -> NDArray[np.float32]:
        """Frames first to stop - 1, `[F, n]`."""
        ends = kept[_END].astype(np.int64)
        frames = np.arange(first, min(stop, int(ends[-1])))
        # Of phones without a frame, which end where they begin, the search takes the one after them.
        phone = np.searchsorted(ends, frames, side="right")
        used, of = np.unique(phone, return_inverse=True)
        rows = self._rows(kept[:, used])
        starts = np.concatenate([[0], ends])[phone]
        since, count = frames - starts, ends[phone] - starts
        within = np.stack(
            [
                (since + 0.5) / np.maximum(count, 1),
                np.log1p(since) / _LOG_SCALE,
                np.log1p(count - since - 1) / _LOG_SCALE,
                np.log1p(count) / _LOG_SCALE,
            ]
        )
        return np.concatenate([rows[:, of], within.astype(np.float32)])

    def _rows(self, kept: NDArray[np.float32]) -> NDArray[np.float32]:
        """All channels but those within the phone, of some phones: `[F - 4, phones]`."""
        labels = [list(map(_as_label, kept[at : at + _LABEL_ROWS].T.tolist())) for at in range(0, _END, _LABEL_ROWS)]
        parts = [_one_hot(labels[place], self.phones) for place in range(len(_AROUND))]
        if self.symbols == "arpabet":
            parts.append(
                np.array([[label in members for label in labels[2]] for members in _OF_PHONE.values()], np.float32)
            )
        else:
            silent = [[label == SILENCE for label in labels[2]]]
            parts.append(np.concatenate([np.array(silent, np.float32), np.zeros((2, kept.shape[1]), np.float32)]))
        parts.append(_one_hot(labels[-1], self._vowels))
        parts.append(kept[_END + 1 :] / self._scales)
        return np.concatenate(parts)

    @cached_property
    def _scales(self) -> NDArray[np.float32]:
        scales = [field.scale for field in _NUMBERS] + [1.0] * len(_WORDS)
        return np.array(scales, np.float32)[:, None]

    def frames(self, timed: Timed, length: int) -> NDArray[np.float32]:
        """All frames of an utterance, `[F, ceil(length / hop)]`.

        Args:
            timed: Its phones.
            length: Of its audio (samples).

        Raises:
            Mismatch: A phone has a name that is not one of the set.
        """
        return self.expand(self.keep(timed, length), 0, -(-length // self.hop))

    def told(self, frame: NDArray[np.floating[Any]]) -> dict[str, str]:
        """A frame `[F]` in words: what is set of one-hot channels, and counts as they were before they were divided."""
        meaning = {field.name: field.meaning for field in FIELDS}
        blocks = [(meaning[name], self.phones) for name in _AROUND]
        found: dict[str, str] = {}
        at = 0
        for title, names in [*blocks, ("kind", list(_OF_PHONE)), (meaning["b16"], self._vowels)]:
            set_ = np.flatnonzero(frame[at : at + len(names)])
            found[title] = names[int(set_[0])] if len(set_) else "-"
            at += len(names)
        rest = list(self.channel_names)[at:]
        numbers = len(rest) - len(_IN_PHONE)
        for title, value, scale in zip(rest[:numbers], frame[at:], self._scales[:, 0], strict=False):
            found[title] = f"{float(value * scale):.0f}"
        part, *logs = frame[at + numbers :]
        found[_IN_PHONE[0]] = f"{float(part):.3f}"
        for title, value in zip(_IN_PHONE[1:], logs, strict=True):
            found[title] = f"{float(np.expm1(value * _LOG_SCALE)):.0f}"
        return found


def frames_of_phone(channel: Tensor) -> Tensor:
    """How many frames a phone has, from the last of its channels."""
    return torch.expm1(channel * _LOG_SCALE)


def _bare(labels: Sequence[str]) -> list[Context]:
    """Contexts of which nothing is known but the phones."""
    found: list[Context] = []
    for at in range(len(labels)):
        context: dict[str, str | int | None] = dict.fromkeys((field.name for field in FIELDS), None)
        for step, name in enumerate(_AROUND, -2):
            if 0 <= at + step < len(labels):
                context[name] = labels[at + step]
        found.append(context)
    return found


def _as_numbers(label: str) -> NDArray[np.float32]:
    """A label as `_LABEL_ROWS` whole numbers."""
    padded = np.frombuffer(label.encode().ljust(_LABEL_BYTES, b"\0"), np.uint8).reshape(-1, _BYTES_A_NUMBER)
    return (padded @ np.array([1, 1 << 8, 1 << 16])).astype(np.float32)


def _as_label(numbers: Sequence[float]) -> str:
    """The inverse of `_as_numbers`."""
    return b"".join(int(one).to_bytes(_BYTES_A_NUMBER, "little") for one in numbers).rstrip(b"\0").decode()


def _one_hot(labels: Sequence[str], names: Sequence[str]) -> NDArray[np.float32]:
    """`[names, labels]`; nothing is set for a label that is no name."""
    return np.array([[label == name for label in labels] for name in names], np.float32).reshape(
        len(names), len(labels)
    )


def from_labels(labels: Sequence[str], phones: Sequence[Phone], length: int) -> Timed:
    """What full-context labels say, of phones that follow each other.

    Raises:
        ValueError: One of them is no such label.
    """
    return Timed([read_label(label) for label in labels], np.array([*(one.start for one in phones[1:]), length]))
