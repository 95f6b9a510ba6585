"""`wavenet listening export|serve|analyze`: MOS and preference tests, from clips to tables."""

# No postponed annotations here: a parser is made of them.
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser, Namespace

from lightning_wavenet.cli.parsing import PARSER, add_flag, call, instantiate, parse, verb_parser
from lightning_wavenet.errors import RequestError
from lightning_wavenet.listening.columns import Columns

if TYPE_CHECKING:
    from rich.progress import Progress

    from lightning_wavenet.listening.analysis import Opinion
    from lightning_wavenet.listening.export import Exporter
    from lightning_wavenet.listening.generation import Pending
    from lightning_wavenet.listening.ratings import BadRow, Screened
    from lightning_wavenet.listening.tables import Table

EXTRA = 'needs the extra "listening": pip install -e ".[listening]"'


def main(arguments: list[str]) -> None:
    """Parses the options of `wavenet listening`, and does what they ask for."""
    try:
        import pyloudnorm  # noqa: F401
        import starlette  # noqa: F401
    except ImportError as error:
        raise RequestError(f"wavenet listening {EXTRA} ({error})") from error
    parser = ArgumentParser(
        prog="wavenet listening", description="Makes, serves and analyzes listening tests.", **PARSER
    )
    verbs = parser.add_subcommands(dest="verb", metavar="VERB")
    verbs.add_subcommand("export", _export_parser(arguments), help="a study out of clips and checkpoints")
    for name, (function, text) in _VERBS.items():
        verbs.add_subcommand(name, verb_parser(function, arguments), help=text)
    options = instantiate(parser, parse(parser, _with_config(arguments)))
    if options.verb == "export":
        export(options.export)
    else:
        call(_VERBS[options.verb][0], options[options.verb])


def _with_config(arguments: list[str]) -> list[str]:
    """Arguments in which the file of a study is an option."""
    if arguments[:1] == ["export"] and len(arguments) > 1 and not arguments[1].startswith("-"):
        return ["export", "--config", *arguments[1:]]
    return arguments


def _export_parser(arguments: list[str]) -> ArgumentParser:
    parser = ArgumentParser(
        description="Makes a study: a folder with blinded clips, a page, and the key to them.", **PARSER
    )
    if arguments[:1] != ["export"]:
        return parser
    from lightning_wavenet.listening.study import Study

    parser.add_argument("-c", "--config", action="config", help="a study, STUDY.yaml")
    parser.add_argument("--out", type=Path, required=True, help="folder for the study")
    add_flag(parser, "--overwrite", "Replace a study that is there.")
    parser.add_class_arguments(Study, as_positional=False)
    return parser


