"""C++ for this CPU: compiled at first use, kept for the next time, and a header of vectors as wide as the CPU's."""

from lightning_wavenet.cpp.compiler import NATIVE, compile_for

__all__ = ["NATIVE", "compile_for"]
