"""The native engine: generation as one C++ loop for CPUs, compiled at first use."""

from lightning_wavenet.sampling.native.build import Library, load
from lightning_wavenet.sampling.native.session import NativeSession, why_not

__all__ = ["Library", "NativeSession", "load", "why_not"]
