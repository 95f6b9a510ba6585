"""Fixtures: a cache of its own for every test, tiny corpora made on the spot, and the small real ones where present."""

from __future__ import annotations

import os
from pathlib import Path

# Sums depend on the number of threads, so all processes have one: this one, and those that tests start. Nets this small
# are slower on several, and tests run side by side.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import pytest
import torch

torch.set_num_threads(1)

REAL = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items):
    if not os.environ.get("CI"):
        for item in items:
            if item.get_closest_marker("slow") is not None:
                item.add_marker(pytest.mark.skip(reason="slow: runs where CI is set"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("WAVENET_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tones(tmp_path_factory) -> Path:
    """Three speakers of one tone each, 141, 173 and 224 Hz, eight clips of about a second at 4 kHz."""
    from datamodules.synthetic import synthesize_folder

    out = tmp_path_factory.mktemp("tones") / "corpus"
    return synthesize_folder(out, speakers=3, clips=8, source="tones", seconds=1.0, sample_rate=4_000)


@pytest.fixture
def real_corpus():
    """Finds one of the small real corpora, or skips."""

    def find(name: str) -> Path:
        if not (REAL / name).exists():
            pytest.skip(f"the recordings of {name} are not on this machine")
        return REAL / name

    return find


@pytest.fixture
def fit(tones, tmp_path, monkeypatch) -> list[str]:
    """The command that trains a tiny net with everything on: average, schedule, clipping and accumulation."""
    from runs import CONFIG

    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(CONFIG.replace("TONES", str(tones)))
    return ["fit", "--config", "tiny.yaml"]
