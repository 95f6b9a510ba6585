"""Ways to decode: what becomes of scores that are plain to read."""

from __future__ import annotations

import numpy as np
import pytest
from nets import build

from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.decoding import BestPath, Bigram, PrefixBeam, Segment, Token, Viterbi, between_blanks
from lightning_wavenet.models import PhoneRecognizer
from lightning_wavenet.models.encoders import ConvolutionalEncoder

FLAT = Bigram(np.full(2, np.log(0.5)), np.full((2, 2), np.log(1 / 3)), np.full(2, np.log(1 / 3)))
BLANK = 2


def heard(frames: str, classes: str) -> np.ndarray:
    """Scores of frames of which each is likeliest the class that its letter stands for."""
    likely = np.array([[letter == name for name in classes] for letter in frames])
    return np.log(np.where(likely, 0.9, 0.1 / (len(classes) - 1)))


def test_the_best_path_leaves_out_blanks_and_parts_what_they_part():
    found = BestPath().decode(heard("--aa-a-bb", "ab-"), FLAT, BLANK)
    assert found == [Segment(0, 2, 4), Segment(0, 5, 6), Segment(1, 7, 9)]
    assert BestPath().decode(heard("----", "ab-"), FLAT, BLANK) == []
    # Without a blank nothing is left out.
    assert BestPath().decode(heard("aabba", "ab"), FLAT, None) == [Segment(0, 0, 2), Segment(1, 2, 4), Segment(0, 4, 5)]


def test_viterbi_has_no_phones_that_are_too_short_or_that_cost_too_much():
    scores = heard("aaaabaaabbbba", "ab")
    assert Viterbi().decode(scores, FLAT, None) == [Segment(0, 0, 8), Segment(1, 8, 13)]
    alone = Viterbi(weight=0, insertion=-0.1, shortest=1).decode(scores, FLAT, None)
    assert alone == [Segment(0, 0, 4), Segment(1, 4, 5), Segment(0, 5, 8), Segment(1, 8, 12), Segment(0, 12, 13)]
    # A frame of the other phone gains log 9 = 2.2, for one phone more at the end, for two elsewhere.
    dear = Viterbi(weight=0, insertion=-1.5, shortest=1).decode(scores, FLAT, None)
    assert dear == [Segment(0, 0, 8), Segment(1, 8, 12), Segment(0, 12, 13)]
    assert Viterbi(weight=0, insertion=-9, shortest=1).decode(scores, FLAT, None) == [Segment(0, 0, 13)]
    assert Viterbi().decode(scores[:2], FLAT, None) == []


def test_viterbi_listens_to_the_bigram_as_much_as_it_is_told_to():
    scores = heard("aaabbb", "ab")
    never_b = Bigram(np.log([0.999, 0.001]), np.log([[0.5, 1e-9], [0.5, 0.5]]), np.log([0.5, 0.5]))
    assert Viterbi(weight=0).decode(scores, never_b, None) == [Segment(0, 0, 3), Segment(1, 3, 6)]
    assert [segment.phone for segment in Viterbi(weight=1).decode(scores, never_b, None)] in ([0], [0, 0])


def test_the_prefix_beam_has_the_times_of_its_likeliest_path():
    found = PrefixBeam(weight=0).decode(heard("--aa-a-bb", "ab-"), FLAT, BLANK)
    assert found == [Segment(0, 2, 4), Segment(0, 5, 6), Segment(1, 7, 9)]
    assert PrefixBeam(weight=0).decode(heard("---", "ab-"), FLAT, BLANK) == []
    assert PrefixBeam().decode(heard("", "ab-").reshape(0, 3), FLAT, BLANK) == []
    # The blank is the likeliest in both frames, 0.6 * 0.55 = 0.33, but all paths to an `a` come to 0.67.
    scores = np.log([[0.4, 1e-9, 0.6], [0.45, 1e-9, 0.55]])
    assert BestPath().decode(scores, FLAT, BLANK) == []
    # Of those -a comes to 0.6 * 0.45 = 0.27, a- to 0.22 and aa to 0.18.
    assert PrefixBeam(weight=0).decode(scores, FLAT, BLANK) == [Segment(0, 1, 2)]


def test_the_prefix_beam_listens_to_the_bigram_as_much_as_it_is_told_to():
    scores = np.log([[0.5, 0.4, 0.1]])
    rarely_a = Bigram(np.log([0.2, 0.8]), FLAT.follow, FLAT.end)
    # 0.5 * 0.2 ** w against 0.4 * 0.8 ** w: even at w = log(1.25) / log(4) = 0.16.
    for weight, phone in [(0, 0), (0.1, 0), (0.25, 1), (1, 1)]:
        found = PrefixBeam(weight=weight, insertion=5).decode(scores, rarely_a, BLANK)
        assert [segment.phone for segment in found] == [phone]
    # A phone has 0.9 against the blank's 0.1, unless each costs so much.
    assert PrefixBeam(weight=0, insertion=-5).decode(scores, FLAT, BLANK) == []


def test_blanks_stand_around_phones_and_must_part_equal_ones():
    may, must = Token(BLANK, optional=True), Token(BLANK)
    assert between_blanks([0, 0, 1], BLANK) == [may, Token(0), must, Token(0), may, Token(1), may]
    assert between_blanks([], BLANK) == [may]


def test_decoders_of_nets_of_the_other_kind_are_refused():
    with pytest.raises(ValueError, match="take BestPath or PrefixBeam, or set blank to false"):
        Viterbi().decode(heard("aaa", "ab-"), FLAT, BLANK)
    with pytest.raises(ValueError, match="take Viterbi or BestPath, or set blank to true"):
        PrefixBeam().decode(heard("aaa", "ab"), FLAT, None)
    for decoder, blank, message in [(Viterbi(), True, "with a blank"), (PrefixBeam(), False, "without a blank")]:
        with pytest.raises(ValueError, match=f"{type(decoder).__name__} does not decode nets {message}"):
            PhoneRecognizer(
                build(), ConvolutionalEncoder(8), Vocabulary(700, phones=("a", "b")), blank=blank, decoder=decoder
            )


@pytest.mark.parametrize(
    ("decoder", "options"),
    [(Viterbi, {"weight": -1}), (Viterbi, {"shortest": 0}), (PrefixBeam, {"weight": -1}), (PrefixBeam, {"width": 0})],
)
def test_options_out_of_range(decoder, options):
    with pytest.raises(ValueError, match="weight"):
        decoder(**options)
