"""`wavenet fit|validate|test|predict`: LightningCLI over tasks and corpora, and the run folder."""

from __future__ import annotations

import logging
import re
import signal
import sys
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning import LightningDataModule, Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger, Logger
from torch._dynamo.exc import BackendCompilerFailed

from lightning_wavenet.callbacks import (
    LAST,
    Execution,
    FirstValidation,
    Guard,
    LastAndBest,
    ModelSize,
    ProgressBar,
    ProgressLines,
    SampleLogger,
    SaveConfig,
    Stopped,
    Throughput,
    WeightAverage,
    ending,
)
from lightning_wavenet.cli import slurm
from lightning_wavenet.cli.parsing import PARSER, add_flag, essence, read_configs, spelled_out
from lightning_wavenet.cli.renamed import refuse_old_names
from lightning_wavenet.cli.run_folder import RunFolder, last_of, whole
from lightning_wavenet.cli.trainer_options import listed, refuse_without_effect
from lightning_wavenet.errors import RequestError, TrainingError
from lightning_wavenet.models.checkpoint import CHECKPOINT_KEY, read
from lightning_wavenet.tasks import BaseTask

C = TypeVar("C", bound=Callback)


class _Ended(Exception):
    """The run that is to be resumed has come to its end."""


class WaveNetCLI(LightningCLI):
    """LightningCLI with a run folder, and with the callbacks that every run has as options of their own.

    A run folder holds the resolved `config.yaml`, `checkpoints/`, `logs/` (CSV) and `samples/`.
    """

    run_folder: RunFolder
    verb: str
    """The only one that a parser is built for, which takes about half the time of all four."""
    _planned_steps: float | None = None
    _resumed: dict[str, Any] | None = None
    """The checkpoint that training resumes from."""

    @classmethod
    def subcommands(cls) -> dict[str, set[str]]:
        """The verb."""
        return {cls.verb: LightningCLI.subcommands()[cls.verb]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The options beside data, model and trainer."""
        parser.add_argument(
            "--run",
            type=str | None,
            default=None,
            help="run folder; by default runs/NAME/DATE-TIME after the first config, or the checkpoint's own",
        )
        add_flag(parser, "--overwrite", "replace what the run folder holds of another run")
        add_flag(parser, "--resume", "fit: resume from the last checkpoint in --run, or begin anew where there is none")
        parser.add_argument(
            "--weights",
            type=Path | None,
            default=None,
            help="fit: begin with the weights of this checkpoint, as far as they fit; speakers and phones by name",
        )
        parser.add_lightning_class_args(Execution, "execution")
        parser.add_lightning_class_args(Guard, "guard")
        parser.add_lightning_class_args(WeightAverage, "ema")
        parser.add_lightning_class_args(SampleLogger, "samples")
        parser.add_lightning_class_args(LastAndBest, "checkpoint")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Keeps the first config's name, which names the experiment and which the parser forgets."""
        args = spelled_out(list(args)) if args is not None else args
        flags = [part for arg in args for part in (arg.split("=", 1) if arg.startswith("--config=") else [arg])]
        config = Path(next((after for flag, after in pairwise(flags) if flag in ("--config", "-c")), "unnamed"))
        # A run's own config.yaml is named after its folder, or in runs/EXPERIMENT/DATE-TIME after the experiment.
        folder = config.resolve().parent
        if config.name != "config.yaml":
            self.experiment = config.stem
        else:
            self.experiment = folder.parent.name if folder.parent.parent.name == "runs" else folder.name
            self._planned_steps = _steps_of(config)
        super().parse_arguments(parser, args)
        config = self.config[self.config.subcommand]
        # Lightning would take options from a checkpoint that it finds next; `before_instantiate_classes` puts it back.
        self._asked, config.ckpt_path = config.ckpt_path, None

    def before_instantiate_classes(self) -> None:
        """Settles which checkpoint to resume from, if any."""
        verb: str = self.config.subcommand
        config = self.config[verb]
        config.ckpt_path = self._asked
        for callback in listed(config.trainer.callbacks):
            given = callback.get("init_args") or {}
            # Lightning would look with every epoch, at the figure of a validation that may be long past.
            if callback.class_path.endswith(".EarlyStopping") and str(given.get("monitor")).startswith("val/"):
                given["check_on_train_epoch_end"] = given.get("check_on_train_epoch_end") or False
        if config.resume:
            if verb != "fit" or config.run is None:
                raise RequestError("--resume resumes training in a run folder: wavenet fit --run DIR --resume")
            config.ckpt_path = last_of(config.run) or config.ckpt_path
        if config.ckpt_path is None:
            if verb != "fit":
                raise RequestError(f"say which checkpoint to {verb}: --ckpt_path RUN/checkpoints/best.ckpt")
        elif verb != "fit":
            read(config.ckpt_path)
        else:
            asked = config.ckpt_path
            config.ckpt_path, self._resumed = whole(asked)
            if not {"optimizer_states", "lr_schedulers", "loops", "global_step"} <= self._resumed.keys():
                raise RequestError(
                    f"{config.ckpt_path} holds weights alone, from which no training resumes: begin a new run with "
                    f"--weights {config.ckpt_path}"
                )
            if config.ckpt_path != asked:
                rank_zero_only(print)(f"{asked} is missing or damaged: resuming from {config.ckpt_path}", flush=True)

    def instantiate_classes(self) -> None:
        """Builds corpus, task and trainer; what their constructors refuse is the user's to mend."""
        try:
            super().instantiate_classes()
        except Exception as error:
            self._withdraw()
            if isinstance(error, ValueError):
                raise RequestError(essence(str(error))) from error
            if refusal := _refusal(error):
                raise refusal from error
            raise
        self.model.overwrite = self.config[self.subcommand].overwrite
        self.model.planned_steps = self._planned_steps

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer whose root is the run folder."""
        config = self.config[self.subcommand]
        refuse_without_effect(config.trainer, self.datamodule)
        gpus = torch.cuda.is_available() or torch.backends.mps.is_available()
        if config.trainer.accelerator in ("gpu", "cuda") and not gpus:
            raise RequestError(
                "PyTorch finds no GPU on this machine: say --trainer.accelerator cpu, or mend its driver"
            )
        self.run_folder = RunFolder(config.run, config.ckpt_path, self.experiment)
        run = self.run_folder.path
        given = self.config_init[self.subcommand].trainer
        progress = given.enable_progress_bar is not False
        bar = progress and sys.stdout.isatty()
        callbacks: list[Callback] = [ModelSize(), Throughput(), FirstValidation()]
        if progress:
            callbacks.append(ProgressBar() if bar else ProgressLines())
        loggers: list[Logger] = []
        if given.logger is not False and (self.subcommand == "fit" or given.logger is True):
            loggers.append(CSVLogger(run, name="logs"))
        loggers += [item for item in listed(given.logger) if item is not True]
        return super().instantiate_trainer(
            default_root_dir=str(run),
            logger=loggers,
            callbacks=[*callbacks, *listed(given.callbacks)],
            enable_progress_bar=bar,
            enable_model_summary=bool(given.enable_model_summary),
            **kwargs,
        )

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            super()._run_subcommand(subcommand)
        except _Ended as ended:
            rank_zero_only(print)(ended, flush=True)
        except RequestError:
            self._withdraw()
            raise
        except BackendCompilerFailed as error:
            said = essence(str(error))
            raise RequestError(f"torch.compile failed: leave out --execution.compile ({said})") from error
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
                raise TrainingError(self._callback(Execution).advice(self.trainer, self.model)) from error
            self._refuse(error)
            raise
        except Stopped as stopped:
            if self.trainer.is_global_zero:
                self._tell(stopped)
            raise
        except SystemExit as end:
            # Lightning makes one of Ctrl-C, with the exit code of a failure.
            if isinstance(end.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise
        except Exception as error:
            self._refuse(error)
            raise

    def _refuse(self, error: Exception) -> None:
        """Raises what a package refuses as the user's to mend."""
        if refusal := _refusal(error):
            self._withdraw()
            raise refusal from error

    def _withdraw(self) -> None:
        if hasattr(self, "run_folder"):
            self.run_folder.withdraw()

    def _tell(self, stopped: Stopped) -> None:
        """Says how to resume a run that was stopped, or sees to it where that is for the scheduler to do."""
        step = self.trainer.global_step
        last = self.run_folder.path / "checkpoints" / LAST
        further = f"at step {step:,}; resume with --ckpt_path {last}" if step else "before the first step"
        print(f"stopped by {stopped.signal.name} {further}", flush=True)
        # Without --resume, the same command would not resume but begin anew.
        if stopped.signal == signal.SIGUSR1 and self.config[self.subcommand].resume:
            slurm.requeue()

    def before_fit(self) -> None:
        """Takes the run folder, and says where the run goes."""
        config = self.config[self.subcommand]
        resumed, self._resumed = self._resumed, None
        # One of another task is refused, whatever its length.
        same = resumed is not None and resumed[CHECKPOINT_KEY].get("task", {}).get("task") == type(self.model).__name__
        if resumed is not None and same and (said := ending(resumed, self.trainer)):
            raise _Ended(
                f"{self.run_folder.path} ended at step {resumed['global_step']:,}, nothing is left to train: {said}"
            )
        self.run_folder.claim(config.overwrite, config.resume)
        if config.ckpt_path is None:
            self.model.weights = config.weights
        if self.trainer.is_global_zero:
            print(f"run folder {self.trainer.default_root_dir}", flush=True)

    def after_fit(self) -> None:
        """Says what training came to."""
        if self.trainer.is_global_zero:
            first, best = self._callback(FirstValidation), self._callback(LastAndBest)
            before = "" if first.figure is None else f"{first.figure:.3f} before training, "
            reached = "no validation yet" if best.best is None else f"{best.best:.3f} at best"
            print(f"{self.model.unit()}: {before}{reached}; step {self.trainer.global_step:,}", flush=True)
            if self.config[self.subcommand].trainer.fast_dev_run:
                self.run_folder.withdraw()
            else:
                print(f"checkpoints in {self.trainer.default_root_dir}/checkpoints", flush=True)

    def predict(self, **options: Any) -> None:
        """Generates; clips are written as they come, and not kept."""
        self.trainer.predict(**options | {"return_predictions": False})

    def after_validate(self) -> None:
        """Says in which unit the figure is."""
        self._report("val", "validation")

    def after_test(self) -> None:
        """Says in which unit the figure is."""
        self._report("test", "test")

    def _callback(self, kind: type[C]) -> C:
        """The run's callback of a kind."""
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
        return next(callback for callback in callbacks if isinstance(callback, kind))

    def _report(self, stage: str, split: str) -> None:
        figure = f"{stage}/{self.model.monitor}"
        if figure not in self.trainer.callback_metrics:
            raise RequestError(f"the {split} split is empty: raise data.split.{split}")
        if self.trainer.is_global_zero:
            print(f"{self.model.unit()}: {self.trainer.callback_metrics[figure]:.4f} on the {split} split")


def main(arguments: list[str]) -> None:
    """Runs fit, validate, test or predict; `arguments` begin with the verb."""
    _quieten()
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # Where a DataModule or a task of the user's own may lie.
    WaveNetCLI.verb = arguments[0]
    refuse_old_names(arguments, read_configs(arguments))
    try:
        WaveNetCLI(
            BaseTask,
            LightningDataModule,
            args=arguments,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=SaveConfig,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            parser_kwargs=PARSER,
            trainer_defaults={"num_sanity_val_steps": -1},
        )
    except MisconfigurationException as error:
        raise RequestError(str(error)) from error
    finally:
        RunFolder.forget()


_REFUSE = ("pytorch_lightning", "lightning_fabric", "lightning_utilities", "torchmetrics", "torch.optim")


def _refusal(error: Exception) -> RequestError | None:
    """An error in one line, where it is what Lightning or torch's optimizers refuse, or a package that is missing."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, ImportError):
        return RequestError(f"a package is missing, install it or leave out what needs it: {text}")
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    module = "" if frame is None else str(frame.tb_frame.f_globals.get("__name__"))
    known = isinstance(error, MisconfigurationException | ValueError | TypeError | RuntimeError | KeyError)
    return RequestError(text) if known and module.startswith(_REFUSE) else None


def _steps_of(config: Path) -> float | None:
    """The length of the training that a run's `config.yaml` was saved with; None where epochs say."""
    if not config.is_file():
        return None
    trainer = read_configs(["--config", str(config)])[0].get("trainer") or {}
    steps = trainer.get("max_steps")
    return steps if isinstance(steps, int) and steps > 0 else None


_AT_EACH_START = re.compile(
    r"(GPU|TPU|HPU|MPS) available|.*Tip: |.*litlogger|`Trainer\.fit` stopped|Restor(ing|ed) |Loaded model weights|"
    r"Loading `train_dataloader`|Seed set to|\[?rank: \d+\]? Seed set|Initializing distributed|-{20,}|"
    r"distributed_backend|"
    r"All distributed processes|Starting with \d+ processes|LOCAL_RANK|Handling auto-requeue|SLURM auto-requeueing|"
    r"\s*Detected KeyboardInterrupt|.*Received SIGTERM|Bypassing SIGTERM|Using .*(Automatic Mixed|mixed) Precision|"
    r"Using default `ModelCheckpoint`|`weights_only` was not set|The following callbacks returned in|"
    r"You are using a CUDA device|`Trainer\(limit_|`Trainer\(val_check|Running in `fast_dev_run`",
    re.IGNORECASE,
)


def said_at_each_start(record: logging.LogRecord) -> bool:
    """A filter of log records: False for what Lightning tells of every run, unasked."""
    return record.levelno > logging.INFO or not _AT_EACH_START.match(record.getMessage().strip())


def _quieten() -> None:
    """Leaves out what Lightning and torch say at each start and a user of this command cannot act on.

    What was asked for stays: the report of a profiler, the summary of a model, why a callback ended the run.
    """
    for name in ("pytorch_lightning", "lightning_fabric", "lightning_utilities"):
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(said_at_each_start)
    for message in (
        ".*does not have many workers.*",
        ".*exists and is not empty.*",
        ".*LightningCLI's args parameter is intended to run from within Python.*",
        ".*isinstance.treespec, LeafSpec.*",
    ):
        warnings.filterwarnings("ignore", message)
