"""The built wheel, in an environment of its own that borrows nothing but the dependencies."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
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
        for pattern in ("*.py", "*.h", "*.cpp")
        for path in (ROOT / package).rglob(pattern)
    }
    assert sources <= set(names)
    assert {"lightning_wavenet/py.typed", "datamodules/py.typed"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "License-Expression: Apache-2.0" in metadata
    assert not any(name.startswith(("tests/", "configs/")) for name in names)


@pytest.mark.slow  # Installs every dependency anew (6 GB).
def test_wheel_works_in_an_empty_environment(wheel):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        environment = {
            "PATH": f"{folder / 'venv' / 'bin'}:/usr/bin:/bin",
            "HOME": name,
            "WAVENET_CACHE": f"{name}/cache",
        }

        def run(*command: str) -> str:
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            return done.stdout

        pip = [str(folder / "venv" / "bin" / "python"), "-m", "pip"]
        subprocess.run([*pip, "install", "--quiet", "--no-cache-dir", str(wheel)], check=True)
        assert "generate" in run("wavenet", "--help")
        run("wavenet", "data", "synthesize", "folder", "--out", "tones", "--source", "tones", "--clips", "4")
        (folder / "demo.yaml").write_text((ROOT / "configs" / "experiments" / "demo.yaml").read_text())
        changes = ["--data.root", "tones", "--trainer.max_steps", "2", "--samples.every_n_steps", "2"]
        run("wavenet", "fit", "--config", "demo.yaml", "--run", "run", *changes, "--samples.seconds", "0.1")
        run("wavenet", "generate", "run/checkpoints/last.ckpt", "--out", "clips", "--seconds", "0.1")
        assert len(list((folder / "clips").glob("*.wav"))) == 4
        # The sources of the native engine come along.
        made = json.loads(next((folder / "clips").glob("*.json")).read_text())
        assert (made["engine"] == "native") == (shutil.which("c++", path="/usr/bin:/bin") is not None)
