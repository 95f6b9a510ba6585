"""`wavenet fit|validate|test|predict`: LightningCLI over tasks and corpora, and the run folder."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

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
from lightning_wavenet.cli.parsing import PARSER, add_overwrite
from lightning_wavenet.errors import RequestError
from lightning_wavenet.tasks import BaseTask

RUN_VARIABLE = "WAVENET_RUN"


class WaveNetCLI(LightningCLI):
    """LightningCLI with a run folder, and with the callbacks that every run has as options of their own.

    A run folder holds the resolved `config.yaml`, `checkpoints/`, `logs/` (CSV) and `samples/`.
    """

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The options beside data, model and trainer."""
        parser.add_argument(
            "--run",
            type=str | None,
            default=None,
            help="run folder; by default runs/NAME/DATE-TIME after the first config, or the checkpoint's own",
        )
        add_overwrite(parser, "use a run folder that has files in it")
        parser.add_lightning_class_args(SampleLogger, "samples")
        parser.add_lightning_class_args(LastAndBest, "checkpoint")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Keeps the first config's name, which names the experiment and which the parser forgets."""
        given = " ".join(args).replace("--config=", "--config ").split(" ")
        config = next((after for flag, after in pairwise(given) if flag in ("--config", "-c")), "unnamed")
        self.experiment = Path(config).stem
        super().parse_arguments(parser, args)

    def instantiate_classes(self) -> None:
        """Builds corpus, task and trainer; what their constructors refuse is the user's to mend."""
        try:
            super().instantiate_classes()
        except ValueError as error:
            # jsonargparse lists why each type of a union did not fit; "not None" is no news.
            reasons = re.findall(r"^\s*- (?!Expected a <class 'NoneType'>)(.*)$", str(error), re.MULTILINE)
            raise RequestError("; ".join(reasons) or str(error)) from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer whose root is the run folder."""
        run = self._run_folder()
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
            callbacks.append(PredictionWriter(run / "predictions"))
        return super().instantiate_trainer(
            default_root_dir=str(run),
            logger=loggers,
            callbacks=callbacks,
            enable_progress_bar=sys.stdout.isatty(),
            enable_model_summary=False,
            **kwargs,
        )

    def before_fit(self) -> None:
        """Says where the run goes and what it trains."""
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
            vocabulary, codec = self.model.vocabulary, self.model.backbone.distribution.codec
            unit = f"bits per sample ({codec}, {vocabulary.sample_rate:,} Hz)"
            before = "" if first.bits is None else f"{first.bits:.3f} before training, "
            reached = "no validation yet" if best.best_bits is None else f"{best.best_bits:.3f} at best"
            print(f"{unit}: {before}{reached}; step {self.trainer.global_step:,}", flush=True)
            print(f"checkpoints in {self.trainer.default_root_dir}/checkpoints", flush=True)

    def _run_folder(self) -> Path:
        config = self.config[self.subcommand]
        checkpoint = config.get("ckpt_path")
        fitting = self.subcommand == "fit"
        if checkpoint is not None:
            read(checkpoint)
        elif not fitting:
            raise RequestError(f"say which checkpoint to {self.subcommand}: --ckpt_path RUN/checkpoints/best.ckpt")
        if config.run is not None:
            run = Path(config.run)
        elif checkpoint is not None:
            run = Path(checkpoint).parent.parent
        elif RUN_VARIABLE in os.environ:
            run = Path(os.environ[RUN_VARIABLE])
        else:
            started = Path("runs") / self.experiment / f"{datetime.now():%Y%m%d-%H%M%S}"
            run, number = started, 1
            while run.exists():
                number += 1
                run = started.with_name(f"{started.name}-{number}")
        started_by_us = os.environ.get(RUN_VARIABLE) == str(run)
        if fitting and checkpoint is None and not started_by_us and not config.overwrite and _has_files(run):
            raise RequestError(
                f"{run} has files in it: choose another --run, resume with --ckpt_path {run}/checkpoints/last.ckpt, or "
                "say --overwrite"
            )
        # Processes that Lightning starts for other devices run this command again, and must find the same folder.
        os.environ[RUN_VARIABLE] = str(run)
        return run


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
    except RequestError:
        _remove_empty_folders(Path(os.environ.get(RUN_VARIABLE, "runs")))
        raise
    finally:
        os.environ.pop(RUN_VARIABLE, None)


def _listed(value: Any) -> list[Any]:
    """An option that may be absent, one thing or several, as a list."""
    if not value:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _remove_empty_folders(run: Path) -> None:
    """Takes away what Lightning's loggers make before a request is refused."""
    for folder in sorted(run.rglob("*"), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            os.removedirs(folder)


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


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
