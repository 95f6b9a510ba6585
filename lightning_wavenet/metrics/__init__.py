"""Objective measures."""

from lightning_wavenet.metrics.likelihood import BitsPerSample, nats_of_16_bits
from lightning_wavenet.metrics.recognition import PhoneErrorRate
from lightning_wavenet.metrics.spectrum import level_db, mean_spectrum, spectral_distance_db

__all__ = ["BitsPerSample", "PhoneErrorRate", "level_db", "mean_spectrum", "nats_of_16_bits", "spectral_distance_db"]
