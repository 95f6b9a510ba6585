"""TextGrids as Praat reads them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lightning_wavenet.files.textgrid import write_textgrid


def parsed(path: Path) -> tuple[float, dict[str, list[tuple[float, float, str]]]]:
    """Duration and tiers of a TextGrid in its long form."""
    text = path.read_text("utf-8")
    assert text.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n')
    head, *items = re.split(r"item \[\d+\]:", text)
    tiers = {}
    for item in items:
        assert 'class = "IntervalTier"' in item
        intervals = re.findall(r'xmin = (\S+) \n\s*xmax = (\S+) \n\s*text = "((?:[^"]|"")*)"', item)
        sized = re.search(r"intervals: size = (\d+)", item)
        assert sized is not None
        assert int(sized[1]) == len(intervals)
        tiers[re.search(r'name = "(.*)"', item)[1]] = [
            (float(start), float(end), label.replace('""', '"')) for start, end, label in intervals
        ]
    return float(re.search(r"xmax = (\S+)", head)[1]), tiers


def test_intervals_are_read_as_they_were_written_and_gaps_are_empty(tmp_path):
    phones = [(0.0, 0.25, "sil"), (0.25, 0.4, "AH0"), (0.5, 1.25, "T")]
    write_textgrid(tmp_path / "a.TextGrid", 1.5, {"words": [(0.25, 0.4, 'a "word"')], "phones": phones})
    seconds, tiers = parsed(tmp_path / "a.TextGrid")
    assert seconds == 1.5
    assert list(tiers) == ["words", "phones"]
    assert tiers["words"] == [(0, 0.25, ""), (0.25, 0.4, 'a "word"'), (0.4, 1.5, "")]
    assert tiers["phones"] == [*phones[:2], (0.4, 0.5, ""), phones[2], (1.25, 1.5, "")]


def test_what_lies_outside_the_recording_is_cut_off(tmp_path):
    write_textgrid(tmp_path / "a.TextGrid", 1.0, {"phones": [(-0.1, 0.5, "a"), (0.5, 1.2, "b"), (1.2, 1.3, "c")]})
    assert parsed(tmp_path / "a.TextGrid")[1]["phones"] == [(0, 0.5, "a"), (0.5, 1, "b")]


def test_a_file_that_cannot_be_written_whole_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.TextGrid"
    write_textgrid(path, 1.0, {"phones": [(0, 1, "a")]})
    before = path.read_text()
    with pytest.raises(Exception):  # noqa: B017, PT011 - of what kind is the library's business
        write_textgrid(path, 1.0, {"phones": [(0, 0.6, "a"), (0.4, 1, "b")]})
    assert path.read_text() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.TextGrid"]
