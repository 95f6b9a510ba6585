"""Listening tests: intervals and tests against theory and other libraries, assignment, export, and what comes back."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
import torchaudio
import yaml
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower

from lightning_wavenet.cli.main import main
from lightning_wavenet.errors import RequestError
from lightning_wavenet.listening import intervals, levels
from lightning_wavenet.listening.analysis import differences, opinions, preferred, sign_test
from lightning_wavenet.listening.assignment import Design, assign
from lightning_wavenet.listening.columns import Columns
from lightning_wavenet.listening.ratings import Key, preferences, read_answers, read_elsewhere, scores, screened
from lightning_wavenet.listening.simulation import Population, simulate

RATE = 16_000


# Statistics.


def test_the_t_interval_is_that_of_scipy():
    values = np.array([3.0, 4.0, 4.0, 5.0, 2.0, 4.0])
    low, high = stats.t.interval(0.95, 5, loc=values.mean(), scale=stats.sem(values))
    found = intervals.t_interval(values)
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high), abs=1e-12)


def test_crowdmos_of_a_complete_table_is_that_of_its_analysis_of_variance():
    """Where every listener rates every sentence, the variance of the mean is (MS_x + MS_y - MS_e) / (M N)."""
    draws = np.random.default_rng(3)
    table = 3 + draws.standard_normal((6, 1)) + draws.standard_normal((1, 9)) + 0.5 * draws.standard_normal((6, 9))
    of_rows, of_columns, mean = table.mean(1), table.mean(0), table.mean()
    rest = table - of_rows[:, None] - of_columns + mean
    variance = (9 * of_rows.var(ddof=1) + 6 * of_columns.var(ddof=1) - (rest**2).sum() / 40) / 54
    sentences, listeners = (places.ravel() for places in np.indices(table.shape))
    found = intervals.crowdmos_interval(table.ravel(), listeners, sentences)
    assert found.mean == pytest.approx(mean)
    assert found.half == pytest.approx(stats.t.ppf(0.975, 5) * variance**0.5)


def test_a_difference_of_paired_ratings_is_students_paired_test():
    """Ten listeners, each with a sentence of their own by both systems."""
    draws = np.random.default_rng(4)
    first, second = draws.normal(4, 1, 10), draws.normal(3.5, 1, 10)
    own = np.tile(np.arange(10), 2)
    by, p = intervals.difference(np.r_[first, second], np.repeat([False, True], 10), own, own)
    expected = stats.ttest_rel(first, second)
    low, high = expected.confidence_interval()
    assert by.mean == pytest.approx(first.mean() - second.mean())
    assert p == pytest.approx(expected.pvalue)
    assert by.half == pytest.approx((high - low) / 2)


def test_holm_is_that_of_statsmodels():
    p_values = [0.01, 0.04, 0.03, 0.005, 0.2]
    assert intervals.holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


@pytest.mark.parametrize("by", [0.1, 0.3])
def test_ratings_needed_are_those_of_statsmodels(by):
    needed = NormalIndPower().solve_power(by / 1.1, alpha=0.05, power=0.8)
    assert intervals.ratings_needed(1.1, by) == np.ceil(needed)
    assert intervals.detectable(1.1, int(np.ceil(needed))) == pytest.approx(by, rel=0.01)


@pytest.mark.parametrize(("won", "lost", "exact", "normal"), [(41.2, 32.4, 0.0030, 0.003), (25.0, 23.3, 0.52, 0.476)])
def test_the_sign_test_on_the_papers_table_2(won, lost, exact, normal):
    assert sign_test(round(8.5 * won), round(8.5 * lost)) == pytest.approx(exact, rel=0.02)
    z = (won - lost) * 8.1 / (8.1 * (won + lost)) ** 0.5  # of 810 ratings, without the correction for continuity
    assert 2 * stats.norm.sf(z) == pytest.approx(normal, rel=0.2)


def coverage(studies: int, listeners: float, sentences: float, noise: float) -> dict[str, float]:
    """In which part of studies (40 listeners, 50 sentences, 8 ratings each) an interval contains the true mean."""
    draws = np.random.default_rng(0)
    found = Counter[str]()
    what = np.repeat(np.arange(50), 8)
    for _ in range(studies):
        who = np.concatenate([draws.permutation(40) for _ in range(10)])
        values = listeners * draws.standard_normal(40)[who] + sentences * draws.standard_normal(50)[what]
        values = values + noise * draws.standard_normal(400)
        for name in ("t", "crowdmos", "clustered"):
            arguments = (values,) if name == "t" else (values, who, what)
            interval = getattr(intervals, f"{name}_interval")(*arguments)
            found[name] += abs(interval.mean) <= interval.half
    return {name: count / studies for name, count in found.items()}


def test_intervals_contain_the_truth_as_often_as_they_claim():
    """In 1,000 studies, 930 to 970 times where ratings come about as the interval takes for granted."""
    independent = coverage(1000, 0, 0, 1.0)
    assert 0.93 <= independent["t"] <= 0.97
    assert independent["clustered"] >= 0.93
    varied = coverage(1000, 0.4, 0.3, 0.8)
    assert varied["t"] < 0.8  # It takes ratings for independent, and they are not.
    assert 0.93 <= varied["crowdmos"] <= 0.97
    assert 0.93 <= varied["clustered"] <= 0.97


def test_too_few_ratings_have_no_interval():
    one = np.zeros(1, np.int64)
    for found in (
        intervals.t_interval(np.array([4.0])),
        intervals.crowdmos_interval(np.array([4.0]), one, one),
        intervals.clustered_interval(np.array([4.0]), one, one),
    ):
        assert found.mean == 4.0
        assert np.isnan(found.half)


# Assignment.


SYSTEMS = ["natural", "natural-mulaw", "lf", "l", "lstm"]
SENTENCES = [f"s{number:03d}" for number in range(23)]


@pytest.mark.parametrize("kind", ["mos", "preference"])
def test_forms_are_a_latin_square(kind):
    design = Design(ratings=4, trials=8)
    forms = assign(kind, SYSTEMS, SENTENCES, design, 1, "natural")
    per_round = 5 if kind == "mos" else 10  # systems, or pairs of them
    assert len(forms) == 4 * 3 * per_round  # 23 sentences are three blocks of at most 8
    rated = [[trial for trial in form if trial.role == "rated"] for form in forms]
    counts = Counter(frozenset(trial.heard) for form in rated for trial in form)
    assert len(counts) == 23 * per_round
    assert set(counts.values()) == {4}
    for form in rated:
        assert len({trial.heard[0].sentence for trial in form}) == len(form) <= 8
        of_system = Counter(trial.heard for trial in form) if kind == "mos" else Counter()
        assert max(Counter(trial.heard[0].system for trial in form).values() if of_system else [2]) <= 2
    if kind == "preference":  # Either is on the left as often as on the right.
        assert set(Counter(trial.heard for form in rated for trial in form).values()) == {2}


@pytest.mark.parametrize("kind", ["mos", "preference"])
def test_forms_have_trials_that_check(kind):
    forms = assign(kind, SYSTEMS, SENTENCES, Design(2, 10, gold=2, repeats=2, calibration=3), 2, "natural")
    orders = set()
    for form in forms:
        roles = Counter(trial.role for trial in form)
        assert (roles["gold"], roles["repeat"], roles["calibration"]) == (2, 2, 3)
        assert [trial.role for trial in form[:3]] == ["calibration"] * 3
        own = {trial.heard[0].sentence for trial in form if trial.role == "rated"}
        assert not own & {trial.heard[0].sentence for trial in form if trial.role == "gold"}
        for place, trial in enumerate(form):
            if trial.role == "repeat":
                assert trial.original is not None
                assert form[trial.original].heard == trial.heard
                assert place - trial.original >= 4
        orders.add(tuple(trial.heard for trial in form))
    assert len(orders) == len(forms)
    assert forms == assign(kind, SYSTEMS, SENTENCES, Design(2, 10, 2, 2, 3), 2, "natural")


# Export.


def write_speech(folder: Path, names: list[str], seed: int, rate: int = RATE, seconds: float = 0.9) -> None:
    """Noise with the loudness of syllables; every clip another length and level."""
    draws = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for name in names:
        count = int(rate * seconds * draws.uniform(0.8, 1.2))
        envelope = 0.6 + 0.4 * np.sin(np.arange(count) * 2 * np.pi * 4 / rate)
        wave = draws.uniform(0.05, 0.5) * envelope * draws.uniform(-1, 1, count)
        soundfile.write(folder / f"{name}.wav", wave, rate, subtype="PCM_16")


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Path:
    """Recordings of 12 sentences, and two systems of ten of them."""
    root = tmp_path_factory.mktemp("studio")
    names = [f"LJ001-{number:04d}" for number in range(1, 13)]
    write_speech(root / "wavs", names, 1)
    write_speech(root / "lf", names[:10], 2)
    write_speech(root / "l", names[2:], 3)
    (root / "metadata.csv").write_text("".join(f"{name}|Raw {name}|Sentence {name}\n" for name in names))
    study = {
        "recordings": str(root / "wavs"),
        "texts": str(root / "metadata.csv"),
        "systems": {
            "natural": None,
            "natural-mulaw": None,
            "lf": {"clips": str(root / "lf")},
            "l": {"clips": str(root / "l")},
        },
        "sentences": 6,
        "design": {"ratings": 4, "trials": 6},
    }
    (root / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return root


@pytest.fixture(scope="module")
def exported(studio) -> Path:
    main(["listening", "export", str(studio / "study.yaml"), "--out", str(studio / "mos"), "--seed", "5"])
    return studio / "mos"


@pytest.fixture(scope="module")
def paired(studio) -> Path:
    arguments = ["listening", "export", str(studio / "study.yaml"), "--out", str(studio / "pairs")]
    main([*arguments, "--kind", "preference", "--sentences", "4", "--design.trials", "4"])
    return studio / "pairs"


def manifest(study: Path) -> list[dict[str, str]]:
    with (study / "private" / "manifest.csv").open() as file:
        return list(csv.DictReader(file))


def test_clips_have_one_loudness_and_nothing_of_their_system(exported):
    rows = manifest(exported)
    assert {row["system"] for row in rows} == {"natural", "natural-mulaw", "lf", "l", "mnru-0", "mnru-15"}
    lengths: dict[str, set[int]] = {}
    for row in rows:
        path = exported / "public" / "audio" / f"{row['id']}.wav"
        wave, rate = soundfile.read(path, dtype="float32")
        assert rate == RATE
        assert soundfile.info(path).subtype == "PCM_16"
        assert path.stat().st_size == 44 + 2 * len(wave)  # no chunk but the audio
        assert np.abs(wave).max() <= 10 ** (-1 / 20) + 1e-4
        edge = round(0.15 * RATE)
        assert not wave[:edge].any()
        assert not wave[-edge:].any()
        meter = torchaudio.functional.loudness(torch.from_numpy(wave)[None], RATE)
        assert float(meter) == pytest.approx(-23, abs=0.5)
        lengths.setdefault(row["sentence"], set()).add(len(wave))
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
    assert all(len(both) == 1 for both in lengths.values())
    public = "".join(path.read_text("latin-1") for path in (exported / "public").iterdir() if path.is_file())
    assert not any(word in public for word in ("mulaw", "mnru", "LJ001", "gold", str(exported)))


def test_natural_speech_differs_by_its_gain_alone(exported, studio):
    for row in manifest(exported):
        if row["system"] != "natural":
            continue
        source, _ = soundfile.read(studio / "wavs" / f"{row['sentence']}.wav")
        there, _ = soundfile.read(exported / "public" / "audio" / f"{row['id']}.wav")
        own = there[round(0.15 * RATE) :][: len(source)]
        gain = 10 ** (float(row["gain_db"]) / 20)
        assert np.abs(own - gain * source).max() <= 0.6 / 2**15
        assert row["text"] == f"Sentence {row['sentence']}"


def test_the_same_seed_gives_the_same_bytes(exported, studio):
    for seed, same in (("5", True), ("6", False)):
        again = studio / f"again-{seed}"
        main(["listening", "export", str(studio / "study.yaml"), "--out", str(again), "--seed", seed])
        files = sorted(path.relative_to(exported) for path in exported.rglob("*") if path.is_file())
        assert (files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())) is same
        if same:
            assert all((exported / name).read_bytes() == (again / name).read_bytes() for name in files)


def refused(arguments: list[str], capsys) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["listening", *arguments])
    assert stop.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--sentences", "[LJ001-0001]"], "l has no sentence LJ001-0001"),
        (["--sentences", "9"], "8 are there by every system"),
        (["--sentences", "[LJ001-0004, LJ001-0004]"], "twice"),
        (["--recordings", "null"], "needs the recordings"),
        (["--design.repeats", "4"], "at most half"),
        (["--systems", "{x: {}}"], "systems.x needs either clips, a folder, or a checkpoint"),
        (["--systems", "{natural: {clips: lf}}"], "has no clips"),
        (["--systems", "{x: {checkpoint: nowhere.ckpt}}"], "there is no checkpoint"),
    ],
)
def test_what_cannot_be_a_study_is_refused_in_a_line(change, said, studio, tmp_path, capsys):
    message = refused(["export", str(studio / "study.yaml"), "--out", str(tmp_path / "out"), *change], capsys)
    assert said in message
    assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("wave", "rate", "said"),
    [
        (np.zeros(8_000), RATE, "is silent"),
        (np.clip(3 * np.sin(np.arange(8_000) / 20), -1, 1), RATE, "is clipped"),
        (0.1 * np.sin(np.arange(8_000) / 20), 8_000, "8000"),
    ],
)
def test_clips_that_cannot_be_rated_are_named(wave, rate, said, studio, tmp_path, capsys):
    folder = tmp_path / "bad"
    write_speech(folder, ["LJ001-0004", "LJ001-0005"], 7)
    soundfile.write(folder / "LJ001-0005.wav", wave, rate)
    change = ["--systems", f"{{natural: null, x: {{clips: {folder}}}}}", "--sentences", "2"]
    message = refused(["export", str(studio / "study.yaml"), "--out", str(tmp_path / "out"), *change], capsys)
    assert said in message
    assert "LJ001-0005" in message


def test_a_study_is_not_replaced_unasked(exported, studio, capsys):
    assert "--overwrite" in refused(["export", str(studio / "study.yaml"), "--out", str(exported)], capsys)


def test_other_tools_get_the_same_study(exported, paired):
    forms = sorted((exported / "private" / "webmushra").iterdir())
    assert len(forms) == len(list(csv.DictReader((exported / "private" / "links.csv").open())))
    config = yaml.safe_load(forms[0].read_text())
    kinds = Counter(page["type"] for page in config["pages"])
    assert kinds == {"volume": 1, "likert_single_stimulus": 6 + 2 + 1 + 3, "finish": 1}
    assert all(
        (exported / "public" / path).is_file() for page in config["pages"][1:-1] for path in page["stimuli"].values()
    )
    gold = list(csv.DictReader((exported / "private" / "p808" / "gold_clips.csv").open()))
    assert {row["gold_clips_ans"] for row in gold} == {"1", "5"}
    pairs = list(csv.DictReader((paired / "private" / "p808" / "rating_clips.csv").open()))
    assert len(pairs) == 4 * 6
    assert pairs[0].keys() == {"rating_clips", "references"}


def test_loudness_of_short_clips_is_their_rms():
    wave = 0.25 * np.ones(1_000)
    assert levels.loudness(wave, RATE) == pytest.approx(20 * np.log10(0.25))


def test_speech_in_noise_has_the_ratio_that_it_is_named_after():
    """Where there is room below the peak of the speech."""
    wave = np.random.default_rng(0).uniform(-0.1, 0.1, 100_000)
    wave[0] = 0.9
    noise = levels.in_noise(wave, 15.0, 0) - wave
    assert 10 * np.log10((wave**2).mean() / (noise**2).mean()) == pytest.approx(15, abs=0.3)
    assert np.abs(levels.in_noise(wave, 0.0, 0)).max() <= np.abs(wave).max()


# Ratings and what they come to.


def answered(study: Path, **population: float) -> tuple[Key, list[dict]]:
    key = Key.read(study)
    return key, simulate(key, 1, Population(**population))


def write_lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_bad_rows_are_named_and_left_out(exported, tmp_path):
    key, rows = answered(exported, without_headphones=0, careless=0)
    good = rows[:4]
    bad = [
        rows[4] | {"study": "another"},
        rows[4] | {"listener": "=1+1"},
        rows[4] | {"form": 999},
        rows[4] | {"trial": -1},
        rows[4] | {"first": "0" * 12},
        rows[4] | {"answer": "6"},
        rows[4] | {"answer": "left"},
        rows[0],
        rows[4] | {"form": 1},
    ]
    path = write_lines(tmp_path / "answers.jsonl", [*good, *bad])
    with path.open("a") as file:
        file.write('{"torn": \n')
    answers, left_out = read_answers([path], key)
    assert len(answers) == 4
    assert [row.line for row in left_out] == list(range(5, 15))
    reasons = [row.reason for row in left_out]
    words = (
        "another study",
        "listener",
        "no trial",
        "no trial",
        "ids",
        "'6'",
        "'left'",
        "before",
        "ids",
        "not an answer",
    )
    assert all(word in reason for word, reason in zip(words, reasons, strict=True))


def test_answers_are_the_same_from_csv_json_and_lines(exported, tmp_path):
    key, rows = answered(exported)
    lines = write_lines(tmp_path / "a.jsonl", rows)
    (tmp_path / "a.json").write_text(json.dumps(rows))
    pd.DataFrame(rows).to_csv(tmp_path / "a.csv", index=False)
    read = [read_answers([path], key) for path in (lines, tmp_path / "a.json", tmp_path / "a.csv")]
    assert all(not bad for _, bad in read)
    for answers, _ in read[1:]:
        pd.testing.assert_frame_equal(answers.drop(columns="seconds"), read[0][0].drop(columns="seconds"))


def test_listeners_are_screened(exported, tmp_path):
    key, rows = answered(exported, without_headphones=0, careless=0, of_listeners=0, of_sentences=0, noise=0)
    by = {row["listener"]: row for row in rows}
    deaf, lazy, quick = list(by)[:3]
    gold = {place for place, trial in key.trials.items() if trial["role"] == "gold"}
    changed = []
    for row in rows:
        if row["listener"] == deaf:
            row = row | {"headphones": "no"}
        if row["listener"] == lazy and (row["form"], row["trial"]) in gold:
            expected = key.trials[row["form"], row["trial"]]["expected"].split()
            row = row | {"answer": "5" if "1" in expected else "1"}
        if row["listener"] != quick or row["trial"] < 6:
            changed.append(row)
    answers, bad = read_answers([write_lines(tmp_path / "a.jsonl", changed)], key)
    assert not bad
    found = screened(answers, key)
    assert found.left_out == {"no headphones": [deaf], "failed gold": [lazy], "incomplete": [quick]}
    assert found.listeners == len(by)
    assert found.answers.listener.nunique() == len(by) - 3
    assert found.steadiness == (0.0, len(by) - 3)
    kept = screened(answers, key, keep=["incomplete", "no headphones"])
    assert kept.left_out == {"failed gold": [lazy]}
    rated = scores(found.answers, key)
    assert set(rated[rated.system == "natural"].score) == {4.0}  # 4.2, rounded
    assert set(rated[rated.system == "l"].score) == {3.0}  # 2.7


def test_preferences_do_not_depend_on_sides(paired, tmp_path):
    """Without noise the first named system of every pair wins always, 0.5 points ahead or more."""
    key, rows = answered(paired, without_headphones=0, careless=0, of_sentences=0, of_listeners=0, noise=0)
    answers, _ = read_answers([write_lines(tmp_path / "a.jsonl", rows)], key)
    assert set(answers[answers.role == "rated"].answer) == {"left", "right"}
    won = preferred(preferences(answers, key), key.systems)
    assert [(one.first, one.second) for one in won][:2] == [("natural", "natural-mulaw"), ("natural", "lf")]
    for one in won:
        assert (one.wins, one.losses, one.none) == (16, 0, 0)
        assert one.p == pytest.approx(2 * 0.5**16)
        assert one.p_holm == pytest.approx(6 * one.p)


def test_a_study_of_the_papers_size_finds_the_planted_order(tmp_path):
    """100 sentences, five systems, eight ratings each; neighbors are 0.3 apart."""

    sentences = [f"t{number:03d}" for number in range(100)]
    forms = assign("mos", SYSTEMS, sentences, Design(), 0, "natural")
    names = {
        stimulus: f"{stimulus.system}/{stimulus.sentence}"
        for form in forms
        for trial in form
        for stimulus in trial.heard
    }
    trials = {
        (number, place): {
            "role": trial.role,
            "first": names[trial.heard[0]],
            "second": "",
            "expected": " ".join(trial.expected),
            "original": "" if trial.original is None else str(trial.original),
        }
        for number, form in enumerate(forms)
        for place, trial in enumerate(form)
    }
    key = Key("s", "mos", SYSTEMS, trials, {name: tuple(stimulus) for stimulus, name in names.items()})
    rows = simulate(key, 2, Population(apart=0.3))
    answers, bad = read_answers([write_lines(tmp_path / "a.jsonl", rows)], key)
    assert not bad
    found = screened(answers, key)
    assert len(found.left_out["no headphones"]) > 10
    rated = scores(found.answers, key)
    assert [one.system for one in opinions(rated)] == SYSTEMS
    tested = {(one.first, one.second): one for one in differences(rated, SYSTEMS)}
    for first, second in pairwise(SYSTEMS):
        assert tested[first, second].p_holm < 0.01
        assert tested[first, second].by.mean == pytest.approx(0.3, abs=0.15)


def test_the_commands_go_from_a_study_to_tables(exported, tmp_path, capsys):
    answers, out = tmp_path / "answers.jsonl", tmp_path / "tables"
    main(["listening", "simulate", str(exported), "--out", str(answers)])
    main(["listening", "analyze", str(answers), "--study", str(exported), "--out", str(out)])
    said = capsys.readouterr().out
    assert "left out" in said
    assert "natural-mulaw" in said
    assert {path.name for path in out.iterdir()} == {
        *(f"{name}.{kind}" for name in ("mos", "differences") for kind in ("md", "csv", "tex")),
        *("mos.png", "mos.svg"),
    }
    assert (out / "mos.md").read_text().startswith("| system | MOS | by t |")
    assert r"$\pm$" in (out / "mos.tex").read_text()


def test_ratings_made_elsewhere_come_in_with_their_scale(tmp_path, capsys):
    """Lists in cells, as of a MUSHRA test, become one rating a row."""
    wide = pd.DataFrame(
        {
            "signal": ["a", "a", "b", "b"],
            "condition": ["x", "y", "x", "y"],
            "ratings": ["[90.0, 80.0]", "[20.0, 30.0]", "[100.0, 70.0]", "[10.0, 140.0]"],
            "participant_ids": ["[1, 2]"] * 4,
        }
    )
    for name in ("ratings", "participant_ids"):
        wide[name] = wide[name].map(json.loads)
    path = tmp_path / "long.csv"
    wide.explode(["ratings", "participant_ids"]).to_csv(path, index=False)
    columns = Columns(
        listener="participant_ids", score="ratings", system="condition", sentence="signal", low=0, high=100
    )
    ratings, bad = read_elsewhere([path], columns)
    assert [(row.line, row.reason) for row in bad] == [(9, "the score '140.0' is not from 0 to 100")]
    means = {one.system: (one.t.mean, one.ratings) for one in opinions(ratings)}
    assert means == {"x": (85.0, 4), "y": (20.0, 3)}
    options = ["--columns.listener", "participant_ids", "--columns.score", "ratings", "--columns.system", "condition"]
    main(["listening", "analyze", str(path), *options, "--columns.sentence", "signal", "--columns.high", "100"])
    assert "85.00" in capsys.readouterr().out


def test_names_of_files_hold_system_and_sentence(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("file,mos,who\nN06_s1_SPO.wav,3,a\nN06_s1_HUB.wav,4,a\nother.wav,5,a\nN06_s2_SPO.wav,x,b\n")
    pattern = r"^(?P<system2>N\d+)_(?P<sentence>\w+)_(?P<system1>SPO|HUB)\.wav$"
    columns = Columns(listener="who", score="mos", stimulus="file", pattern=pattern)
    ratings, bad = read_elsewhere([path], columns)
    assert list(ratings.system) == ["SPO_N06", "HUB_N06"]
    assert list(ratings.sentence) == ["s1", "s1"]
    assert [(row.line, row.reason) for row in bad] == [(4, "no system"), (5, "the score 'x' is not numeric")]
    with pytest.raises(RequestError, match="go together"):
        Columns(pattern=pattern)


def test_a_preference_table_is_in_the_layout_of_table_2(paired, tmp_path, capsys):
    answers, out = tmp_path / "a.jsonl", tmp_path / "out"
    main(["listening", "simulate", str(paired), "--out", str(answers)])
    main(["listening", "analyze", str(answers), "--study", str(paired), "--out", str(out), "--keep", "failed gold"])
    rows = list(csv.DictReader((out / "preferences.csv").open()))
    assert list(rows[0]) == [*Key.read(paired).systems, "no preference", "p", "p (Holm)", "ratings"]
    for row in rows:
        parts = [float(row[name]) for name in [*Key.read(paired).systems, "no preference"] if row[name]]
        assert len(parts) == 3
        assert sum(parts) == pytest.approx(100, abs=0.2)
    assert (out / "preferences.png").stat().st_size > 5_000
    capsys.readouterr()
