"""Timings of what ought to be fast, each engine or form against the others in one run."""
