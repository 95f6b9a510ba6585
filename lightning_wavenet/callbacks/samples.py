"""What the model sounds like while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import WandbLogger
from torch import Tensor

from lightning_wavenet.data.batch import Batch
from lightning_wavenet.errors import CorpusError
from lightning_wavenet.files.audio import clip_stem
from lightning_wavenet.metrics import level_db, spectral_distance_db
from lightning_wavenet.models import Clip
from lightning_wavenet.sampling import Sampler
from lightning_wavenet.tasks import GenerationTask


class SampleLogger(Callback):
    """Generates a few clips at the start and every so many steps, with the same seeds, conditions and primes each time.

    Each round goes to `samples/step_NNNNNNN/` of the run folder as wavs with spectrogram pictures, and to Weights &
    Biases where the run logs there. The recordings that lend the conditions lie in `samples/reference/`. Two numbers
    are logged with each round: `samples/level_db`, the RMS level, and `samples/spectral_distance_db`, how far the
    clips' mean spectrum is from that of the references. Tasks that do not generate have no rounds, nor have corpora
    without `prompts` (see `AudioDataModule`), which is said once.

    Several processes deal the clips out among themselves, and the first writes them all: the same files as alone.

    Args:
        every_n_steps: Training steps between rounds; 0 generates none.
        clips: Clips a round, spread over the speakers of the validation set.
        seconds: Length of each clip (s).
        prime_seconds: How much of the recording is given to be continued (s); 0 begins out of silence.
        temperature: Divides the logits; 1 samples from the model.
        seed: Seed of the first clip.
    """

    def __init__(
        self,
        every_n_steps: int = 5_000,
        clips: int = 4,
        seconds: float = 2.0,
        prime_seconds: float = 0.0,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> None:
        if every_n_steps < 0 or clips < 1 or seconds <= 0 or prime_seconds < 0 or temperature <= 0 or seed < 0:
            raise ValueError(
                "samples: clips, seconds and temperature must be positive, every_n_steps, prime_seconds and seed not "
                "negative"
            )
        self.every_n_steps = every_n_steps
        self.clips = clips
        self.seconds = seconds
        self.prime_seconds = prime_seconds
        self.temperature = temperature
        self.seed = seed
        self._last_step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Generates the first round, of the untrained net; a resumed run has had the round of its step."""
        self._last_step = trainer.global_step
        if self.every_n_steps > 0 and trainer.global_step == 0:
            self._round(trainer, pl_module, 0)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Generates a round where one is due."""
        step = trainer.global_step
        if self.every_n_steps > 0 and step % self.every_n_steps == 0 and step != self._last_step:
            self._last_step = step
            self._round(trainer, pl_module, step)

    def _round(self, trainer: pl.Trainer, pl_module: pl.LightningModule, step: int) -> None:
        corpus = getattr(trainer, "datamodule", None)
        if not isinstance(pl_module, GenerationTask) or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if not hasattr(corpus, "prompts"):
            if step == 0 and trainer.is_global_zero:
                print(f"no samples on the way: {type(corpus).__name__} has no prompts(count, samples, split)")
            return
        model = pl_module.model
        rate = model.vocabulary.sample_rate
        samples, primed = round(self.seconds * rate), round(self.prime_seconds * rate)
        prompts = _prompts(corpus, self.clips, samples + primed)

        training = pl_module.training
        pl_module.eval()
        on_device = pl_module.transfer_batch_to_device(prompts, pl_module.device, 0)
        seeds = range(self.seed, self.seed + len(prompts.ids))
        streams = model.streams(on_device, samples, seeds, primed)
        sampler = Sampler(model.backbone, temperature=self.temperature)
        share = sampler.generate(streams[trainer.global_rank :: trainer.world_size])
        waveforms = _gather(share, len(streams), trainer.world_size)
        about = model.descriptions(prompts, streams, sampler, step=step)
        pl_module.train(training)
        if trainer.is_global_zero:
            generated = [Clip(*pair) for pair in zip(waveforms, about, strict=True)]
            recorded = [
                Clip.recording(wave[kept], id, rate, description.text, description.conditions)
                for wave, kept, id, description in zip(
                    prompts.audio, prompts.target_mask, prompts.ids, about, strict=True
                )
            ]
            _keep(trainer, step, generated, recorded)


def _prompts(corpus: Any, count: int, samples: int) -> Batch:
    """Of the validation split, or where there is none, of what is trained on."""
    try:
        prompts: Batch = corpus.prompts(count, samples, "validation")
    except CorpusError:
        prompts = corpus.prompts(count, samples, "train")
    return prompts


def _gather(share: list[Tensor], clips: int, ranks: int) -> list[Tensor]:
    """All clips, in the order in which the processes took them in turn."""
    shares = [share]
    if ranks > 1:
        shares = [[] for _ in range(ranks)]
        torch.distributed.all_gather_object(shares, share)
    return [shares[clip % ranks][clip // ranks] for clip in range(clips)]


def _keep(trainer: pl.Trainer, step: int, generated: Sequence[Clip], recorded: Sequence[Clip]) -> None:
    """Writes a round beside the recordings that it is held against, and logs what comes of it."""
    folder = Path(trainer.default_root_dir) / "samples"
    ids = [clip.description.id for clip in generated]
    names = [f"{row:02d}_{clip_stem(id).name}" for row, id in enumerate(ids)]
    if not (folder / "reference").exists():
        for name, clip in zip(names, recorded, strict=True):
            clip.save(folder / "reference" / f"{name}.wav")
    round_folder = folder / f"step_{step:07d}"
    paths = [clip.save(round_folder / f"{name}.wav") for name, clip in zip(names, generated, strict=True)]
    waveforms = [clip.waveform for clip in generated]
    measured = {
        "samples/level_db": sum(map(level_db, waveforms)) / len(generated),
        "samples/spectral_distance_db": spectral_distance_db(
            waveforms, [clip.waveform for clip in recorded], generated[0].sample_rate
        ),
    }
    level, distance = measured.values()
    said = f"level {level:.1f} dB, spectral distance {distance:.1f} dB"
    print(f"{len(paths)} samples in {round_folder}: {said}", flush=True)
    for logger in trainer.loggers:
        logger.log_metrics(measured, step)
        if isinstance(logger, WandbLogger):
            logger.log_audio("samples/audio", [str(path) for path in paths], step=step, caption=ids)
            pictures = [str(path.with_suffix(".png")) for path in paths]
            logger.log_image("samples/spectrogram", pictures, step=step, caption=ids)
