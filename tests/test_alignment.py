"""What is said of an alignment, for recordings of which everything is known."""

from __future__ import annotations

import math

import pytest
import torch

from lightning_wavenet.models import TimedPhone
from lightning_wavenet.models.plausibility import Check, check, report

RATE = 1_000


def aligned(*phones: tuple[str, float, float], score: float = -1.0) -> list[TimedPhone]:
    """Phones (label, end in s, score), one after the other."""
    starts = [0.0, *(end for _, end, _ in phones)]
    return [
        TimedPhone(label, start, end, score, token)
        for token, ((label, end, score), start) in enumerate(zip(phones, starts, strict=False))
    ]


def recording(*stretches: tuple[int, float]) -> torch.Tensor:
    """So many samples of a square wave of a level each."""
    parts = [level * (-1.0) ** torch.arange(samples) for samples, level in stretches]
    return torch.cat(parts)


def test_an_utterance_in_numbers():
    phones = aligned(("sil", 0.1, -1.0), ("k", 0.15, -2.0), ("ae", 0.35, -0.5), ("t", 0.4, -4.0), ("sil", 0.5, -1.0))
    waveform = recording((100, 0.01), (50, 0.1), (200, 0.3), (50, 0.1), (100, 0.03))
    found = check("u1", waveform, RATE, phones, shortest=0.01)
    assert found.id == "u1"
    # (0.1 * 1 + 0.05 * 2 + 0.2 * 0.5 + 0.05 * 4 + 0.1 * 1) / 0.5
    assert found.score == pytest.approx(-1.2)
    # Three phones in 0.3 s.
    assert found.phones_a_second == pytest.approx(10)
    assert found.longest == pytest.approx(0.2)
    assert found.hasty == 0
    # The silences have a mean power of 0.0005, the phones of (50 * 0.01 + 200 * 0.09 + 50 * 0.01) / 300.
    assert found.silence_db == pytest.approx(10 * math.log10(0.0005 / (19 / 300)))
    assert found.doubts == []
    assert found.boundary_errors is None


def test_hasty_phones_are_those_that_last_no_longer_than_they_must():
    ends = [0.03, 0.06, 0.1, 0.15, 0.5]
    phones = aligned(*((label, end, -1.0) for label, end in zip("abcde", ends, strict=True)))
    found = check("u1", recording((500, 0.1)), RATE, phones, shortest=0.03)
    assert found.hasty == pytest.approx(2 / 5)
    assert found.doubts == ["40% of the phones as short as can be"]
    assert check("u1", recording((500, 0.1)), RATE, phones, shortest=0.02).doubts == []


def test_silences_are_no_phones_and_no_long_ones():
    for silence in ("sil", "h#", "pau", "_"):
        phones = aligned((silence, 2.0, -1.0), ("a", 2.1, -1.0))
        found = check("u1", recording((2_000, 0.001), (100, 0.1)), RATE, phones, shortest=0.01)
        assert found.longest == pytest.approx(0.1)
        assert found.silence_db == pytest.approx(-40)
        assert found.doubts == []


def test_what_is_not_plausible_is_said():
    phones = aligned(("sil", 0.2, -1.0), ("a", 0.9, -1.0), ("b", 0.91, -1.0), ("sil", 1.0, -1.0))
    found = check("u1", recording((200, 0.2), (710, 0.1), (90, 0.2)), RATE, phones, shortest=0.01)
    assert found.doubts == [
        "a phone of 0.70 s",
        "50% of the phones as short as can be",
        "silences at 6 dB of the speech",
    ]


@pytest.mark.parametrize(("start", "end", "counts"), [(0.0, 0.029, False), (0.0, 0.03, True), (0.34, 0.37, True)])
def test_silences_shorter_than_30_ms_are_not_measured(start, end, counts):
    waveform = recording((round(1_000 * start), 0.1), (round(1_000 * (end - start)), 0.01), (200, 0.1))
    phones = [
        *([TimedPhone("a", 0.0, start, -1.0, 0)] if start else []),
        TimedPhone("pau", start, end, -1.0, 1),
        TimedPhone("b", end, end + 0.2, -1.0, 2),
    ]
    level = check("u1", waveform, RATE, phones, shortest=0.01).silence_db
    assert level == (pytest.approx(-20, abs=1e-3) if counts else None)


def test_digital_silence_has_a_level_and_no_speech_has_none():
    phones = aligned(("sil", 0.1, -1.0), ("a", 0.2, -1.0))
    assert check("u1", recording((100, 0.0), (100, 0.1)), RATE, phones, 0.01).silence_db == pytest.approx(-100)
    assert check("u1", torch.zeros(200), RATE, phones, 0.01).silence_db is None


def test_a_recording_of_silence_alone_is_no_speech():
    found = check("u1", recording((300, 0.01)), RATE, aligned(("sil", 0.3, -0.5)), 0.01)
    assert (found.score, found.phones_a_second, found.longest, found.silence_db) == (-0.5, 0, 0, None)


def test_boundaries_are_compared_by_the_phone_that_begins_there():
    phones = aligned(("h#", 0.1, -1.0), ("k", 0.15, -1.0), ("ae", 0.35, -1.0), ("t", 0.5, -1.0))
    found = check("u1", recording((500, 0.1)), RATE, phones, 0.01, truth=[0.0, 0.12, 0.15, 0.3])
    assert found.boundary_errors == pytest.approx([0.02, 0.0, 0.05])
    # One that was left out is not compared.
    without = [phone for phone in phones if phone.label != "k"]
    found = check("u1", recording((500, 0.1)), RATE, without, 0.01, truth=[0.0, 0.12, 0.15, 0.3])
    assert found.boundary_errors == pytest.approx([0.0, 0.05])


def made(id: str, score: float, silence_db: float | None, doubts: list[str], errors: list[float] | None) -> Check:
    return Check(id, score, 12.0 + score, 0.2, 0.0, silence_db, doubts, errors)


def test_a_report_on_all():
    checks = [
        made("u1", -0.5, -30.0, [], [0.0, 0.010, 0.012]),
        made("u2", -2.5, -10.0, ["a phone of 0.70 s"], [0.020, 0.050, 0.3]),
        made("u3", -1.5, None, [], None),
        made("u4", -0.7, -20.0, [], []),
    ]
    found = report(checks)
    assert (found["utterances"], found["plausible"]) == (4, 3)
    assert found["score"] == pytest.approx(-5.2 / 4)
    # The median of 9.5, 10.5, 11.3 and 11.5.
    assert found["phones_a_second"] == pytest.approx(10.9)
    assert found["silence_db"] == -20
    # Sorted: 0, 10, 12, 20, 50 and 300 ms; what is on an edge is within it.
    boundaries = {"count": 6, "median_ms": 16, "within_10_ms": 2 / 6, "within_20_ms": 4 / 6, "within_50_ms": 5 / 6}
    assert found["boundaries"] == pytest.approx(boundaries)
    assert [row["id"] for row in found["worst_first"]] == ["u2", "u3", "u4", "u1"]
    assert found["worst_first"][0] == {
        "id": "u2",
        "score": -2.5,
        "phones_a_second": 9.5,
        "longest": 0.2,
        "hasty": 0.0,
        "silence_db": -10.0,
        "doubts": ["a phone of 0.70 s"],
    }


def test_a_report_without_silences_and_without_truth():
    found = report([made("u1", -0.5, None, [], None)])
    assert found["silence_db"] is None
    assert found["boundaries"] is None
    # Boundaries of utterances of one phone each.
    assert report([made("u1", -0.5, None, [], [])])["boundaries"] is None
