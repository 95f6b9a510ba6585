import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells
    names: dict = {}
    for cell in cells:
        assert cell["outputs"] == [], "notebooks are committed without outputs"
        exec("".join(cell["source"]), names)
    if path.stem == "first_steps":
        assert names["strongest"] == pytest.approx([141.4, 173.2], abs=3)
    if path.stem == "listening_test":
        assert [one.system for one in sorted(names["found"], key=lambda one: -one.t.mean)] == [
            "natural",
            "good",
            "poor",
        ]
