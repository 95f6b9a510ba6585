"""Reproduce the experiments of the WaveNet paper (arXiv 1609.03499) with PyTorch Lightning."""
