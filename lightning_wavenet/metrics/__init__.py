"""Objective measures."""

from lightning_wavenet.metrics.likelihood import BitsPerSample
from lightning_wavenet.metrics.recognition import PhoneErrorRate
from lightning_wavenet.metrics.spectrum import level_db, mean_spectrum, spectral_distance_db

__all__ = ["BitsPerSample", "PhoneErrorRate", "level_db", "mean_spectrum", "spectral_distance_db"]
