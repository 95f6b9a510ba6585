"""Ratings of published listening tests, where they are at hand."""

from __future__ import annotations

import ast

import pandas as pd

from lightning_wavenet.listening.analysis import opinions
from lightning_wavenet.listening.columns import Columns
from lightning_wavenet.listening.ratings import read_elsewhere

VCC_2018 = r"^(?P<system2>[A-Z]\d+)_(?P<sentence>.*)_(?P<system1>HUB|SPO|NAT)\.wav$"


def test_means_of_the_voice_conversion_challenge_are_those_published(real_corpus):
    folder = real_corpus("ratings/vcc2018")
    paths = [folder / f"vcc2018_{part}_data.csv" for part in ("training", "valid", "testing")]
    columns = Columns(listener="JUDGE", score="MOS", stimulus="WAV_PATH", pattern=VCC_2018)
    ratings, bad = read_elsewhere(paths, columns)
    assert len(ratings) + len(bad) == 61_040
    assert not bad
    published = pd.read_csv(folder / "published_vcc2018_system.csv").set_index("system_ID")["mean"]
    found = {one.system: one for one in opinions(ratings)}
    assert found.keys() == set(published.index)
    for system, mean in published.items():
        one = found[system]
        assert abs(one.t.mean - mean) < 0.06
        # Listeners differ: who takes ratings for independent finds half of the interval.
        assert one.t.half < one.crowdmos.half < 4 * one.t.half
        assert 0.8 < one.clustered.half / one.crowdmos.half < 1.25


def test_scores_in_lists_come_in_with_their_scale(real_corpus, tmp_path):
    table = pd.read_csv(real_corpus("ratings/mushra_codec") / "ratings_formated.csv")
    for name in ("ratings", "participant_ids"):
        table[name] = table[name].map(ast.literal_eval)
    long = table.explode(["ratings", "participant_ids"])
    long.to_csv(tmp_path / "long.csv", index=False)
    columns = Columns("participant_ids", "ratings", "condition", "signal", low=0, high=100)
    ratings, bad = read_elsewhere([tmp_path / "long.csv"], columns)
    assert not bad
    assert len(ratings) == 1_512
    assert len({*ratings.listener}) == 21
    expected = long.groupby("condition").ratings.mean()
    assert len(expected) == 9
    for one in opinions(ratings):
        assert abs(one.t.mean - expected[one.system]) < 1e-9
        assert one.sentences == 16
