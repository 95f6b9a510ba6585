"""Results as tables, in Markdown, CSV and LaTeX, in the layout of the paper's Tables 1 and 2; and as pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightning_wavenet.listening.analysis import Difference, Opinion, Preference
from lightning_wavenet.listening.intervals import Interval


@dataclass(frozen=True)
class Table:
    """Rows of text under a head.

    Attributes:
        name: Of its files.
        caption: What it shows.
        head: Of every column.
        rows: As many cells each.
    """

    name: str
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """With the numbers on the right."""
        lines = [self.head, ["---", *["---:"] * (len(self.head) - 1)], *self.rows]
        escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
        return "".join(f"| {' | '.join(line)} |\n" for line in escaped)

    def csv(self) -> str:
        """With commas."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.head, *self.rows])
        return text.getvalue()

    def latex(self) -> str:
        """For the package booktabs."""
        lines = [r"\begin{tabular}{l" + "r" * (len(self.head) - 1) + "}", r"\toprule"]
        body = [" & ".join(map(_tex, row)) + r" \\" for row in (self.head, *self.rows)]
        lines += [body[0], r"\midrule", *body[1:], r"\bottomrule", r"\end{tabular}"]
        return f"% {self.caption}\n" + "\n".join(lines) + "\n"


def mos_table(opinions: Sequence[Opinion]) -> Table:
    """Table 1, and beside the paper's one interval the other two."""
    rows = [
        [
            one.system,
            _within(one.crowdmos),
            *("-" if np.isnan(interval.half) else f"± {interval.half:.3f}" for interval in (one.t, one.clustered)),
            f"{one.deviation:.2f}",
            *(f"{count:,}" for count in (one.ratings, one.listeners, one.sentences)),
        ]
        for one in opinions
    ]
    head = ["system", "MOS", "by t", "clustered", "deviation", "ratings", "listeners", "sentences"]
    return Table("mos", "MOS with 95 % intervals by CrowdMOS, and by t and clustered", head, rows)


def difference_table(differences: Sequence[Difference]) -> Table:
    """Differences of MOS, in pairs."""
    rows = [
        [f"{one.first} - {one.second}", _within(one.by, sign=True), shown_p(one.p), shown_p(one.p_holm)]
        for one in differences
    ]
    return Table("differences", "Differences of MOS", ["systems", "difference", "p", "p (Holm)"], rows)


def preference_table(preferences: Sequence[Preference], systems: Sequence[str]) -> Table:
    """Table 2: what part preferred each system, in percent, a row a pair."""
    rows = []
    for one in preferences:
        parts = {one.first: one.wins, one.second: one.losses}
        cells = [_percent(parts[system], one.ratings) if system in parts else "" for system in systems]
        rows.append([*cells, _percent(one.none, one.ratings), shown_p(one.p), shown_p(one.p_holm), f"{one.ratings:,}"])
    head = [*systems, "no preference", "p", "p (Holm)", "ratings"]
    return Table("preferences", "Preferences in percent, exact two-sided sign test", head, rows)


def shown_p(p: float) -> str:
    """A p-value as the paper prints them."""
    if np.isnan(p):
        return "-"
    return "<< 1e-9" if p < 1e-9 else f"{p:.1e}" if p < 0.001 else f"{p:.3f}"


def draw_mos(opinions: Sequence[Opinion], path: Path, kind: str) -> None:
    """Means with the three intervals, to a PNG or SVG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.2 + 0.5 * len(opinions)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(opinions))[::-1]
    kinds = (("crowdmos", "CrowdMOS", "#1f5a92"), ("t", "t", "#888888"), ("clustered", "clustered", "#b3541e"))
    for shift, (name, label, color) in zip((0.2, 0.0, -0.2), kinds, strict=True):
        intervals = [getattr(one, name) for one in opinions]
        axes.errorbar(
            [interval.mean for interval in intervals],
            places + shift,
            xerr=np.nan_to_num([interval.half for interval in intervals]),
            fmt="o",
            color=color,
            label=label,
            capsize=3,
            markersize=4,
        )
    axes.set(yticks=places, yticklabels=[one.system for one in opinions], xlabel="mean opinion score, 95 % intervals")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="best", fontsize="small")
    figure.savefig(path, dpi=120, format=kind)


def draw_preferences(preferences: Sequence[Preference], path: Path, kind: str) -> None:
    """A bar a pair, divided as the answers were, as in the paper's figure 5."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.2 + 0.5 * len(preferences)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(preferences))[::-1]
    left = np.zeros(len(preferences))
    for name, label, color in (
        ("wins", "left", "#1f5a92"),
        ("none", "no preference", "#c9c9c9"),
        ("losses", "right", "#b3541e"),
    ):
        part = np.array([100 * getattr(one, name) / one.ratings for one in preferences])
        axes.barh(places, part, left=left, color=color, label=label, height=0.6)
        for place, width, begin in zip(places, part, left, strict=True):
            if width >= 6:
                axes.text(
                    begin + width / 2,
                    place,
                    f"{width:.1f}",
                    ha="center",
                    va="center",
                    fontsize="small",
                    color="white" if name != "none" else "black",
                )
        left += part
    axes.set(
        yticks=places, yticklabels=[f"{one.first} : {one.second}" for one in preferences], xlabel="%", xlim=(0, 100)
    )
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=3, fontsize="small")
    figure.savefig(path, dpi=120, format=kind)


def _within(interval: Interval, sign: bool = False) -> str:
    mean = f"{interval.mean:+.2f}" if sign else f"{interval.mean:.2f}"
    return mean if np.isnan(interval.half) else f"{mean} ± {interval.half:.3f}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}"


_TEX = {
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "$": r"\$",
    "±": r"$\pm$",
    "<<": r"$\ll$",
    "\\": r"\textbackslash{}",
}


def _tex(cell: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in cell.replace("<<", "\0")).replace("\0", _TEX["<<"])
