"""What the sources rely on of other packages' private names: a short list, with the versions that it was checked with.

Private names change without notice. Where a test here fails after an update, look at what became of the name, mend what
uses it, and write down the new version.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import textwrap
from importlib.metadata import version
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from nets import build

from datamodules import Audio, AudioFolderDataModule, Crops
from lightning_wavenet.callbacks.checkpoints import _validation_follows
from lightning_wavenet.cli.main import main
from lightning_wavenet.tasks import UnconditionalWaveNet

ROOT = Path(__file__).parents[1]
CHECKED = {"pytorch-lightning": "2.6.6", "torch": "2.14.1"}
"""The versions that all of this was last checked with."""

ALLOWED = {
    # Whether a validation follows decides if it comes before the last checkpoint; only this method knows.
    ("lightning_wavenet/callbacks/checkpoints.py", "loop._data_fetcher"),
    ("lightning_wavenet/callbacks/checkpoints.py", "loop.epoch_loop._should_check_val_fx"),
    # What a run ends with is caught around all of it, its `before_` and `after_` included.
    ("lightning_wavenet/cli/training.py", "WaveNetCLI._run_subcommand of LightningCLI"),
    # How the bar names an epoch has no public way.
    ("lightning_wavenet/callbacks/progress.py", "ProgressBar._get_train_description of RichProgressBar"),
    # Only under this name does a module that torch.compile made hold the one that it was given.
    ("lightning_wavenet/data/blueprint.py", "getattr _orig_mod"),
    # torch.compile names what it fails with in private modules only.
    ("lightning_wavenet/cli/training.py", "from torch._dynamo.exc import BackendCompilerFailed"),
}
DOCUMENTED = {"_asdict", "_exit", "_fields", "_replace"}
"""Names of the standard library that are public for all their underscore: named tuples', and `os._exit`."""
OURS = ("lightning_wavenet", "datamodules")
GIVEN_BY_PYTHON = {"_abc_impl", "_backward_cls"}
"""What metaclasses put into a class."""


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def sources() -> list[Path]:
    return sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))


def defined(tree: ast.AST) -> set[str]:
    """Names that a module gives to something itself: functions, classes, variables, attributes of self."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            names.add(node.attr)
    return names


def borrowed(tree: ast.AST) -> set[str]:
    """Private names that a module reads, sets, imports or asks for by `getattr`, and does not define itself."""
    own, found = defined(tree), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr) and node.attr not in own | DOCUMENTED:
            found.add(ast.unparse(node))
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if any(map(private, alias.name.split(".")))]
            found |= {f"import {name}" for name in names}
        elif isinstance(node, ast.ImportFrom):
            inside = any(map(private, (node.module or "").split(".")))
            names = [alias.name for alias in node.names if inside or private(alias.name)]
            found |= {f"from {node.module} import {name}" for name in names}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("attr"):
            asked = [part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            found |= {f"{node.func.id} {name}" for name in asked if private(name) and name not in own}
    return found


def attributes_of(kind: type) -> set[str]:
    """What a class of another package defines, attributes of its instances included."""
    try:
        return {*vars(kind), *defined(ast.parse(textwrap.dedent(inspect.getsource(kind))))}
    except (OSError, TypeError):  # Not written in Python.
        return set(vars(kind))


def overridden(module: str, tree: ast.Module) -> set[str]:
    """Private names that a module's classes define, and the classes of other packages that they inherit from too."""
    found = set()
    for node in tree.body:
        kind = getattr(sys.modules[module], node.name) if isinstance(node, ast.ClassDef) else object
        names = {name for name in defined(node) | {*vars(kind)} if private(name)} - GIVEN_BY_PYTHON
        for base in kind.__mro__[1:] if names else ():
            if base.__module__.partition(".")[0] not in (*OURS, *sys.stdlib_module_names):
                found |= {f"{kind.__name__}.{name} of {base.__name__}" for name in names & attributes_of(base)}
    return found


def test_no_other_private_names_of_other_packages_are_used():
    found = set()
    for path in sources():
        where, tree = path.relative_to(ROOT), ast.parse(path.read_text())
        found |= {(where.as_posix(), name) for name in borrowed(tree)}
        if path.stem != "__main__":
            module = ".".join(where.with_suffix("").parts).removesuffix(".__init__")
            importlib.import_module(module)
            found |= {(where.as_posix(), name) for name in overridden(module, tree)}
    assert found == ALLOWED, (
        f"new: {sorted(found - ALLOWED)}, used no more: {sorted(ALLOWED - found)}. Take a public way where there is "
        "one; if there is none, add the name to ALLOWED, and a test of what is relied upon"
    )


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import torch\ntorch._foreach_add_(a, 1)", {"torch._foreach_add_"}),
        ("from torch._inductor import config", {"from torch._inductor import config"}),
        ("import torch._dynamo as d", {"import torch._dynamo"}),
        ("from jsonargparse import _core", {"from jsonargparse import _core"}),
        ("getattr(parser, '_choices')", {"getattr _choices"}),
        ("self._mine = 1\nself._mine + self._theirs", {"self._theirs"}),
        ("def _mine(): ...\npair._replace(a=_mine())\n_mine.__name__", set()),
    ],
)
def test_the_search_finds_what_there_is(source, found):
    assert borrowed(ast.parse(source)) == found


def relied_upon(package: str, what: str, holds: bool) -> None:
    """Fails with the versions where something is not as it was."""
    assert holds, (
        f"{package} {version(package)} is installed, and {what} no longer holds, as it did in {CHECKED[package]}, the "
        "version that this was last checked with"
    )


