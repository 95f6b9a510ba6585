"""Autoregressive generation: one front door, several engines, the same samples."""

from lightning_wavenet.sampling.sampler import Guidance, Sampler, Stream

__all__ = ["Guidance", "Sampler", "Stream"]
