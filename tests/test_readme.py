"""What README tells to type is understood as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from lightning_wavenet.cli.main import main

ROOT = Path(__file__).parents[1]


def commands(section: str) -> list[list[str]]:
    """The commands of a section's code blocks, in words."""
    text = (ROOT / "README.md").read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [words for block in blocks for line in block.splitlines() if (words := shlex.split(line, comments=True))]


def test_commands_for_several_gpus_parse(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    told = commands("Train on several GPUs")
    fits = [words[words.index("fit") :] for words in told if "fit" in words]
    assert len(fits) == 3
    for arguments in fits:
        with pytest.raises(SystemExit) as stop:
            main([*arguments, "--print_config"])
        assert stop.value.code in (None, 0)
        trainer = yaml.safe_load(capsys.readouterr().out)["trainer"]
        assert (trainer["accelerator"], str(trainer["devices"])) in [("gpu", "auto"), ("cpu", "2")]
    (job,) = [words[1] for words in told if words[0] == "sbatch"]
    assert (ROOT / job).is_file()


def test_commands_for_recognition_are_those_of_the_demo(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    make, fit, test, recognize, align = commands("Speech recognition and forced alignment")
    assert make[1:4] == ["data", "synthesize", "folder"]
    with pytest.raises(SystemExit):
        main([*fit[1:], "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["run"] == "demo/recognizer"
    data = config["data"]["init_args"]
    assert data["root"] == make[make.index("--out") + 1]
    assert data["split"]["test_speakers"] == ["iris"]
    checkpoint = "demo/recognizer/checkpoints/best.ckpt"
    assert checkpoint in test
    assert checkpoint == recognize[2] == align[2]
    for verb in ("recognize", "align"):
        with pytest.raises(SystemExit) as stop:
            main([verb, "--help"])
        assert stop.value.code in (None, 0)
        assert "checkpoint" in capsys.readouterr().out
