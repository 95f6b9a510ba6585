"""The phones of an alignment in the words of a text."""

from __future__ import annotations

import pytest

from lightning_wavenet.text.matching import Mismatch, matched, whole
from lightning_wavenet.text.phones import Phone

RATE = 1_000


def timed(labels: str, step: int = 100) -> list[Phone]:
    return [Phone(label, at * step, (at + 1) * step) for at, label in enumerate(labels.split())]


def words(text: str, labels: str) -> list[str]:
    """Each word with its phones, as they were matched."""
    phones = timed(labels)
    found = matched(text, phones, phones[-1].end, RATE).structure
    return [
        f"{word.text}: {' . '.join(part.spelled for part in word.syllables)}"
        for phrase in found.phrases
        for word in phrase
    ]


def test_phones_of_the_dictionary_are_found_in_any_of_its_ways_and_naming():
    assert words("The cat sat.", "sil DH IY0 sp K AE1 T S AE1 T") == ["the: DH IY0", "cat: K AE1 T", "sat: S AE1 T"]
    assert words("The cat sat.", "pau dh ax k ae t s ae t pau") == ["the: DH AH0", "cat: K AE1 T", "sat: S AE1 T"]


def test_a_careful_transcription_gives_every_word_its_sounds():
    """A flap, closures, a glottal stop, syllabic consonants, and a t that is not said; stress is the dictionary's."""
    said = "h# q ae tcl t ax l ih dx el bcl b ih tcl t bcl b ah tcl en q jh ah s h#"
    assert words("At a little bit button, just.", said) == [
        "at: AE1 T",
        "a: AH0",
        "little: L IH1 . T L0",
        "bit: B IH1 T",
        "button: B AH1 . T N0",
        "just: JH AH1 S",
    ]


def test_every_stretch_is_a_phone_or_a_silence_and_closures_belong_to_their_stops():
    phones = [Phone("tcl", 50, 60), Phone("t", 60, 80), Phone("sp", 90, 95), Phone("iy", 95, 120)]
    assert whole(phones, 150) == [
        Phone("sil", 0, 50),
        Phone("t", 50, 80),
        Phone("sil", 80, 95),
        Phone("iy", 95, 120),
        Phone("sil", 120, 150),
    ]


def test_segments_are_the_phones_one_for_one():
    phones = timed("sil HH AY sil DH EH R")
    found = matched("Hi there", phones, 800, RATE)
    assert [segment.label for segment in found.structure.segments] == "sil HH AY sil DH EH R sil".split()
    assert found.phones[-2:] == [Phone("R", 600, 700), Phone("sil", 700, 800)]
    assert [len(phrase) for phrase in found.structure.phrases] == [2]


@pytest.mark.parametrize(
    ("text", "labels", "message"),
    [
        ("...", "DH AH", r"^text that cannot be pronounced \(no word to say in the text '\.\.\.'"),
        (
            "The cat",
            "DH AH sil tS AE T",
            r"^a phone of the alignment is no ARPAbet; .*symbols other \('tS' at 0\.30 s\)$",
        ),
        (
            "Seven clear vowels",
            "DH AH K AE T S AE T",
            r"^the alignment is not of the text: .* \(14 phones of the text, 8 ",
        ),
        (
            "The cat sat on a mat again",
            "DH AH K AE T S AE T AA N AH M AE T",
            r"^a word of the text has no phone .*'again'",
        ),
        ("Hi", "sil sil", r"^the alignment has nothing but silence"),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(text, labels, message):
    with pytest.raises(Mismatch, match=message):
        words(text, labels)
