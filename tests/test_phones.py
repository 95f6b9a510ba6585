"""Phones of TIMIT: folding, phone errors, and files of phone times."""

from __future__ import annotations

import pytest
import torch

from datamodules import Phone
from datamodules.phone_times import read_phones, write_phones
from lightning_wavenet.metrics import PhoneErrorRate
from lightning_wavenet.text.phones import TIMIT_61, fold, fold_all

# As published with Kaldi's recipe (phones.60-48-39.map): label, folded to 48, folded to 39; q is deleted.
TABLE = """
aa aa aa|ae ae ae|ah ah ah|ao ao aa|aw aw aw|ax ax ah|ax-h ax ah|axr er er|ay ay ay|b b b|bcl vcl sil|ch ch ch|d d d
dcl vcl sil|dh dh dh|dx dx dx|eh eh eh|el el l|em m m|en en n|eng ng ng|epi epi sil|er er er|ey ey ey|f f f|g g g
gcl vcl sil|h# sil sil|hh hh hh|hv hh hh|ih ih ih|ix ix ih|iy iy iy|jh jh jh|k k k|kcl cl sil|l l l|m m m|n n n
ng ng ng|nx n n|ow ow ow|oy oy oy|p p p|pau sil sil|pcl cl sil|q - -|r r r|s s s|sh sh sh|t t t|tcl cl sil|th th th
uh uh uh|uw uw uw|ux uw uw|v v v|w w w|y y y|z z z|zh zh sh
"""


def test_folding_is_that_of_the_published_table():
    rows = [entry.split() for line in TABLE.split("\n") for entry in line.split("|") if entry]
    assert tuple(row[0] for row in rows) == TIMIT_61
    for label, of_48, of_39 in rows:
        assert fold(label, 61) == label
        assert fold(label, 48) == (None if of_48 == "-" else of_48)
        assert fold(label, 39) == (None if of_39 == "-" else of_39)
        # By way of the middle set the same.
        assert of_48 == "-" or fold(of_48, 39) == of_39
    assert len({row[1] for row in rows} - {"-"}) == 48
    assert len({row[2] for row in rows} - {"-"}) == 39
    assert fold_all(["h#", "q", "ao", "kcl", "k", "h#"], 39) == ["sil", "aa", "sil", "k", "sil"]


# Said, recognized, and the fewest substitutions, deletions and insertions, worked out by hand.
CASES = [
    ("sil k ae t sil", "sil k ae t sil", (0, 0, 0)),
    ("sil k ae t sil", "sil k ah t sil", (1, 0, 0)),
    ("sil k ae t sil", "sil ae t sil", (0, 1, 0)),
    ("sil k ae t sil", "sil k ae ae t sil", (0, 0, 1)),
    ("k ae t", "d ao g s", (3, 0, 1)),
    ("k ae t", "", (0, 3, 0)),
    ("", "k", (0, 0, 1)),
    ("s ih t ih ng", "k ih t ah n", (3, 0, 0)),
    ("b ih t", "ih t s", (0, 1, 1)),
]

NAMES = sorted({phone for reference, hypothesis, _ in CASES for phone in (reference + " " + hypothesis).split()})


def counted(*pairs: tuple[str, str]) -> PhoneErrorRate:
    """Errors in pairs of a reference and a hypothesis, phones numbered in the order of NAMES."""
    errors = PhoneErrorRate(len(NAMES))
    for reference, hypothesis in pairs:
        errors.update(*([NAMES.index(phone) for phone in side.split()] for side in (hypothesis, reference)))
    return errors


@pytest.mark.parametrize(("reference", "hypothesis", "counts"), CASES)
def test_phone_errors_are_those_counted_by_hand(reference, hypothesis, counts):
    table = counted((reference, hypothesis)).table
    right = table.diagonal().sum()
    substitutions = table[:-1, :-1].sum() - right
    assert (int(substitutions), int(table[:-1, -1].sum()), int(table[-1, :-1].sum())) == counts
    assert int(table[:-1].sum()) == len(reference.split())
    assert table[-1, -1] == 0


def test_the_phone_error_rate_weighs_phones_not_utterances():
    errors = counted(*(pair for *pair, _ in CASES[1:5]))
    # 1 + 1 + 1 + 4 errors in 5 + 5 + 5 + 3 phones.
    torch.testing.assert_close(errors.compute(), torch.tensor(100 * 7 / 18))


def test_the_table_pairs_references_with_hypotheses():
    table = counted(("sil k ae t sil", "sil k ah t s sil"), ("k ae", "")).table
    names = [*NAMES, None]
    found = {(names[row], names[column]): int(table[row, column]) for row, column in table.nonzero().tolist()}
    assert found == {
        ("sil", "sil"): 2,
        ("k", "k"): 1,
        ("ae", "ah"): 1,
        ("t", "t"): 1,
        (None, "s"): 1,
        ("k", None): 1,
        ("ae", None): 1,
    }


def test_phone_times_are_read_as_they_were_written(tmp_path):
    phones = (Phone("h#", 0, 100), Phone("k", 100, 250), Phone("ae", 260, 300))
    write_phones(tmp_path / "a.phn", phones)
    assert (tmp_path / "a.phn").read_text() == "0 100 h#\n100 250 k\n260 300 ae\n"
    assert read_phones(tmp_path / "a.phn") == phones


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 100 h#\n100 k 250\n", "line 2"),
        ("0 100\n", "line 1"),
        ("0 100 h#\n90 250 k\n", "phone 2"),
        ("0 100 h#\n100 100 k\n", "phone 2"),
        ("-5 100 h#\n", "phone 1"),
    ],
)
def test_what_are_no_phone_times_is_said(tmp_path, text, message):
    (tmp_path / "a.phn").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_phones(tmp_path / "a.phn")