def export(options: Namespace) -> None:
    """Makes a study."""
    from rich.console import Console
    from rich.progress import track

    from lightning_wavenet.cli.clips import bars
    from lightning_wavenet.files.atomic import need_folder
    from lightning_wavenet.listening.export import Exporter
    from lightning_wavenet.listening.generation import pending
    from lightning_wavenet.listening.study import Sources, Study
    from lightning_wavenet.machine.devices import all_devices

    given = dict(vars(options))
    out, overwrite = given.pop("out"), given.pop("overwrite")
    given.pop("config", None)
    study = Study(**given)
    need_folder(out)
    generated = out / "private" / "clips"
    if (out / "study.json").exists() and not overwrite:
        raise RequestError(f"{out} has a study in it: choose another --out, or say --overwrite")
    if not overwrite and out.is_dir() and any(path.name != "private" for path in out.iterdir()):
        raise RequestError(f"{out} has other files in it: choose another --out")
    sources = Sources(study, generated)
    for name in sources.checkpoints:
        if parts := pending(sources, name, all_devices()):
            count = sum(len(part.streams) for part in parts)
            print(f"{name}: {count} of {len(sources.sentences)} sentences to generate")
            chunk = max(1, parts[0].about[0].sample_rate_hz // 10)
            with bars() as progress, ThreadPoolExecutor(len(parts)) as pool:
                # The first in this thread, which is the one that Ctrl-C interrupts.
                others = pool.map(partial(_generate, chunk, progress), parts[1:])
                _generate(chunk, progress, parts[0])
                list(others)
    exporter = Exporter(sources)
    silent = not Console().is_terminal
    count = len(exporter.stimuli)
    measured = list(track(exporter.measured(), "measuring", count, transient=True, disable=silent))
    building = out.with_name(f".{out.name}.part")
    shutil.rmtree(building, ignore_errors=True)
    try:
        for _ in track(exporter.write(measured, building), "writing", count, transient=True, disable=silent):
            pass
        out.mkdir(parents=True, exist_ok=True)
        (out / "study.json").unlink(missing_ok=True)
        shutil.rmtree(out / "public", ignore_errors=True)
        (building / "public").rename(out / "public")
        (out / "private").mkdir(exist_ok=True)
        for path in (building / "private").iterdir():
            if (there := out / "private" / path.name).is_dir():
                shutil.rmtree(there)
            path.replace(there)
        (building / "study.json").replace(out / "study.json")
    finally:
        shutil.rmtree(building, ignore_errors=True)
    _tell(exporter, out, exporter.target(measured))


def _generate(chunk_samples: int, progress: "Progress", part: "Pending") -> None:
    from lightning_wavenet.cli.clips import make_clips

    make_clips(*part, chunk_samples, progress)


def _tell(exporter: "Exporter", out: Path, target: float) -> None:
    """What was made, and what it takes."""
    from lightning_wavenet.listening.intervals import detectable, t_interval_of

    study, design, forms = exporter.study, exporter.study.design, exporter.forms
    sentences = len(exporter.sources.sentences)
    clips = f"{len(exporter.stimuli)} clips of {target:.1f} LUFS"
    print(f"{len(study.systems)} systems, {sentences} sentences, {clips} in {out}")
    trials = {sum(trial.role == "rated" for trial in form) for form in forms}
    most = max(trials)
    print(
        f"it takes {len(forms)} listeners with {most if len(trials) == 1 else f'{min(trials)} or {most}'} trials each "
        f"that count and {max(map(len, forms)) - most} that check or show, and more where some are left out: in the "
        "paper about 40 % of the ratings, for want of headphones"
    )
    ratings = sentences * design.ratings
    if study.kind == "mos":
        print(
            f"{ratings:,} ratings a system: intervals of ± {t_interval_of(1.0, ratings):.2f} or wider, and differences "
            f"of {detectable(1.0, ratings):.2f} found with a power of 80 %, if ratings deviate by 1 and are independent"
        )
    else:
        print(f"{ratings:,} ratings a pair: parts within ± {100 * 0.98 / ratings**0.5:.1f} points or less")
    print("public/ is for listeners; study.json and private/ are the key, and stay with you")


_COLUMNS = Columns()


def analyze(
    results: list[Path],
    /,
    study: Path | None = None,
    columns: Columns = _COLUMNS,
    keep: Sequence[Literal["no headphones", "failed gold", "incomplete"]] = (),
    out: Path | None = None,
    wandb: str | None = None,
    overwrite: bool = False,
) -> None:
    """Tells what the ratings of a listening test come to: MOS with 95 % intervals, or preferences with p-values.

    Listeners who had no headphones, missed a gold trial or did not finish are left out, and counted. Three intervals
    stand side by side: by t, which takes ratings for independent; by CrowdMOS's model of listeners and sentences; and
    by bootstrap clustered on both.

    Args:
        results: Files of the page or the receiver; or, without a study, tables of ratings made elsewhere.
        study: Folder that wavenet listening export made.
        columns: Of ratings made elsewhere.
        keep: Listeners that are not left out for these reasons.
        out: Write tables (Markdown, CSV, LaTeX) and pictures (PNG, SVG) to this folder.
        wandb: Log the tables to this project of Weights & Biases.
        overwrite: Replace what is in that folder.

    Raises:
        RequestError: A file cannot be read, or nothing in it can be used.
    """
    from lightning_wavenet.files.atomic import need_folder, refuse_existing
    from lightning_wavenet.listening import ratings, tables
    from lightning_wavenet.listening.analysis import differences, opinions, preferred

    if out is not None:
        need_folder(out)
        refuse_existing([out], overwrite)
    if study is None:
        given, bad = ratings.read_elsewhere(results, columns)
        _tell_bad(bad)
        if given.empty:
            raise RequestError(f"{results[0]} has no rating that can be used")
        found = opinions(given)
        systems = [one.system for one in found]
    else:
        key = ratings.Key.read(study)
        answers, bad = ratings.read_answers(results, key)
        _tell_bad(bad)
        screen = ratings.screened(answers, key, keep)
        _tell_screen(screen, key.kind)
        if screen.answers.empty:
            raise RequestError("no listener is left whose answers count")
        systems = list(key.systems)
        if key.kind == "preference":
            won = preferred(ratings.preferences(screen.answers, key), systems)
            _show([tables.preference_table(won, systems)], out, wandb)
            if out is not None:
                _draw(out / "preferences", partial(tables.draw_preferences, won))
            return
        given = ratings.scores(screen.answers, key)
        found = opinions(given, systems)
        systems = [one.system for one in found]
    made = [tables.mos_table(found), tables.difference_table(differences(given, systems))]
    _show(made, out, wandb)
    if out is not None:
        _draw(out / "mos", partial(tables.draw_mos, found))
    _tell_next(found, columns.high - columns.low if study is None else 4.0)


_ROWS = 40
"""Of a table that are printed."""
_SHOWN = 5
"""Bad rows that are printed."""


def _tell_bad(bad: "Sequence[BadRow]") -> None:
    for row in bad[:_SHOWN]:
        print(f"left out: {row}")
    if len(bad) > _SHOWN:
        print(f"left out: {len(bad) - _SHOWN:,} rows more")


def _tell_screen(screen: "Screened", kind: str) -> None:
    out = sum(map(len, screen.left_out.values()))
    reasons = ", ".join(f"{len(who)} {reason}" for reason, who in screen.left_out.items())
    print(f"{screen.listeners} listeners, {out} left out ({reasons})" if reasons else f"{screen.listeners} listeners")
    if screen.steadiness is not None:
        apart, count = screen.steadiness
        what = f"{apart:.2f} points apart" if kind == "mos" else f"different {100 * apart:.0f} % of the time"
        print(f"repeated trials: {what} ({count})")


def _show(made: "Sequence[Table]", out: Path | None, wandb: str | None) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Shown

    from lightning_wavenet.files.atomic import write_text

    for table in made:
        shown = Shown(title=table.caption, title_justify="left", box=None, pad_edge=False)
        for number, name in enumerate(table.head):
            shown.add_column(escape(name), justify="right" if number else "left", no_wrap=True)
        for row in table.rows[:_ROWS]:
            shown.add_row(*map(escape, row))
        Console().print(shown)
        if len(table.rows) > _ROWS:
            print(
                f"and {len(table.rows) - _ROWS} rows more{'' if out is not None else ': --out writes them to a folder'}"
            )
        if out is not None:
            for suffix, text in ((".md", table.markdown()), (".csv", table.csv()), (".tex", table.latex())):
                write_text(out / f"{table.name}{suffix}", text)
    if wandb is not None:
        import wandb as weights_and_biases

        with weights_and_biases.init(project=wandb, job_type="listening test") as run:
            for table in made:
                run.log(
                    {
                        table.name: weights_and_biases.Table(
                            columns=list(table.head), data=[list(row) for row in table.rows]
                        )
                    }
                )
    if out is not None:
        print(f"tables and pictures are in {out}")


def _draw(stem: Path, draw: "Callable[..., None]") -> None:
    from lightning_wavenet.files.atomic import write_atomically

    for kind in ("png", "svg"):
        write_atomically(stem.with_suffix(f".{kind}"), partial(draw, kind=kind))


def _tell_next(found: "Sequence[Opinion]", span: float) -> None:
    import numpy as np

    from lightning_wavenet.listening.intervals import ratings_needed

    deviation = float(np.sqrt(np.nanmean([one.deviation**2 for one in found])))
    by = [span * part / 4 for part in (0.3, 0.1)]
    needed = " and ".join(f"{ratings_needed(deviation, one):,} to find {one:g}" for one in by)
    print(f"for a next study (power 80 %, independent ratings of deviation {deviation:.2f}): {needed} ratings a system")


def serve(study: Path, /, out: Path | None = None, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Gives out the page of a study, and takes in the answers of its listeners.

    The page must have been told where to send them: --post http://HOST:PORT/answers of wavenet listening export.

    Args:
        study: Folder that wavenet listening export made.
        out: File that answers are added to, a JSON object a line; by default private/answers.jsonl of the study.
        host: Address to listen at; 0.0.0.0 for all of this machine's.
        port: Of it.

    Raises:
        RequestError: The folder has no study, or the port is taken.
    """
    from lightning_wavenet.listening.receiver import serve as run

    out = out or study / "private" / "answers.jsonl"
    print(f"http://{host}:{port} gives out {study}, and adds answers to {out}; Ctrl-C ends it", flush=True)
    run(study, out, host, port)


def forget(results: Path, /, study: Path, listener: str) -> None:
    """Deletes the answers of a listener who asked for that.

    Args:
        results: File that wavenet listening serve writes; it may be running.
        study: Folder of the study.
        listener: Whose.

    Raises:
        RequestError: There are none.
    """
    from lightning_wavenet.listening.ratings import Key
    from lightning_wavenet.listening.receiver import Results

    if not results.is_file():
        raise RequestError(f"there is no file {results}")
    count = Results(results, Key.read(study)).forget(listener)
    if not count:
        raise RequestError(f"{results} has no answer of {listener}")
    print(f"{count} answers of {listener} are deleted")


def simulate(study: Path, /, out: Path, seed: int = 0, overwrite: bool = False) -> None:
    """Answers a study by random numbers, one listener a form, to rehearse it: the earlier a system, the better.

    Args:
        study: Folder that wavenet listening export made.
        out: File for the answers, a JSON object a line.
        seed: Of all draws.
        overwrite: Replace that file.

    Raises:
        RequestError: The folder has no study, or the file exists.
    """
    from json import dumps

    from lightning_wavenet.files.atomic import need_folder, refuse_existing, write_text
    from lightning_wavenet.listening.ratings import Key
    from lightning_wavenet.listening.simulation import simulate as simulated

    need_folder(out.parent)
    refuse_existing([out], overwrite)
    rows = simulated(Key.read(study), seed)
    write_text(out, "".join(f"{dumps(row)}\n" for row in rows))
    print(f"{len(rows):,} answers by random numbers are in {out}: no result of a listening test")


_VERBS: dict[str, tuple[Callable[..., None], str]] = {
    "serve": (serve, "give out the page, and take in the answers"),
    "analyze": (analyze, "what the ratings come to: tables and pictures"),
    "simulate": (simulate, "answer a study by random numbers, to rehearse it"),
    "forget": (forget, "delete the answers of a listener"),
}
