"""Words that are spelled alike and said otherwise: which it is, by the words beside it.

The pronunciations are those of the CMU Pronouncing Dictionary, but for the verb house and used to, which it lacks; its
order is not that of how common they are. Where no rule fits, the commonest reading is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_DETERMINERS = frozenset(
    """
    a an the this that these those my your his her its our their no some any each every another such one what which of
    """.split()
)
_BEFORE_VERBS = frozenset(
    """
    to will would can could shall should may might must do does did not never don't doesn't didn't won't wouldn't can't
    cannot couldn't shouldn't mustn't let's please i'll you'll he'll she'll we'll they'll it'll i'd you'd he'd she'd
    we'd they'd always often sometimes usually also them us who
    """.split()
)
_SUBJECTS = frozenset("i you we they".split())
_BE = frozenset("is are was were be been being am isn't aren't wasn't weren't it's that's he's she's i'm".split())
_HAVE = frozenset("have has had having haven't hasn't hadn't i've you've we've they've".split())


class _Pair(NamedTuple):
    """As a noun or adjective, and as a verb."""

    noun: str
    verb: str
    usually_verb: bool = False


class _Rule(NamedTuple):
    """A pronunciation, and the words of which one must stand before, or after, the word; None is any."""

    said: str
    before: frozenset[str] | None = None
    after: frozenset[str] | None = None


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FIRST = ""
"""Stands before the first word of a phrase, and after its last."""

_PAIRS = {
    "record": _Pair("R EH1 K ER0 D", "R AH0 K AO1 R D"),
    "present": _Pair("P R EH1 Z AH0 N T", "P R IY0 Z EH1 N T"),
    "object": _Pair("AA1 B JH EH0 K T", "AH0 B JH EH1 K T"),
    "subject": _Pair("S AH1 B JH IH0 K T", "S AH0 B JH EH1 K T"),
    "desert": _Pair("D EH1 Z ER0 T", "D IH0 Z ER1 T"),
    "conduct": _Pair("K AA1 N D AH0 K T", "K AA0 N D AH1 K T"),
    "conflict": _Pair("K AA1 N F L IH0 K T", "K AH0 N F L IH1 K T"),
    "contest": _Pair("K AA1 N T EH0 S T", "K AH0 N T EH1 S T"),
    "contract": _Pair("K AA1 N T R AE2 K T", "K AH0 N T R AE1 K T"),
    "convert": _Pair("K AA1 N V ER0 T", "K AH0 N V ER1 T", usually_verb=True),
    "import": _Pair("IH1 M P AO2 R T", "IH2 M P AO1 R T"),
    "increase": _Pair("IH1 N K R IY2 S", "IH2 N K R IY1 S"),
    "insult": _Pair("IH1 N S AH2 L T", "IH2 N S AH1 L T"),
    "permit": _Pair("P ER1 M IH2 T", "P ER0 M IH1 T", usually_verb=True),
    "produce": _Pair("P R OW1 D UW0 S", "P R AH0 D UW1 S", usually_verb=True),
    "progress": _Pair("P R AA1 G R EH2 S", "P R AH0 G R EH1 S"),
    "project": _Pair("P R AA1 JH EH0 K T", "P R AH0 JH EH1 K T"),
    "protest": _Pair("P R OW1 T EH2 S T", "P R AH0 T EH1 S T"),
    "rebel": _Pair("R EH1 B AH0 L", "R IH0 B EH1 L"),
    "refuse": _Pair("R EH1 F Y UW2 Z", "R AH0 F Y UW1 Z", usually_verb=True),
    "suspect": _Pair("S AH1 S P EH2 K T", "S AH0 S P EH1 K T"),
    "transport": _Pair("T R AE1 N S P AO0 R T", "T R AE0 N S P AO1 R T"),
    "perfect": _Pair("P ER1 F IH2 K T", "P ER0 F EH1 K T"),
    "separate": _Pair("S EH1 P ER0 IH0 T", "S EH1 P ER0 EY2 T"),
    "estimate": _Pair("EH1 S T AH0 M AH0 T", "EH1 S T AH0 M EY2 T"),
    "graduate": _Pair("G R AE1 JH AH0 W AH0 T", "G R AE1 JH AH0 W EY2 T"),
    "deliberate": _Pair("D IH0 L IH1 B ER0 AH0 T", "D IH0 L IH1 B ER0 EY2 T"),
    "moderate": _Pair("M AA1 D ER0 AH0 T", "M AA1 D ER0 EY2 T"),
    "advocate": _Pair("AE1 D V AH0 K AH0 T", "AE1 D V AH0 K EY2 T"),
    "alternate": _Pair("AO1 L T ER0 N AH0 T", "AO1 L T ER0 N EY2 T"),
    "excuse": _Pair("IH0 K S K Y UW1 S", "IH0 K S K Y UW1 Z"),
    "abuse": _Pair("AH0 B Y UW1 S", "AH0 B Y UW1 Z"),
    "use": _Pair("Y UW1 S", "Y UW1 Z", usually_verb=True),
    "house": _Pair("HH AW1 S", "HH AW1 Z"),
    "resume": _Pair("R EH1 Z AH0 M EY2", "R IH0 Z UW1 M", usually_verb=True),
}

_PARTICLES = _words("up down apart off out open away through")
_OBJECTS = _words("the your my his her our their its a this that it them up down")

# The first rule that fits; the last of each always does.
_RULES: dict[str, tuple[_Rule, ...]] = {
    "read": (
        _Rule("R EH1 D", before=_HAVE | _BE),
        _Rule("R IY1 D", before=_BEFORE_VERBS | {_FIRST, "and", "you", "people"}),
        _Rule("R EH1 D"),
    ),
    "live": (
        _Rule("L AY1 V", after=_words("music show shows television tv broadcast audience concert stream streaming")),
        _Rule("L AY1 V", after=_words("coverage wire ammunition bait animals performance performances album births")),
        _Rule("L AY1 V", before=_words("a the go goes going went broadcast streamed recorded performed")),
        _Rule("L IH1 V"),
    ),
    "lives": (
        _Rule("L AY1 V Z", before=_DETERMINERS | _words("many several two three human people's nine")),
        _Rule("L IH1 V Z", before=_words("he she it who which that")),
        _Rule("L IH1 V Z", after=_words("in at on with near here there alone by next under across")),
        _Rule("L AY1 V Z"),
    ),
    "lead": (
        _Rule("L EH1 D", after=_words("pipe pipes paint poisoning pencil pencils bullet bullets ore mine mines roof")),
        _Rule("L EH1 D", before=_words("of molten liquid white red")),
        _Rule("L IY1 D"),
    ),
    "wind": (
        _Rule("W AY1 N D", before=_BEFORE_VERBS | _SUBJECTS),
        _Rule("W AY1 N D", after=_words("up the")),
        _Rule("W IH1 N D"),
    ),
    "tear": (
        _Rule("T IH1 R", after=_words("gas drop drops")),
        _Rule("T EH1 R", after=_PARTICLES | _words("in")),
        _Rule("T IH1 R", before=_DETERMINERS | _words("single")),
        _Rule("T EH1 R"),
    ),
    "tears": (
        _Rule("T EH1 R Z", before=_words("he she it who")),
        _Rule("T EH1 R Z", after=_PARTICLES - _words("down")),
        _Rule("T IH1 R Z"),
    ),
    "close": (
        _Rule("K L OW1 S", after=_words("to by enough together behind friend friends up attention")),
        _Rule("K L OW1 Z", before=_BEFORE_VERBS | _SUBJECTS),
        _Rule("K L OW1 Z", after=_OBJECTS),
        _Rule("K L OW1 Z", before=_words("the"), after=_words("of")),
        _Rule("K L OW1 S"),
    ),
    "used": (
        _Rule("Y UW1 Z D", before=_BE),
        _Rule("Y UW1 S T", after=_words("to")),
        _Rule("Y UW1 Z D"),
    ),
    "minute": (
        _Rule("M AY0 N UW1 T", after=_words("amount amounts detail details particle particles quantity quantities")),
        _Rule("M AY0 N UW1 T", after=_words("difference differences examination traces")),
        _Rule("M IH1 N AH0 T"),
    ),
    "bow": (
        _Rule("B OW1", after=_words("and tie ties arrow string")),
        _Rule("B AW1", before=_BEFORE_VERBS | _SUBJECTS | _words("ship's")),
        _Rule("B OW1", before=_DETERMINERS),
        _Rule("B AW1"),
    ),
    "sow": (_Rule("S AW1", before=_DETERMINERS), _Rule("S OW1")),
    "wound": (
        _Rule("W AW1 N D", after=_words("up around round its tightly down through")),
        _Rule("W UW1 N D"),
    ),
    "bass": (
        _Rule("B AE1 S", before=_words("sea striped largemouth smallmouth caught")),
        _Rule("B AE1 S", after=_words("fishing boat")),
        _Rule("B EY1 S"),
    ),
    "dove": (_Rule("D OW1 V", after=_words("into in off under down")), _Rule("D AH1 V")),
    "content": (
        _Rule("K AH0 N T EH1 N T", before=_BE | _words("not quite perfectly feel felt seemed seems well")),
        _Rule("K AH0 N T EH1 N T", after=_words("to with")),
        _Rule("K AA1 N T EH0 N T"),
    ),
    "learned": (
        _Rule("L ER1 N IH0 D", after=_words("man men woman judge friend gentleman counsel professor society")),
        _Rule("L ER1 N D"),
    ),
    "invalid": (
        _Rule("IH1 N V AH0 L AH0 D", before=_DETERMINERS, after=frozenset({_FIRST, "and", "who", "for", "in"})),
        _Rule("IH2 N V AE1 L AH0 D"),
    ),
}

HOMOGRAPHS = frozenset(_PAIRS) | frozenset(_RULES)
"""The words that are known to have two readings."""


def reading(phrase: Sequence[str], at: int) -> str | None:
    """The phones of a word by the words beside it, between spaces; None for what is no homograph.

    Args:
        phrase: Words in lower case.
        at: Which of them.
    """
    word = phrase[at]
    before = phrase[at - 1] if at else _FIRST
    after = phrase[at + 1] if at + 1 < len(phrase) else _FIRST
    if before.endswith("ly") and at > 1:
        before = phrase[at - 2]  # to formally object
    if word in _PAIRS:
        noun, verb, usually_verb = _PAIRS[word]
        if before in _DETERMINERS:
            return noun
        return verb if usually_verb or before in _BEFORE_VERBS | _SUBJECTS else noun
    for said, befores, afters in _RULES.get(word, ()):
        if (befores is None or before in befores) and (afters is None or after in afters):
            return said
    return None
