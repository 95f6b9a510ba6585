"""Full-context labels: fields counted by hand, and HTS's form of them."""

from __future__ import annotations

import pytest

from lightning_wavenet.text.full_context import FIELDS, contexts, read_label, write_label
from lightning_wavenet.text.structure import structure

# The astronaut, who sang: DH AH0 | AE1 . S T R AH0 . N AA2 T (astronaut), HH UW1 | S AE1 NG. Counted by hand.
SECOND_SYLLABLE = (
    "AE^S-T+R=AH@2_3/A:1_1_1/B:0-0-4@2-2&3-2#1-1$1-0!1-1;1-0|AH/C:1+0+3/D:det_1/E:content+3@2+1&0+0#0+0/F:wp_1"
    "/G:x_x/H:4=2@1=2|x/I:2=2/J:6+4-2"
)
PAUSE = (
    "AA^T-sil+HH=UW@x_x/A:1_0_3/B:x-x-x@x-x&x-x#x-x$x-x!x-x;x-x|x/C:1+0+2/D:content_3/E:x+x@x+x&x+x#x+x/F:wp_1"
    "/G:4_2/H:x=x@x=x|x/I:2=2/J:6+4-2"
)
FIRST = (
    "x^x-sil+DH=AH@x_x/A:x_x_x/B:x-x-x@x-x&x-x#x-x$x-x!x-x;x-x|x/C:0+0+2/D:x_x/E:x+x@x+x&x+x#x+x/F:det_1"
    "/G:x_x/H:x=x@x=x|x/I:4=2/J:6+4-2"
)
SANG = (
    "UW^S-AE+NG=sil@2_2/A:1_0_2/B:1-1-3@1-1&2-1#1-0$0-0!1-0;0-0|AE/C:x+x+x/D:wp_1/E:content+1@2+1&0+0#0+0/F:x_x"
    "/G:4_2/H:2=2@2=1|x/I:x=x/J:6+4-2"
)


def labels() -> list[str]:
    whole = structure("The astronaut, who sang.")
    told = [segment.label for segment in whole.segments]
    within = [at for at, label in enumerate(told) if label == "sil" and told[at - 1] in ("AH", "UW")]
    return [write_label(context) for context in contexts(whole.without(within))]


def test_fields_are_those_counted_by_hand():
    found = labels()
    assert len(found) == 18
    assert found[0] == FIRST
    assert found[5] == SECOND_SYLLABLE
    assert found[11] == PAUSE
    assert found[15] == SANG


def test_a_label_is_read_as_it_was_written():
    for label in labels():
        assert write_label(read_label(label)) == label
    fields = read_label(SECOND_SYLLABLE)
    assert list(fields) == [field.name for field in FIELDS]
    assert len(fields) == 53
    assert (fields["p3"], fields["p6"], fields["b3"], fields["b16"], fields["e1"], fields["g1"], fields["j3"]) == (
        *("T", 2, 4, "AH", "content"),
        *(None, 2),
    )


def test_labels_of_hts_are_read():
    """Of the form that its demonstration for English has: small letters, an accent's number 0, states in brackets."""
    label = (
        "pau^ao-th+er=ah@1_2/A:1_1_1/B:0-0-2@2-1&2-12#1-4$1-3!1-2;1-4|er/C:1+0+2/D:0_0/E:content+2@1+8&1+6#0+1"
        "/F:in_1/G:0_0/H:13=9@1=2|L-L%/I:7=3/J:20+12-2"
    )
    fields = read_label(f"{label}[4]")
    assert [fields[name] for name in ("p1", "p3", "b7", "b16", "d1", "e2", "f1", "h5", "j1", "j3")] == [
        *("pau", "th", 12, "er", "0"),
        *(2, "in", "L-L%", 20, 2),
    ]


def test_what_is_no_label_is_refused():
    with pytest.raises(ValueError, match="'a-b' is no full-context label"):
        read_label("a-b+c".replace("+c", ""))
    with pytest.raises(ValueError, match="'many' in field j2 of a full-context label is no count"):
        read_label(FIRST.replace("/J:6+4", "/J:6+many"))
    with pytest.raises(ValueError, match=r"'a\+b' cannot stand"):
        write_label({**read_label(FIRST), "p3": "a+b"})
