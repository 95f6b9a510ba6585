"""Ratings as they come in: whose, of what; and what is wrong with those that cannot be used."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lightning_wavenet.errors import RequestError
from lightning_wavenet.listening.columns import Columns

MOST_BYTES = 2**30
"""Of a file of ratings."""


class BadRow(NamedTuple):
    """A row that is left out."""

    file: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.reason}"


def read_table(path: Path) -> pd.DataFrame:
    """A CSV file as text, its lines counted in the column "line"; commas, semicolons or tabs divide its columns.

    Raises:
        RequestError: It is not there, or no table.
    """
    if not path.is_file():
        raise RequestError(f"there is no file {path}")
    if path.stat().st_size > MOST_BYTES:
        raise RequestError(f"{path} has more than a gigabyte: that is no table of ratings")
    try:
        with path.open(encoding="utf-8-sig") as file:
            head = file.readline()
        divider = max(",;\t", key=head.count)
        table = pd.read_csv(
            path, sep=divider, dtype=str, keep_default_na=False, encoding="utf-8-sig", skip_blank_lines=False
        )
    except (UnicodeDecodeError, ValueError, OSError) as error:
        raise RequestError(f"{path} is no table: {error}") from error
    table["line"] = np.arange(2, len(table) + 2)
    return table


def read_elsewhere(paths: Sequence[Path], columns: Columns) -> tuple[pd.DataFrame, list[BadRow]]:
    """Ratings that were made elsewhere.

    Args:
        paths: Tables.
        columns: What is in them.

    Returns:
        One rating a row, with the columns listener, system, sentence and score; and what was left out.

    Raises:
        RequestError: A file is no table, or lacks a column.
    """
    parts, bad = [], []
    for path in paths:
        table = read_table(path)
        wanted = [columns.listener, columns.score]
        wanted += [columns.system, columns.sentence] if columns.stimulus is None else [columns.stimulus]
        if missing := [name for name in wanted if name not in table]:
            there = ", ".join(name for name in table if name != "line")
            raise RequestError(f"{path} has no column {missing[0]!r}; it has {there}: name it with --columns")
        scores = pd.to_numeric(table[columns.score], errors="coerce")
        part = pd.DataFrame({"listener": table[columns.listener], "score": scores, "line": table["line"]})
        if columns.stimulus is None:
            part["system"], part["sentence"] = table[columns.system], table[columns.sentence]
        else:
            assert columns.pattern is not None
            found = table[columns.stimulus].str.extract(columns.pattern)
            named = sorted(name for name in found if str(name).startswith("system"))
            part["system"] = found[named].fillna("").agg("_".join, axis=1).where(found[named].notna().all(axis=1), "")
            part["sentence"] = found["sentence"].fillna("")
        reasons = {
            "is not numeric": scores.isna(),
            f"is not from {columns.low:g} to {columns.high:g}": (scores < columns.low) | (scores > columns.high),
        }
        kept = pd.Series(True, index=part.index)
        for reason, rows in reasons.items():
            values = table.loc[rows, columns.score]
            bad += [BadRow(path, int(part.line[at]), f"the score {value!r} {reason}") for at, value in values.items()]
            kept &= ~rows
        for name in ("listener", "system", "sentence"):
            empty = kept & (part[name].str.strip() == "")
            bad += [BadRow(path, int(line), f"no {name}") for line in part.line[empty]]
            kept &= ~empty
        parts.append(part[kept])
    ratings = pd.concat(parts, ignore_index=True)
    return ratings[["listener", "system", "sentence", "score"]], sorted(bad)


ROW = (
    *("study", "listener", "form", "trial", "first", "second", "answer"),
    *("seconds", "headphones", "native", "time"),
)
"""Columns of an answer, as the page gives them."""
ANSWERS = {"mos": ("1", "2", "3", "4", "5"), "preference": ("left", "right", "none")}
LISTENER = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What a listener may be called."""


