"""Autoregressive generation: one front door, several engines, the same samples."""

from lightning_wavenet.sampling.sampler import Sampler, Stream

__all__ = ["Sampler", "Stream"]
