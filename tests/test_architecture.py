"""Imports run one way: down the floors that README draws."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = [
    {f"lightning_wavenet.{name}" for name in ("cpp", "errors")},
    {f"lightning_wavenet.{name}" for name in ("backbone", "data", "files", "machine", "text")},
    {f"lightning_wavenet.{name}" for name in ("decoding", "features", "metrics", "sampling")},
    {"lightning_wavenet.models", "datamodules"},
    {"lightning_wavenet.tasks"},
    {f"lightning_wavenet.{name}" for name in ("benchmarks", "callbacks", "evaluation")},
    {f"lightning_wavenet.{name}" for name in ("listening", "sweeps")},
    {"lightning_wavenet.cli"},
]


def room(module: str) -> str:
    """The part of the house that a module belongs to."""
    return "datamodules" if module.startswith("datamodules") else ".".join(module.split(".")[:2])


def floor(name: str) -> int:
    return next(level for level, rooms in enumerate(FLOORS) if name in rooms)


def imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= below if node.module == "lightning_wavenet" else {node.module}
    return {name for name in names if name.startswith(("lightning_wavenet.", "datamodules"))}


def test_imports_run_down_only():
    seen = 0
    for package in ("lightning_wavenet", "datamodules"):
        for path in (ROOT / package).rglob("*.py"):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if module in ("lightning_wavenet.__init__", "lightning_wavenet.__main__"):
                continue
            for imported in imports(path):
                if imported == "lightning_wavenet.__version__":
                    continue
                seen += 1
                here, there = room(module), room(imported)
                assert here == there or floor(here) > floor(there), f"{module} imports {imported}"
    assert seen > 50


def test_readme_draws_the_house():
    """All rooms with their floors, and no module beside them but errors.py."""
    page = (ROOT / "README.md").read_text()
    (drawn,) = re.findall(r"Imports run one way, and a test holds them to it: (.*?)\.\n", page, re.DOTALL)
    floors = [set(re.findall(r"`(\w+)`", floor)) for floor in drawn.split(">")]
    assert floors == [{name.removeprefix("lightning_wavenet.") for name in rooms} for rooms in reversed(FLOORS)]
    (picture,) = re.findall(r"\n    lightning_wavenet/\n(.*?)\n\n", page, re.DOTALL)
    house = ROOT / "lightning_wavenet"
    rooms = {path.name for path in house.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == {name for name in re.findall(r"\b(\w+)/", picture) if (house / name).is_dir()}
    assert {path.name for path in house.glob("*.py")} == {"__init__.py", "__main__.py", "errors.py"}
    for name in re.findall(r"\w+\.py", picture):
        assert list(ROOT.glob(f"lightning_wavenet/*/{name}")) or (ROOT / "datamodules" / name).exists(), name


def test_backbone_imports_nothing_of_the_project_but_the_compiler_and_no_lightning():
    for path in (ROOT / "lightning_wavenet" / "backbone").rglob("*.py"):
        assert {room(name) for name in imports(path)} <= {"lightning_wavenet.backbone", "lightning_wavenet.cpp"}
        assert "lightning" not in path.read_text().replace("lightning_wavenet", "").lower().replace("no lightning", "")
