"""The entry of the command `wavenet`: finds the verb's file, and turns errors into one line and an exit code."""

from __future__ import annotations

import sys
from importlib import import_module

from lightning_wavenet import __version__
from lightning_wavenet.cli.pipes import enduring_output
from lightning_wavenet.errors import RequestError, StorageError, TrainingError

VERBS = {
    "fit": ("lightning_wavenet.cli.training", "train a model, or resume its training"),
    "validate": (
        "lightning_wavenet.cli.training",
        "bits per sample, or phone error rate, on the validation split",
    ),
    "test": ("lightning_wavenet.cli.training", "bits per sample, or phone error rate, on the test split"),
    "predict": ("lightning_wavenet.cli.training", "generate a clip for each of the test split's prompts"),
    "generate": ("lightning_wavenet.cli.generate", "generate audio from a checkpoint"),
    "say": ("lightning_wavenet.cli.say", "say a text"),
    "recognize": ("lightning_wavenet.cli.recognize", "the phones of recordings, with times"),
    "align": ("lightning_wavenet.cli.align", "when each phone of a corpus is said"),
    "judge": ("lightning_wavenet.cli.judge", "how clean clips sound and whose voice they have, by judges from outside"),
    "evaluate": (
        "lightning_wavenet.cli.evaluate",
        "how far clips are from recordings of the same sentences, and judges",
    ),
    "listening": ("lightning_wavenet.cli.listening", "make and analyze a MOS or preference test"),
    "sweep": ("lightning_wavenet.cli.sweep", "try many values of options, on this machine alone"),
    "benchmark": ("lightning_wavenet.cli.benchmark", "measure how fast this machine generates, trains and learns"),
    "data": ("lightning_wavenet.cli.data", "synthesize, prepare or describe a corpus"),
}
USAGE = "usage: wavenet VERB [options]    (wavenet VERB --help tells a verb's options)"


def main(arguments: list[str] | None = None) -> None:
    """Runs a verb.

    Exit codes: 0 when done, 2 for a wrong request, 1 for a failure, 128 and its number when ended by a signal, so 130
    for Ctrl-C.
    """
    with enduring_output():
        _main(sys.argv[1:] if arguments is None else arguments)


def _main(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, "", *(f"  {verb:<11}{text}" for verb, (_, text) in VERBS.items()), sep="\n")
        sys.exit(0 if arguments else 2)
    if arguments[0] == "--version":
        print(f"lightning-wavenet {__version__}")
        return
    verb = arguments[0]
    if verb not in VERBS:
        _fail(f"there is no verb {verb!r}; there are {', '.join(VERBS)}", 2)
    run = import_module(VERBS[verb][0]).main
    from jsonargparse import ArgumentError

    from lightning_wavenet.cli.parsing import essence
    from lightning_wavenet.files.atomic import full_disk

    try:
        # Lightning's verbs share one parser, which reads the verb itself.
        run(arguments if VERBS[verb][0].endswith(".training") else arguments[1:])
    except ArgumentError as error:
        _fail(essence(str(error)), 2)
    except (RequestError, FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        _fail(str(error), 2)
    except (TrainingError, StorageError) as error:
        _fail(str(error), 1)
    except (OSError, MemoryError) as error:
        if full_disk(error):
            _fail(f"a disk is full ({error}): free some space, or set --out, --run or WAVENET_CACHE to another", 1)
        _fail(f"{type(error).__name__}: {error}", 1)
    except KeyboardInterrupt:
        _fail("interrupted", 130)


def _fail(message: str, code: int) -> None:
    print(f"wavenet: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)
