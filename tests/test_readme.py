"""What README and docs tell to type is understood as it stands there."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest
import yaml

from lightning_wavenet import tasks
from lightning_wavenet.backbone import ContextStack, WaveNet
from lightning_wavenet.cli.main import main
from lightning_wavenet.features import Linguistic, LogF0, MelSpectrogram
from lightning_wavenet.tasks import BaseTask

ROOT = Path(__file__).parents[1]


def commands(page: str) -> list[list[str]]:
    """The commands of a page's code blocks, in words."""
    text = (ROOT / page).read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [words for block in blocks for line in block.splitlines() if (words := shlex.split(line, comments=True))]


def test_commands_for_several_gpus_parse(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    told = commands("docs/training.md")
    fits = [
        words[words.index("fit") :] for words in told if "fit" in words and "FILE" not in words and "CKPT" not in words
    ]
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
    make, fit, test, recognize, align, align_itself = commands("docs/recognition.md")
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
    corpus = align_itself[align_itself.index("--config") + 1]
    assert "ckpt" not in " ".join(align_itself)
    assert (ROOT / corpus).is_file()
    for verb in ("recognize", "align"):
        with pytest.raises(SystemExit) as stop:
            main([verb, "--help"])
        assert stop.value.code in (None, 0)
        assert "ckpt" in capsys.readouterr().out


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    for link in links:
        assert link.startswith("https://") or (page.parent / link).exists(), link


def test_every_task_has_a_page_and_every_experiment_stands_on_one():
    readme = (ROOT / "README.md").read_text()
    text = "".join(page.read_text() for page in pages()[1:])
    for path in (ROOT / "configs" / "experiments").glob("*.yaml"):
        assert f"`{path.stem}`" in readme
        assert f"`{path.name}`" in text
    for task in vars(tasks).values():
        if inspect.isclass(task) and issubclass(task, BaseTask) and not inspect.isabstract(task):
            assert f"`{task.__name__}`" in text


def options(text: str) -> set[str]:
    """Options of `wavenet fit` that a text names."""
    return set(re.findall(r"--((?:data|model|trainer|ema|guard|execution|samples)\.[a-z_.]+)", text))


def test_options_in_the_docs_exist(capsys, monkeypatch):
    """As parts of the help of `wavenet fit`, with each task and corpus."""
    monkeypatch.chdir(ROOT)
    known = "".join(
        f"[{name}"
        for made in (WaveNet, ContextStack, MelSpectrogram, Linguistic, LogF0)
        for name in inspect.signature(made).parameters
    )
    for help in (
        ["--help"],
        *(["--model.help", name] for name in ("TTSWaveNet", "SpeakerWaveNet", "MusicWaveNet", "RecognitionWaveNet")),
        *(["--data.help", corpus] for corpus in ("AudioFolderDataModule", "VCTKDataModule", "MagnaTagATuneDataModule")),
    ):
        with pytest.raises(SystemExit):
            main(["fit", *help])
        known += capsys.readouterr().out
    for page in pages():
        for option in options(page.read_text()):
            if option.startswith("model.optimizer."):  # Whatever the optimizer has.
                continue
            leaf = option.rpartition(".")[2]
            assert re.search(rf"[.\[-]{leaf}\b", known), f"{page.name} names {option}"
