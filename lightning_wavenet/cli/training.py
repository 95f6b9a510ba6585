"""`wavenet fit|validate|test|predict`: LightningCLI over tasks and corpora, and the run folder."""

from __future__ import annotations

import logging
import sys
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback, RichProgressBar
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger, Logger

from datamodules.base import AudioDataModule
from lightning_wavenet.callbacks import (
    FirstValidation,
    LastAndBest,
    PredictionWriter,
    ProgressLines,
    SampleLogger,
    SaveConfig,
    Throughput,
)
from lightning_wavenet.checkpoint import read
from lightning_wavenet.cli.parsing import PARSER, add_overwrite, essence
from lightning_wavenet.cli.run_folder import RunFolder
from lightning_wavenet.errors import RequestError
from lightning_wavenet.tasks import BaseTask


class WaveNetCLI(LightningCLI):
    """LightningCLI with a run folder, and with the callbacks that every run has as options of their own.

    A run folder holds the resolved `config.yaml`, `checkpoints/`, `logs/` (CSV) and `samples/`.
    """

    run_folder: RunFolder

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The options beside data, model and trainer."""
        parser.add_argument(
            "--run",
            type=str | None,
            default=None,
            help="run folder; by default runs/NAME/DATE-TIME after the first config, or the checkpoint's own",
        )
        add_overwrite(parser, "replace what the run folder holds of another run")
        parser.add_lightning_class_args(SampleLogger, "samples")
        parser.add_lightning_class_args(LastAndBest, "checkpoint")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Keeps the first config's name, which names the experiment and which the parser forgets."""
        flags = [part for arg in args for part in (arg.split("=", 1) if arg.startswith("--config=") else [arg])]
        config = Path(next((after for flag, after in pairwise(flags) if flag in ("--config", "-c")), "unnamed"))
        # A run's own config.yaml is named after its folder, or in runs/EXPERIMENT/DATE-TIME after the experiment.
        folder = config.resolve().parent
        if config.name != "config.yaml":
            self.experiment = config.stem
        else:
            self.experiment = folder.parent.name if folder.parent.parent.name == "runs" else folder.name
        super().parse_arguments(parser, args)

    def instantiate_classes(self) -> None:
        """Builds corpus, task and trainer; what their constructors refuse is the user's to mend."""
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise RequestError(essence(str(error))) from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer whose root is the run folder."""
        config = self.config[self.subcommand]
        checkpoint = config.get("ckpt_path")
        if checkpoint is not None:
            read(checkpoint)
        elif self.subcommand != "fit":
            raise RequestError(f"say which checkpoint to {self.subcommand}: --ckpt_path RUN/checkpoints/best.ckpt")
        self.run_folder = RunFolder(config.run, checkpoint, self.experiment)
        run = self.run_folder.path
        given = self.config_init[self.subcommand].trainer
        callbacks: list[Callback] = [
            Throughput(),
            FirstValidation(),
            RichProgressBar() if sys.stdout.isatty() else ProgressLines(),
            *_listed(given.callbacks),
        ]
        loggers: list[Logger] = []
        if self.subcommand == "fit":
            loggers = [CSVLogger(run, name="logs"), *(item for item in _listed(given.logger) if item is not True)]
        if self.subcommand == "predict":
            callbacks.append(PredictionWriter(run / "predictions", config.overwrite))
        return super().instantiate_trainer(
            default_root_dir=str(run),
            logger=loggers,
            callbacks=callbacks,
            enable_progress_bar=sys.stdout.isatty(),
            enable_model_summary=False,
            **kwargs,
        )

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            super()._run_subcommand(subcommand)
        except RequestError:
            self.run_folder.withdraw()
            raise

    def before_fit(self) -> None:
        """Takes the run folder, and says where the run goes and what it trains."""
        self.run_folder.claim(self.config[self.subcommand].overwrite)
        if self.trainer.is_global_zero:
            parameters = sum(p.numel() for p in self.model.parameters())
            field = self.model.backbone.receptive_field
            print(f"run folder {self.trainer.default_root_dir}", flush=True)
            print(f"{parameters:,} parameters, receptive field {field:,} samples", flush=True)

    def after_fit(self) -> None:
        """Says what training came to."""
        if self.trainer.is_global_zero:
            callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]
            first = next(callback for callback in callbacks if isinstance(callback, FirstValidation))
            best = next(callback for callback in callbacks if isinstance(callback, LastAndBest))
            before = "" if first.bits is None else f"{first.bits:.3f} before training, "
            reached = "no validation yet" if best.best_bits is None else f"{best.best_bits:.3f} at best"
            print(f"{self._unit()}: {before}{reached}; step {self.trainer.global_step:,}", flush=True)
            print(f"checkpoints in {self.trainer.default_root_dir}/checkpoints", flush=True)

    def after_validate(self) -> None:
        """Says in which unit the figure is."""
        self._report("val/bits", "validation")

    def after_test(self) -> None:
        """Says in which unit the figure is."""
        self._report("test/bits", "test")

    def _report(self, figure: str, split: str) -> None:
        if figure not in self.trainer.callback_metrics:
            raise RequestError(f"the {split} split is empty: raise data.split.{split}")
        if self.trainer.is_global_zero:
            print(f"{self._unit()}: {self.trainer.callback_metrics[figure]:.4f} on the {split} split")

    def _unit(self) -> str:
        return f"bits per sample ({self.model.backbone.distribution.codec}, {self.model.vocabulary.sample_rate:,} Hz)"


def main(arguments: list[str]) -> None:
    """Runs fit, validate, test or predict; `arguments` begin with the verb."""
    _quieten()
    try:
        WaveNetCLI(
            BaseTask,
            AudioDataModule,
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


def _listed(value: Any) -> list[Any]:
    """An option that may be absent, one thing or several, as a list."""
    if not value:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _quieten() -> None:
    """Leaves out what Lightning and torch say at each start and a user of this command cannot act on."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*exists and is not empty.*",
        ".*LightningCLI's args parameter is intended to run from within Python.*",
        ".*isinstance.treespec, LeafSpec.*",
    ):
        warnings.filterwarnings("ignore", message)
