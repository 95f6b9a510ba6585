"""What a sweep has found: a table, and a picture of all trials."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Sequence
from pathlib import Path

from lightning_wavenet.sweeps.local import LocalSweep, Outcome
from lightning_wavenet.sweeps.sweep_file import SweepFile


def ranked(sweep: SweepFile, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The best first; those that ended early after those that are done, and those that failed last."""
    order = ("done", "ended early", "failed")
    sign = 1 if sweep.goal == "minimize" else -1

    def key(one: Outcome) -> tuple[int, float, int]:
        return order.index(one.state), sign * (one.metric if one.metric is not None else 0.0), one.place

    return sorted(outcomes, key=key)


def table(sweep: SweepFile, outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Rows of text under a head, the best trial first."""
    names = [one.name for one in sweep.parameters]
    rows = [["trial", sweep.metric, "step", "state", *names]]
    for one in ranked(sweep, outcomes):
        metric = "-" if one.metric is None else f"{one.metric:.5g}"
        step = "-" if one.step is None else str(one.step)
        rows.append([f"{one.place:03d}", metric, step, one.state, *(_shown(one.values[name]) for name in names)])
    return rows


def as_csv(rows: Sequence[Sequence[str]]) -> str:
    """The table with commas."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def draw(sweep: LocalSweep, path: Path) -> None:
    """Parallel coordinates of all trials that are done, two at least, to a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from optuna.visualization.matplotlib import plot_parallel_coordinate

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # That the function is experimental.
        axes = plot_parallel_coordinate(sweep.study, target_name=sweep.sweep.metric)
    figure = axes.figure
    assert isinstance(figure, matplotlib.figure.Figure)
    figure.set_size_inches(10, 5)
    figure.savefig(path, dpi=100, bbox_inches="tight", format="png")
    plt.close(figure)


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
