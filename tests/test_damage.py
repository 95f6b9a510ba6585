"""Damaged files: used whole or named, whatever the command. `tests/damage.py` makes as many of them as one likes."""

from __future__ import annotations

import pytest
from damage import WAYS, damage, variants


def test_variants_differ_from_the_file_and_are_the_same_for_a_seed():
    data = bytes(range(200))
    made = list(variants(data, 10, seed=1))
    assert [way for way, _ in made] == 2 * list(WAYS)
    assert all(damaged != data for _, damaged in made)
    assert made == list(variants(data, 10, seed=1))
    assert made != list(variants(data, 10, seed=2))


@pytest.mark.slow
def test_no_command_falls_over_a_damaged_file(tmp_path):
    report = damage(tmp_path, count=5, seed=3)
    assert not report.faults
    assert set(report.counts) >= {"wav", "flac", "mp3", "ogg", "phn", "TextGrid", "metadata.csv", "cache", "checkpoint"}
    assert all(sum(counts.values()) == 5 for counts in report.counts.values())
