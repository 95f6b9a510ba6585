"""The field's words, in American spelling: in identifiers, comments, docs and what the command says."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

BANNED = {
    # American spelling.
    r"(recogni|normali|standardi|optimi|initiali|summari|minimi|maximi|quanti)s(e|ed|es|er|ers|ing|ation)": "z",
    r"(neighb|behavi|col|fav)our\w*": "-or",
    r"centred?|centring": "center",
    r"grey|learnt|spelt|spoilt|burnt|licence|catalogue|artefacts?|judgement|analys(e|es|ed|ing)": "American spelling",
    r"(label|model|cancel|travel|signal)l(ed|ing)": "one l",
    # What the field calls it.
    r"scissors": "slicer",
    r"hears?": "encode, pool or read",
    r"why not": "reason",
    r"go(es)? on|going on|went on": "resume or continue",
    r"no numbers?|not (a )?numbers?": "NaN",
}
"""Pattern of whole words, and what to say instead."""


def words(text: str) -> str:
    """Words in lower case with single spaces: `whyNot_now` becomes "why not now"."""
    spaced = re.sub(r"\\[nrt]|(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return " ".join(re.findall(r"[a-z0-9]+", spaced.lower()))


def texts() -> Iterator[tuple[str, str]]:
    """Where, and what: identifiers, strings and comments of Python, and all of other files."""
    for package in ("lightning_wavenet", "datamodules"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.name == "sentences.py":  # What British voices say.
                continue
            with tokenize.open(path) as file:
                for token in tokenize.generate_tokens(file.readline):
                    if token.type in (tokenize.NAME, tokenize.STRING, tokenize.COMMENT):
                        yield f"{path.relative_to(ROOT)}:{token.start[0]}", token.string
    others = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "configs").rglob("*.yaml")]
    others += [path for suffix in ("h", "cpp") for path in (ROOT / "lightning_wavenet").rglob(f"*.{suffix}")]
    for path in others:
        if path.name != "CHANGELOG.md":
            yield str(path.relative_to(ROOT)), path.read_text()


def found(text: str) -> list[str]:
    plain = words(text)
    return [
        f"{match[0]!r} (say {better})"
        for pattern, better in BANNED.items()
        for match in re.finditer(rf"\b({pattern})\b", plain)
    ]


def test_banned_words_are_found():
    assert found("self.why_not(net)") == ["'why not' (say reason)"]
    assert found("class Recogniser:") == ["'recogniser' (say z)"]
    assert found('f"training goes\\n    on from {step}"') == ["'goes on' (say resume or continue)"]
    assert not found("recognizer, precise, a color, noise, raised")


def test_no_banned_word_is_used():
    seen = [(where, said) for where, text in texts() for said in found(text)]
    if seen:
        pytest.fail("\n".join(f"{where}: {said}" for where, said in seen))
