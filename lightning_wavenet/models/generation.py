"""What models share that generate audio: the likelihood of the next sample, and clips under conditions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_wavenet.backbone import Conditions, WaveNet
from lightning_wavenet.data.batch import Batch, Request
from lightning_wavenet.data.vocabulary import Vocabulary
from lightning_wavenet.errors import RequestError
from lightning_wavenet.files.audio import read_audio
from lightning_wavenet.models.clip import Clip, ClipDescription
from lightning_wavenet.models.model import Model
from lightning_wavenet.sampling import Guidance, Sampler, Stream
from lightning_wavenet.sampling.sampler import EngineName, Precision

_SECONDS = 3.0
"""Length of a clip where nothing says how long it is to be."""


class Plan(NamedTuple):
    """Clips that are to be generated."""

    batch: Batch
    """What they are conditioned on, and the recordings that they continue."""
    streams: list[Stream]


class GenerativeModel(Model):
    """A WaveNet of the next sample (equations 1 and 3), under conditions that have names.

    A kind of model says what its backbone is conditioned on (`condition`), and how names become that (`choices`,
    `batch`) and the other way round (`names`).

    Args:
        backbone: The net.
        vocabulary: Of the corpus.
    """

    def __init__(self, backbone: WaveNet, vocabulary: Vocabulary) -> None:
        super().__init__(vocabulary)
        self.backbone = backbone

    @property
    def fields(self) -> frozenset[str]:
        """Fields of a batch that `condition` reads, beside frames."""
        return frozenset()

    @abstractmethod
    def condition(self, batch: Batch) -> Conditions:
        """What the backbone is conditioned on for a batch."""

    def choices(self, given: Mapping[str, str]) -> list[dict[str, str]]:
        """The conditions, by name, that clips are to be generated under; all that there are where none is given.

        Args:
            given: What was asked for, such as {"speaker": "p225,p226"}.

        Raises:
            RequestError: The model is not conditioned on that, or does not know it.
        """
        for name, value in given.items():
            condition = "tags" if name == "tags" else f"a {name}"
            raise RequestError(f"{name} {value!r} was asked for, but this model is not conditioned on {condition}")
        return [{}]

    def batch(self, choices: Sequence[Mapping[str, str]], waveform: Tensor) -> Batch:
        """A batch of recordings `[B, P]` to be continued, under named conditions."""
        mask = torch.ones(waveform.shape, dtype=torch.bool, device=waveform.device)
        return Batch(waveform, mask, ["_".join(choice.values()) for choice in choices])

    def unconditioned(self) -> Tensor:
        """The global condition `[global_channels]` that guidance leads away from: that of no particular clip.

        Raises:
            RequestError: The model has none.
        """
        raise RequestError("this model has no condition that can be left out: leave out --guidance")

    def names(self, batch: Batch, row: int) -> dict[str, Any]:
        """The conditions of a row of a batch, by name."""
        return {}

    @property
    def request(self) -> Request:
        """The history of the net, and the fields and frames that it is conditioned on."""
        upsampling = self.backbone.upsampling
        hop = self.backbone.grid if upsampling is None else upsampling.hop
        return Request(
            self.fields | ({"frames"} if upsampling is not None else frozenset()),
            history=-(-self.backbone.history // hop) * hop,
            hop=hop,
            left_frames=0 if upsampling is None else upsampling.context_frames,
            features=() if upsampling is None else self.vocabulary.features,
        )

    def nats(self, batch: Batch, noise: float = 0.0) -> tuple[Tensor, Tensor]:
        """Negative log-likelihood in nats and which of it counts, both `[B, T - H]`.

        The first H samples of a batch have no whole history, so they never count.

        Args:
            batch: Clips.
            noise: On the samples that the net sees, as `WaveNet.nll`.
        """
        nats = self.backbone.nll(batch.audio, self.condition(batch), noise)
        return nats, batch.target_mask[:, self.backbone.history :]

    @torch.no_grad()
    def streams(
        self, batch: Batch, samples: int | Sequence[int], seeds: Sequence[int], prime_samples: int = 0
    ) -> list[Stream]:
        """One stream for each clip of a batch, under that clip's conditions.

        Args:
            batch: Clips without history or left frames, as `AudioDataModule.prompts` gives them.
            samples: Samples to generate, of all or of each; fewer where frames cover fewer.
            seeds: One a clip.
            prime_samples: How much of each clip's beginning is given to be continued (samples).
        """
        conditions = self.condition(batch)
        lengths = [samples] * len(batch.ids) if isinstance(samples, int) else samples
        streams = []
        for row, (length, seed) in enumerate(zip(lengths, seeds, strict=True)):
            # No longer than the clip: padding would be continued as a silence.
            prime = batch.audio[row, : min(prime_samples, int(batch.target_mask[row].sum()))] if prime_samples else None
            global_condition = None if conditions.global_condition is None else conditions.global_condition[row]
            frames = None if conditions.frames is None else conditions.frames[row]
            if frames is not None and self.backbone.upsampling is not None:
                covered = frames.shape[-1] * self.backbone.upsampling.hop
                length = min(length, covered - (0 if prime is None else len(prime)))
            streams.append(Stream(length, seed, prime, global_condition, frames))
        return streams

    def plan(
        self,
        seconds: float | None = None,
        num: int = 1,
        seed: int = 0,
        prime: str | Path | Tensor | None = None,
        frames_from: Sequence[str | Path | Tensor] = (),
        guidance: float | None = None,
        **given: str,
    ) -> Plan:
        """Clips to generate, `num` under each of the conditions that are chosen.

        Args:
            seconds: Length of each (s); None: 3.
            num: How many, of each.
            seed: Of the first clip; the others count on from it.
            prime: Recording to continue: a file, or `[P]` at the model's rate.
            frames_from: Recordings that lend their frames, to a model that takes some.
            guidance: Leads clips that much further towards their conditions (`Guidance`); 1 or None: no further.
            given: Conditions by name, such as speaker="p225" or tags="piano,slow"; all speakers that the model
                knows, and no tags, where none are given.

        Raises:
            RequestError: The model cannot do that.
        """
        check_amounts(seconds, num, seed)
        if frames_from:
            raise RequestError("this model is not conditioned on frames: leave out --frames_from")
        choices = [choice for choice in self.choices(given) for _ in range(num)]
        rate, recording = self.vocabulary.sample_rate, self.recording(prime)
        batch = self.batch(choices, recording.expand(len(choices), -1))
        ids = ["_".join([*([id] if id else []), f"{row % num:03d}"]) for row, id in enumerate(batch.ids)]
        batch = batch._replace(ids=ids)
        seeds = range(seed, seed + len(choices))
        samples = max(1, round((_SECONDS if seconds is None else seconds) * rate))
        streams = self.streams(batch, samples, seeds, prime_samples=len(recording))
        if guidance not in (None, 1.0):
            away = Guidance(guidance, self.unconditioned())
            streams = [replace(stream, guidance=away) for stream in streams]
        return Plan(batch, streams)

    def recording(self, prime: str | Path | Tensor | None) -> Tensor:
        """A recording to continue, `[P]` on the model's device; empty for None.

        Args:
            prime: A file, or `[P]` at the model's rate.

        Raises:
            RequestError: The file cannot be read.
        """
        if not isinstance(prime, Tensor):
            prime = torch.zeros(0) if prime is None else read_audio(prime, self.vocabulary.sample_rate)
        return prime.to(self.device)

    def generate(
        self,
        seconds: float | None = None,
        *,
        num: int = 1,
        seed: int = 0,
        prime: str | Path | Tensor | None = None,
        frames_from: Sequence[str | Path | Tensor] = (),
        guidance: float | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        engine: EngineName = "auto",
        precision: Precision = "auto",
        **given: str,
    ) -> list[Clip]:
        """Clips, `num` under each of the conditions that are chosen.

        Args:
            seconds: Length of each (s); None: 3, or as long as the frames.
            num: How many, of each.
            seed: Of the first clip; the others count on from it.
            prime: Recording to continue: a file, or `[P]` at the model's rate.
            frames_from: Recordings that lend their frames, to a model that takes some.
            guidance: As `plan`.
            temperature: As `SoftmaxDraw`, 1 where it is not given.
            top_p: As `SoftmaxDraw`, 1 where it is not given.
            engine: As `Sampler`.
            precision: As `Sampler`.
            given: Conditions by name, such as speaker="p225" or tags="piano,slow"; all speakers that the model
                knows, and no tags, where none are given.

        Raises:
            RequestError: The model, or this machine, cannot do that.
        """
        plan = self.plan(seconds, num, seed, prime, frames_from, guidance, **given)
        sampler = Sampler(self.backbone, engine, precision, temperature=temperature, top_p=top_p)
        waveforms = sampler.generate(plan.streams)
        about = self.descriptions(plan.batch, plan.streams, sampler, None if isinstance(prime, Tensor) else prime)
        return [Clip(*pair) for pair in zip(waveforms, about, strict=True)]

    def descriptions(
        self,
        batch: Batch,
        streams: Sequence[Stream],
        sampler: Sampler,
        prime: str | Path | None = None,
        step: int | None = None,
    ) -> list[ClipDescription]:
        """What is to be known of the clips that a sampler makes of a batch's streams.

        Args:
            batch: The clips whose conditions they are generated under.
            streams: One a clip of the batch.
            sampler: Generates them.
            prime: The recording that all of them continue; None: each its own clip of the batch, where it does.
            step: Training step of the weights, where it is not that of the checkpoint.
        """
        digest, engine, rate = self.digest(), sampler.engine, self.vocabulary.sample_rate
        return [
            ClipDescription(
                id=id,
                sample_rate_hz=rate,
                seconds=stream.samples / rate,
                text=(batch.text[row] or None) if batch.text is not None else None,
                conditions=self.names(batch, row),
                seed=stream.seed,
                sampling=dict(sampler.draw.options) | stream.guidance_options,
                prime_seconds=stream.prime_samples / rate if stream.prime_samples else None,
                prime=None if not stream.prime_samples else id if prime is None else str(prime),
                codec=self.backbone.distribution.codec,
                engine=engine.name,
                precision=engine.precision,
                model=type(self).__name__,
                weights_sha256=digest,
                checkpoint=None if self.checkpoint is None else str(self.checkpoint),
                step=self.step if step is None else step,
            )
            for row, (id, stream) in enumerate(zip(batch.ids, streams, strict=True))
        ]


def check_amounts(seconds: float | None, num: int, seed: int) -> None:
    """Refuses amounts of clips that are none.

    Raises:
        RequestError: One of them is out of range.
    """
    if num < 1 or (seconds is not None and seconds <= 0) or seed < 0:
        raise RequestError(f"num and seconds must be positive, seed not negative; got {num}, {seconds} and {seed}")
