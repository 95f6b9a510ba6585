"""`wavenet sweep`: the sweeps of Weights & Biases on this machine alone."""

# No postponed annotations here: a parser is made of them.
from pathlib import Path

from lightning_wavenet.cli.parsing import verb


def sweep(
    file: Path,
    /,
    local: int | None = None,
    out: Path | None = None,
    processes: int = 1,
    seed: int = 0,
) -> None:
    """Runs a sweep on this machine, with no account and no network: SWEEP.yaml is the same as for wandb sweep.

    Every trial is a run of wavenet fit. A sweep that was interrupted or killed resumes with the same command, and so do
    the runs in it.

    Args:
        file: A sweep, such as configs/sweeps/demo.yaml.
        local: How many trials there are to be in all; by default the grid's, or the file's run_cap.
        out: Folder for the sweep; by default sweeps/ and the name of the file.
        processes: Trials side by side.
        seed: Of the values that are drawn.

    Raises:
        RequestError: The file is no sweep, or the folder has another one.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from lightning_wavenet.errors import RequestError
    from lightning_wavenet.files.atomic import need_folder, write_atomically, write_text
    from lightning_wavenet.sweeps.sweep_file import SweepFile

    told = SweepFile.read(file)
    count = told.size if local is None else local if told.method != "grid" else min(local, told.size or local)
    if count is None:
        raise RequestError(f"say how many trials with --local N: {file} has no run_cap")
    if count < 1 or processes < 1 or seed < 0:
        raise RequestError("local and processes must be positive, and seed not negative")
    out = out or Path("sweeps") / file.stem
    need_folder(out)
    try:
        from lightning_wavenet.sweeps.local import LocalSweep, Outcome
        from lightning_wavenet.sweeps.report import as_csv, draw, table
    except ImportError as error:
        raise RequestError(f'wavenet sweep needs the extra "sweeps": pip install -e ".[sweeps]" ({error})') from error

    def tell(outcome: Outcome) -> None:
        metric = "-" if outcome.metric is None else f"{outcome.metric:.5g}"
        values = ", ".join(f"{name} {value}" for name, value in outcome.values.items())
        print(f"trial {outcome.place:03d} {outcome.state}: {told.metric} {metric} ({values})", flush=True)

    local_sweep = LocalSweep(told, out, seed)
    try:
        before = len(local_sweep.outcomes())
        print(f"{count} trials in {out}, {before} of them have ended before", flush=True)
        local_sweep.run(count, processes, tell)
        rows = table(told, local_sweep.outcomes())
        shown = Table(title=f"{told.metric}, {told.goal}", title_justify="left", box=None, pad_edge=False)
        for name in rows[0]:
            shown.add_column(escape(name.rpartition(".")[2]), no_wrap=True)
        for row in rows[1:]:
            shown.add_row(*map(escape, row))
        Console().print(shown)
        write_text(out / "trials.csv", as_csv(rows))
        print(f"the runs are in {out / 'trials'}, the table in {out / 'trials.csv'}")
        if sum(outcome.state == "done" for outcome in local_sweep.outcomes()) > 1:
            write_atomically(out / "trials.png", lambda path: draw(local_sweep, path))
            print(f"a picture of it is in {out / 'trials.png'}")
    finally:
        local_sweep.close()


main = verb(sweep, "sweep")
