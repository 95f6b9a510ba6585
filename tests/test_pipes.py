"""A reader that goes away does not take the run with it; a flag does not take the file after it."""

import subprocess
import sys
from pathlib import Path

import pytest
from runs import contents

from lightning_wavenet.cli.parsing import ArgumentParser, add_flag, parse, spelled_out


def piped(arguments: list[str], lines: int) -> tuple[int, str]:
    """Exit code and errors of a command of whose output so many lines are read."""
    command = [sys.executable, "-m", "lightning_wavenet", *arguments]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stderr is not None
    for _ in range(lines):
        running.stdout.readline()
    running.stdout.close()
    said = running.stderr.read()
    return running.wait(), said


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["fit", "--help"]])
@pytest.mark.parametrize("lines", [0, 1])
def test_help_is_cut_short(arguments, lines):
    code, said = piped(arguments, lines)
    assert code == 0
    assert not said


@pytest.mark.parametrize("lines", [1, 4])
def test_a_run_whose_output_is_cut_short_has_its_last_checkpoint(fit, lines):
    code, said = piped([*fit, "--run", "run"], lines)
    assert code == 0, said
    assert "BrokenPipe" not in said
    assert contents("run")["global_step"] == 14
    assert Path("run/checkpoints/best.ckpt").exists()


@pytest.mark.parametrize(
    ("given", "files", "flag"),
    [
        (["--replace", "one.wav"], ["one.wav"], True),
        (["--replace", "one.wav", "two.wav"], ["one.wav", "two.wav"], True),
        (["--replace=false", "one.wav"], ["one.wav"], False),
        (["--replace", "false", "one.wav"], ["one.wav"], False),
        (["one.wav", "--replace"], ["one.wav"], True),
        (["one.wav"], ["one.wav"], False),
    ],
)
def test_a_flag_does_not_swallow_a_file(given, files, flag):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("files", type=str, nargs="+")
    add_flag(parser, "--replace", "Replaces.")
    for before in ([], ["net.ckpt"]):  # Before the flag, as a checkpoint stands.
        if before:
            parser = ArgumentParser(exit_on_error=False)
            parser.add_argument("ckpt", type=str)
            parser.add_argument("files", type=str, nargs="+")
            add_flag(parser, "--replace", "Replaces.")
        options = parse(parser, [*before, *given])
        assert (options.files, options.replace) == (files, flag)
    assert spelled_out(["--other", "x"]) == ["--other", "x"]
