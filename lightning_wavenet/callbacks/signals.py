"""Signal handling: a run ends by a signal, which all processes of the run act on after the same step."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

import pytorch_lightning as pl
import torch

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""A scheduler's request to end, Ctrl-C, and a scheduler's warning that time runs out."""


class Stopped(SystemExit):
    """Training was ended by a signal, between two steps.

    The exit code is that of a process that the signal ended, 128 and its number. Only the first process of a run fails
    so: a launcher that sees another fail would kill the first one at its work.

    Attributes:
        signal: What ended it.
    """

    def __init__(self, number: int, first: bool) -> None:
        super().__init__(128 + number if first else 0)
        self.signal = signal.Signals(number)


class Signals:
    """Takes signals for `agreed` to tell, where they would have ended the process in the middle of a step.

    A second Ctrl-C still does. A terminal or a scheduler sends the same signals to the workers of a loader, whose
    batches the step may yet need: they heed only the process that they work for.
    """

    def __init__(self) -> None:
        self._received = 0
        self._listening = False
        self._shielding = False

    def listen(self) -> None:
        """Takes the signals from now on, in place of the handlers that the Trainer puts there when it begins."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in NUMBERS:
            signal.signal(number, self._take)
        self._listening = True
        if not self._shielding:
            os.register_at_fork(after_in_child=self._shield)
        self._shielding = True

    def release(self) -> None:
        """Leaves new workers alone. The Trainer puts the process's own handlers back."""
        self._listening = False

    def agreed(self, trainer: pl.Trainer) -> int:
        """The number of a signal that some process of the run has received, or 0; to be asked by all at one time."""
        if trainer.world_size == 1:
            return self._received
        number = torch.tensor(self._received, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(number, reduce_op="max"))

    def _take(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT == self._received:
            raise KeyboardInterrupt
        self._received = self._received or number

    def _shield(self) -> None:
        if self._listening:
            # Handlers would not do: torch's own for workers replaces them.
            signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
            threading.Thread(target=_heed_parent, daemon=True).start()


def _heed_parent() -> None:
    while True:
        received = signal.sigwaitinfo(NUMBERS)
        if received.si_signo == signal.SIGTERM and received.si_pid == os.getppid():
            os._exit(0)
