"""The built wheel, in an environment of its own that borrows nothing but the dependencies."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", out, ROOT], check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_wheel_holds_both_packages_and_their_marks(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    sources = {
        path.relative_to(ROOT).as_posix()
        for package in ("lightning_wavenet", "datamodules")
        for path in (ROOT / package).rglob("*.py")
    }
    assert sources <= set(names)
    assert {"lightning_wavenet/py.typed", "datamodules/py.typed"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "License-Expression: Apache-2.0" in metadata
    assert not any(name.startswith(("tests/", "configs/")) for name in names)
