"""This machine: its CPU, its devices, its memory."""