def test_lightning_decides_on_validation_where_it_is_asked():
    from pytorch_lightning.loops.fit_loop import _FitLoop
    from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop

    package = "pytorch-lightning"
    ask = getattr(_TrainingEpochLoop, "_should_check_val_fx", None)
    relied_upon(package, "that _TrainingEpochLoop has _should_check_val_fx", callable(ask))
    taken = list(inspect.signature(ask).parameters)
    relied_upon(package, "that _should_check_val_fx takes a data_fetcher alone", taken == ["self", "data_fetcher"])
    used = inspect.getsource(_TrainingEpochLoop.advance) + inspect.getsource(_TrainingEpochLoop.on_advance_end)
    relied_upon(
        package, "that the epoch's loop asks _should_check_val_fx", "_should_check_val_fx(data_fetcher)" in used
    )
    loop = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False).fit_loop
    relied_upon(package, "that the Trainer's fit_loop is a _FitLoop", isinstance(loop, _FitLoop))
    relied_upon(package, "that a _FitLoop has a _data_fetcher", hasattr(loop, "_data_fetcher"))
    relied_upon(package, "that its epoch_loop is a _TrainingEpochLoop", isinstance(loop.epoch_loop, _TrainingEpochLoop))


# That a checkpoint written after a validation resumes to the bit is tested in test_resume.py.
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"val_check_interval": 2},
        {"val_check_interval": 4, "check_val_every_n_epoch": None},
        {"check_val_every_n_epoch": 2},
        {"check_val_every_n_epoch": 2, "num_sanity_val_steps": 0},
        {"check_val_every_n_epoch": 3, "num_sanity_val_steps": 0},
        {"val_check_interval": 2, "num_sanity_val_steps": 0},
        {"limit_val_batches": 0},
        {"accumulate_grad_batches": 2, "val_check_interval": 3},
    ],
)
def test_a_validation_follows_where_it_is_said_to(tones, tmp_path, options):
    said, followed = [], []

    class Ask(pl.Callback):
        def on_train_batch_end(self, trainer, *_):
            said.append(_validation_follows(trainer))
            followed.append(False)

        def on_validation_start(self, trainer, *_):
            if not trainer.sanity_checking:
                followed[-1] = True

    data = AudioFolderDataModule(tones, audio=Audio(4_000), crops=Crops(300), batch_size=8)
    trainer = pl.Trainer(
        accelerator="cpu",
        default_root_dir=tmp_path,
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_train_batches=6,
        callbacks=[Ask()],
        **{"num_sanity_val_steps": 1} | options,
    )
    trainer.fit(UnconditionalWaveNet(build), datamodule=data)
    assert len(said) == 18
    assert said == followed
    assert any(said) == (options.get("limit_val_batches") != 0)


def test_lightning_runs_a_verb_where_it_is_overridden():
    """What is caught there is tested in test_cli.py (memory, refusals) and test_resume.py (signals)."""
    from pytorch_lightning.cli import LightningCLI

    package = "pytorch-lightning"
    run = getattr(LightningCLI, "_run_subcommand", None)
    relied_upon(package, "that LightningCLI has _run_subcommand", callable(run))
    taken = list(inspect.signature(run).parameters)
    relied_upon(package, "that _run_subcommand takes a subcommand alone", taken == ["self", "subcommand"])
    called = "self._run_subcommand(self.subcommand)" in inspect.getsource(LightningCLI.__init__)
    relied_upon(package, "that LightningCLI calls _run_subcommand", called)


def test_lightning_takes_no_options_from_a_checkpoint(fit):
    """It would where it finds the checkpoint in the configuration: that is between two of its public hooks."""
    main([*fit, "--run", "run", "--trainer.max_steps", "1"])
    last = Path("run/checkpoints/last.ckpt")
    saved = torch.load(last, weights_only=True)
    saved["hyper_parameters"] = {"backbone": {"class_path": "nonsense"}}
    torch.save(saved, last)
    main([*fit, "--run", "run", "--resume", "--trainer.max_steps", "2"])
    assert torch.load(last, weights_only=True)["global_step"] == 2


def test_lightning_names_epochs_where_it_is_overridden():
    """What the bar then says is tested in test_trainer_options.py."""
    from pytorch_lightning.callbacks import RichProgressBar

    package, name = "pytorch-lightning", "_get_train_description"
    describe = getattr(RichProgressBar, name, None)
    relied_upon(package, f"that RichProgressBar has {name}", callable(describe))
    taken = list(inspect.signature(describe).parameters)
    relied_upon(package, f"that {name} takes an epoch alone", taken == ["self", "current_epoch"])


def test_torch_holds_the_module_that_it_compiles():
    """What a checkpoint then has is tested in test_load_from_checkpoint.py."""
    layer = torch.nn.Linear(1, 1)
    compiled = torch.compile(layer, backend="eager")
    relied_upon("torch", "that a compiled module has the plain one", getattr(compiled, "_orig_mod", None) is layer)
    names = set(compiled.state_dict())
    relied_upon("torch", "that its weights are named so", names == {"_orig_mod.weight", "_orig_mod.bias"})


def test_torch_fails_to_compile_with_the_exception_that_is_caught():
    """What the command then says is tested in test_cli_recognition.py."""
    from torch._dynamo.exc import BackendCompilerFailed

    def broken(graph, inputs):
        raise OSError("no compiler")

    relied_upon(
        "torch", "that BackendCompilerFailed is a RuntimeError", issubclass(BackendCompilerFailed, RuntimeError)
    )
    try:
        torch.compile(torch.relu, backend=broken)(torch.ones(1))
    except Exception as error:
        failure: Exception | None = error
    else:
        failure = None
    relied_upon(
        "torch", "that a backend's failure is a BackendCompilerFailed", isinstance(failure, BackendCompilerFailed)
    )
    relied_upon("torch", "that it quotes the failure", "no compiler" in str(failure))
