"""How many texts of each kind are read right: by this project, by the library alone, and by an earlier words.py.

    python tests/text_figures.py [--before WORDS.PY] [--suite FOLDER]

The texts are those of hard_sentences.tsv, or of a folder of files test_cases_KIND.txt with lines WRITTEN~SPOKEN, as the
test suite of NeMo's text processing has them. Spacing, capitals, marks, "and", and whether a zero is zero or oh count
nothing, so that "a.m." is right as "am" and as "a m".
"""

from __future__ import annotations

import argparse
import importlib.util
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from wetext import Normalizer

from lightning_wavenet.errors import RequestError
from lightning_wavenet.text import words

TABLE = Path(__file__).parent / "hard_sentences.tsv"
SAME = {"o": "zero", "oh": "zero", "negative": "minus", "ay": "a", "and": ""}


def loosely(spoken: str) -> str:
    found = re.findall("[a-z']+", spoken.lower())
    return "".join(SAME.get(word, word) for word in (word.replace("'", "") for word in found))


def table() -> Iterator[tuple[str, str, str]]:
    for line in TABLE.read_text("utf-8").splitlines()[1:]:
        kind, text, spoken = line.split("\t")
        yield kind, text, spoken


def suite(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Without the files that are about punctuation, or that have several answers."""
    for path in sorted(folder.glob("test_cases_*.txt")):
        kind = path.stem.removeprefix("test_cases_")
        if "punctuation" in kind or "audio" in kind:
            continue
        for line in path.read_text("utf-8").splitlines():
            if line.count("~") == 1:
                text, spoken = line.split("~")
                yield kind, text, spoken


def earlier(path: Path) -> Callable[[str], list[str]]:
    spec = importlib.util.spec_from_file_location("before", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    said: Callable[[str], list[str]] = module.words
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--suite", type=Path)
    parser.add_argument("--wrong", action="store_true", help="print what this project reads otherwise")
    options = parser.parse_args()
    library = Normalizer(lang="en", operator="tn")
    readers: dict[str, Callable[[str], str]] = {
        "ours": lambda text: " ".join(words(text)),
        "library": library.normalize,
    }
    if options.before:
        before = earlier(options.before)
        readers["before"] = lambda text: " ".join(before(text))
    right: dict[str, dict[str, int]] = {}
    for kind, text, spoken in suite(options.suite) if options.suite else table():
        counts = right.setdefault(kind, dict.fromkeys(("texts", *readers), 0))
        counts["texts"] += 1
        for name, read in readers.items():
            try:
                said = read(text)
            except (RequestError, AssertionError) as error:  # The library asserts that it has an answer.
                said = f"{type(error).__name__}: {error}"
            counts[name] += loosely(said) == loosely(spoken)
            if options.wrong and name == "ours" and loosely(said) != loosely(spoken):
                print(f"{kind}: {text!r} is {said!r}, not {spoken!r}")
    right["all"] = {name: sum(counts[name] for counts in right.values()) for name in ("texts", *readers)}
    print("| kind | " + " | ".join(right["all"]) + " |")
    print("|---" * (1 + len(right["all"])) + "|")
    for kind, counts in right.items():
        print(f"| {kind} | " + " | ".join(map(str, counts.values())) + " |")


if __name__ == "__main__":
    main()
