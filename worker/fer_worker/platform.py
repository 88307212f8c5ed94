"""What depends on the operating system."""

import contextlib
import os
import signal
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

HANDLED_SIGNALS: Final = frozenset(
    {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU}
)
"""What a supervisor listens to."""


def has_controlling_terminal() -> bool:
    """Whether this process belongs to a terminal, whose end would be told by SIGHUP."""
    try:
        os.close(os.open(Path("/dev/tty"), os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def blocked_signals(signals: Collection[signal.Signals]) -> Iterator[None]:
    """Hold signals back; a process that is started meanwhile inherits that."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def has_own_console() -> bool:
    """Whether this process was given a console of its own, as by a double click on Windows."""
    return False
