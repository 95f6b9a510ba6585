"""Sweeps over experiments: the files of Weights & Biases, and running them without it."""
