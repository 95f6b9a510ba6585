"""Syllables by the maximal onset, against divisions worked by hand."""

from __future__ import annotations

import pytest

from lightning_wavenet.errors import RequestError
from lightning_wavenet.text import Lexicon
from lightning_wavenet.text.structure import part_of_speech, structure, syllabified
from lightning_wavenet.text.syllables import can_begin, syllables

BY_HAND = {
    "EH1 K S T R AH0": "EH1 K . S T R AH0",  # extra
    "K AH0 N S T R AH1 K T": "K AH0 N . S T R AH1 K T",  # construct
    "AE1 S T R AH0 N AO2 T": "AE1 . S T R AH0 . N AO2 T",  # astronaut
    "M IH1 L Y AH0 N": "M IH1 L . Y AH0 N",  # million
    "V AE1 L Y UW0": "V AE1 . L Y UW0",  # value
    "IH0 N K W AY1 ER0": "IH0 N . K W AY1 . ER0",  # enquire
    "S IH1 NG IH0 NG": "S IH1 NG . IH0 NG",  # singing
    "AE1 T L AH0 S": "AE1 T . L AH0 S",  # atlas
    "AE1 ER0 AH0": "AE1 . ER0 . AH0",
    "S T R EH1 NG K TH S": "S T R EH1 NG K TH S",  # strengths
    "M EH1 ZH ER0": "M EH1 . ZH ER0",  # measure
    "AO1 F L IY0": "AO1 . F L IY0",  # awfully
    "HH M": "HH M",
    "": "",
    # TIMIT: button with a syllabic n, and a flap.
    "b ah dx en": "b ah . dx en",
}


@pytest.mark.parametrize(("phones", "divided"), BY_HAND.items())
def test_words_are_divided_as_by_hand(phones, divided):
    parts = [" ".join(phones.split()[start:end]) for start, end in syllables(phones.split())]
    assert " . ".join(parts) == divided


def test_every_onset_in_the_dictionary_is_legal_and_the_longest_that_is():
    """Of each hundredth entry: the sum of the parts is the word, and one more consonant would be no onset."""
    lexicon = Lexicon.cmudict()
    divided = 0
    for word in [word for word in lexicon._entries if word.isalpha()][::100]:
        said = lexicon.pronounce(word)
        parts = syllables(said)
        assert [phone for start, end in parts for phone in said[start:end]] == list(said)
        assert len(parts) == max(1, sum(phone[-1].isdigit() for phone in said))
        for start, end in parts[1:]:
            nucleus = next(at for at in range(start, end) if said[at][-1].isdigit())
            assert can_begin(said[start:nucleus], said[nucleus])
            before = said[start - 1]
            assert before[-1].isdigit() or not can_begin(said[start - 1 : nucleus], said[nucleus])
            divided += 1
    assert divided > 1_000


def test_stress_is_of_the_syllable_and_vowels_are_named():
    word = syllabified("astronaut", "AE1 S T R AH0 N AO2 T".split())
    assert [(part.stress, part.vowel, part.spelled) for part in word.syllables] == [
        (1, "AE", "AE1"),
        (0, "AH", "S T R AH0"),
        (2, "AO", "N AO2 T"),
    ]
    assert word.phones == "AE S T R AH N AO T".split()


def test_a_text_has_the_phrases_of_its_punctuation_and_silences_where_words_meet():
    found = structure("The cat, who sat.")
    assert [[word.text for word in phrase] for phrase in found.phrases] == [["the", "cat"], ["who", "sat"]]
    labels = [segment.label for segment in found.segments]
    assert labels == "sil DH AH sil K AE T sil HH UW sil S AE T sil".split()
    assert [segment.place for segment in found.segments][1:6] == [
        (0, 0, 0, 0),
        (0, 0, 0, 1),
        None,
        *[(0, 1, 0, 0)],
        (0, 1, 0, 1),
    ]
    with pytest.raises(RequestError, match="no word to say"):
        structure("...")
    with pytest.raises(ValueError, match="segment 1 is the phone DH"):
        found.without([0, 1])


def test_what_is_written_alike_is_said_as_its_neighbors_have_it():
    spoken = structure("To record the record.").phrases[0]
    assert [" ".join(word.phones) for word in spoken] == ["T UW", "R AH K AO R D", "DH AH", "R EH K ER D"]
    # The verb's second syllable is stressed, the noun's first.
    assert [[part.stress for part in spoken[place].syllables] for place in (1, 3)] == [[0, 1], [1, 0]]


def test_function_words_are_told_from_content_words():
    said = {word: part_of_speech(word) for word in ("the", "didn't", "it's", "they'll", "would", "dogs", "of", "who")}
    assert said == {
        "the": "det",
        "didn't": "aux",
        "it's": "pps",
        "they'll": "pps",
        "would": "md",
        "dogs": "content",
        "of": "in",
        "who": "wp",
    }
