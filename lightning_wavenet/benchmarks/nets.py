"""The nets that are measured, all at 16 kHz and with random weights."""

from __future__ import annotations

from collections.abc import Callable

from lightning_wavenet.backbone import ContextStack, LogisticMixture, TransposedUpsampling, WaveNet
from lightning_wavenet.features import Linguistic, LogF0

SAMPLE_RATE = 16_000
"""Of all nets here (Hz)."""

FEATURES = (Linguistic(80), LogF0(80))
"""Of the net that speaks."""


def paper() -> WaveNet:
    """The net that most reproductions call the paper's: 30 layers, 64 residual, 128 gate, 256 skip channels."""
    return WaveNet()


def deep_voice_20() -> WaveNet:
    """Deep Voice's smallest: 20 layers, 32 residual and 128 skip channels (arXiv 1702.07825, section 3.5)."""
    return WaveNet("1..512 x2", residual_channels=32, gate_channels=64, skip_channels=128, head_channels=128)


def deep_voice_40() -> WaveNet:
    """Deep Voice's largest: 40 layers, 64 residual and 256 skip channels."""
    return WaveNet("1..512 x4")


def tts() -> WaveNet:
    """`paper`, conditioned on 80 channels every 5 ms that learned upsampling brings to the sample rate."""
    return WaveNet(upsampling=TransposedUpsampling(frame_channels=80, strides=(8, 10), channels=80))


def paper_16_bits() -> WaveNet:
    """`paper`, with a mixture of ten logistics over 16-bit samples."""
    return WaveNet(distribution=LogisticMixture())


def context() -> WaveNet:
    """`paper`, and a context stack of 18 layers that sees 1,023 frames of 64 samples, 4.1 s (section 2.6)."""
    return WaveNet(contexts=[ContextStack(64, "1..256 x2")])


def say() -> WaveNet:
    """`tts` on linguistic features and log F0: the first sample is counted from a sentence on."""
    channels = sum(extractor.channels for extractor in FEATURES)
    return WaveNet(upsampling=TransposedUpsampling(frame_channels=channels, strides=(8, 10), channels=80))


NETS: dict[str, Callable[[], WaveNet]] = {
    "paper": paper,
    "paper-16-bits": paper_16_bits,
    "deepvoice-20-32-128": deep_voice_20,
    "deepvoice-40-64-256": deep_voice_40,
    "context": context,
    "tts": tts,
    "say": say,
}
