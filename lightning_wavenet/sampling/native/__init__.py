"""The native engine: generation as one C++ loop for CPUs, compiled at first use."""

from lightning_wavenet.sampling.native.build import Library, build_for, load
from lightning_wavenet.sampling.native.session import NativeSession, NativeSteps, unsupported_reason

__all__ = ["Library", "NativeSession", "NativeSteps", "build_for", "load", "unsupported_reason"]