@dataclass(frozen=True)
class Key:
    """What only the experimenter knows of a study.

    Attributes:
        study: Its id.
        kind: "mos" or "preference".
        systems: Names, in their order.
        trials: Under form and trial: role, first, second, expected, original.
        stimuli: System and sentence under the id of a stimulus.
    """

    study: str
    kind: str
    systems: Sequence[str]
    trials: Mapping[tuple[int, int], Mapping[str, str]]
    stimuli: Mapping[str, tuple[str, str]]

    @classmethod
    def read(cls, folder: Path) -> Key:
        """That of a study that `wavenet listening export` made.

        Raises:
            RequestError: The folder has none.
        """
        try:
            about = json.loads((folder / "study.json").read_text("utf-8"))
            trials = _rows(folder / "private" / "trials.csv")
            manifest = _rows(folder / "private" / "manifest.csv")
            return cls(
                about["study"],
                about["options"]["kind"],
                list(about["options"]["systems"]),
                {(int(row["form"]), int(row["trial"])): row for row in trials},
                {row["id"]: (row["system"], row["sentence"]) for row in manifest},
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RequestError(f"{folder} is no study that wavenet listening export wrote: {error}") from error

    def refuses(self, row: Mapping[str, str]) -> str | None:
        """Why an answer cannot be used; None where it can."""
        if row.get("study") != self.study:
            return f"of another study, {row.get('study')!r}"
        if not LISTENER.fullmatch(row.get("listener", "")):
            return f"no name of a listener: {row.get('listener', '')[:80]!r}"
        form, trial = row.get("form", ""), row.get("trial", "")
        known = self.trials.get((int(form), int(trial))) if form.isdecimal() and trial.isdecimal() else None
        if known is None:
            return f"there is no trial {trial[:20]!r} in a form {form[:20]!r}"
        if (row.get("first"), row.get("second", "")) != (known["first"], known["second"]):
            return "its ids are not those of the trial"
        if row.get("answer") not in ANSWERS[self.kind]:
            return f"the answer {row.get('answer', '')[:20]!r} is none of {', '.join(ANSWERS[self.kind])}"
        return None


def read_answers(paths: Sequence[Path], key: Key) -> tuple[pd.DataFrame, list[BadRow]]:
    """Answers that the page or the receiver wrote: CSV, JSON, or a JSON object a line.

    Args:
        paths: Files.
        key: Of the study.

    Returns:
        One answer a row, with the columns of `ROW`, form and trial as integers, and role, expected and original of its
        trial; and what was left out.

    Raises:
        RequestError: A file cannot be read.
    """
    rows: list[dict[str, Any]] = []
    bad: list[BadRow] = []
    seen: set[tuple[str, int]] = set()
    forms: dict[str, int] = {}
    for path in paths:
        for line, row in _answers(path):
            reason = "not an answer" if row is None else key.refuses(row)
            if row is None or reason is not None:
                bad.append(BadRow(path, line, reason or ""))
                continue
            form, trial = int(row["form"]), int(row["trial"])
            if forms.setdefault(row["listener"], form) != form:
                bad.append(BadRow(path, line, f"{row['listener']} has answered form {forms[row['listener']]} before"))
            elif (row["listener"], trial) in seen:
                bad.append(BadRow(path, line, f"{row['listener']} has answered trial {trial} before"))
            else:
                seen.add((row["listener"], trial))
                known = key.trials[form, trial]
                told = {name: known[name] for name in ("role", "expected", "original")}
                rows.append({name: row.get(name, "") for name in ROW} | {"form": form, "trial": trial} | told)
    return pd.DataFrame(rows, columns=[*ROW, "role", "expected", "original"]), bad


@dataclass
class Screened:
    """The answers that count, and the listeners that do not."""

    answers: pd.DataFrame
    listeners: int
    """All there were."""
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """Listeners by reason; one who has several is under the first."""
    steadiness: tuple[float, int] | None = None
    """By how much the answers of repeated trials differ from the first ones, in the mean (points; of preferences, which
    part of them), and of how many."""


REASONS = ("no headphones", "failed gold", "incomplete")


def screened(answers: pd.DataFrame, key: Key, keep: Sequence[str] = ()) -> Screened:
    """Leaves out listeners without headphones (as the paper did), with a wrong gold answer, or who did not finish.

    Args:
        answers: Of `read_answers`.
        key: Of the study.
        keep: Reasons that do not count.
    """
    needed = Counter(form for (form, _), trial in key.trials.items() if trial["role"] == "rated")
    left_out: dict[str, list[str]] = {reason: [] for reason in REASONS if reason not in keep}
    for listener, own in answers.groupby("listener", sort=True):
        gold = own[own.role == "gold"]
        failed = [answer not in expected.split() for answer, expected in zip(gold.answer, gold.expected, strict=True)]
        is_so = {
            "no headphones": (own.headphones.str.lower() != "yes").any(),
            "failed gold": any(failed),
            "incomplete": (own.role == "rated").sum() < needed[own.form.iloc[0]],
        }
        reason = next((reason for reason in left_out if is_so[reason]), None)
        if reason is not None:
            left_out[reason].append(str(listener))
    out = {listener for listeners in left_out.values() for listener in listeners}
    kept = answers[~answers.listener.isin(out)]
    return Screened(kept, answers.listener.nunique(), left_out, _steadiness(kept, key.kind))


def _steadiness(answers: pd.DataFrame, kind: str) -> tuple[float, int] | None:
    given = {(row.listener, row.trial): row.answer for row in answers.itertuples()}
    pairs = [
        (row.answer, given[row.listener, int(row.original)])
        for row in answers[answers.role == "repeat"].itertuples()
        if (row.listener, int(row.original)) in given
    ]
    if not pairs:
        return None
    apart = [abs(int(one) - int(other)) if kind == "mos" else float(one != other) for one, other in pairs]
    return float(np.mean(apart)), len(pairs)


def scores(answers: pd.DataFrame, key: Key) -> pd.DataFrame:
    """The MOS ratings that count, with the columns listener, system, sentence and score."""
    rated = answers[answers.role == "rated"]
    heard = [key.stimuli[id] for id in rated["first"]]
    return pd.DataFrame(
        {
            "listener": rated.listener.to_numpy(),
            "system": [system for system, _ in heard],
            "sentence": [sentence for _, sentence in heard],
            "score": rated.answer.astype(float).to_numpy(),
        }
    )


def preferences(answers: pd.DataFrame, key: Key) -> pd.DataFrame:
    """The preferences that count: listener, sentence, first and second (systems, in the study's order), preferred.

    `preferred` is "first", "second" or "none".
    """
    rows = []
    for row in answers[answers.role == "rated"].itertuples():
        (left, sentence), (right, _) = key.stimuli[row.first], key.stimuli[row.second]
        ordered = key.systems.index(left) < key.systems.index(right)
        sides = {"left": "first", "right": "second"} if ordered else {"left": "second", "right": "first"}
        first, second = (left, right) if ordered else (right, left)
        rows.append((row.listener, sentence, first, second, sides.get(row.answer, "none")))
    return pd.DataFrame(rows, columns=["listener", "sentence", "first", "second", "preferred"])


def _answers(path: Path) -> Iterator[tuple[int, dict[str, str] | None]]:
    """The answers of a file with their lines; None for what is none."""
    if path.suffix.lower() not in (".json", ".jsonl"):
        table = read_table(path)
        if missing := [name for name in ROW if name not in table and name in ("study", "listener", "answer")]:
            raise RequestError(f"{path} has no column {missing[0]!r}: with ratings made elsewhere, leave out --study")
        for row in table.to_dict("records"):
            yield int(row["line"]), {name: str(row[name]) for name in ROW if name in row}
        return
    if not path.is_file():
        raise RequestError(f"there is no file {path}")
    try:
        text = path.read_text("utf-8-sig")
        whole = json.loads(text) if path.suffix.lower() == ".json" else None
    except ValueError as error:
        raise RequestError(f"{path} is no JSON: {error}") from error
    if isinstance(whole, dict):
        whole = whole.get("answers")
    if whole is None:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        parsed: list[tuple[int, Any]] = []
        for number, line in lines:
            try:
                parsed.append((number, json.loads(line)))
            except ValueError:
                parsed.append((number, None))
    else:
        parsed = list(enumerate(whole if isinstance(whole, list) else [whole], 1))
    for number, row in parsed:
        yield number, {str(name): _plain(value) for name, value in row.items()} if isinstance(row, dict) else None


def _plain(value: Any) -> str:
    """A value of JSON as CSV has it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
