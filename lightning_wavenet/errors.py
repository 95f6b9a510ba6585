"""The errors that end a command with one line instead of a traceback."""

from __future__ import annotations


class RequestError(Exception):
    """What was asked for cannot be done as asked; the message says what is wrong and what to do (exit code 2)."""


class CorpusError(RequestError):
    """A corpus is not where or what it should be; the message says what is missing and where it was looked for."""


class TrainingError(Exception):
    """Training went wrong and cannot continue; the message says at which step, and what to do (exit code 1)."""


class StorageError(Exception):
    """Files cannot be written, as on a full disk; the message says where, and what to do (exit code 1)."""
