"""Ctrl-C and SIGTERM in commands: to leave at once, or to end in order first.

Either way a command that they end has the exit code that a shell expects: 128 and the signal's
number, so 130 for Ctrl-C and 143 for SIGTERM.
"""

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from fer_worker.platform import system

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

RETRY_S: Final = 0.01

GRACE_S: Final = 5.0
"""How long what is under way is awaited after the first one."""


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """Let a signal end the program without a traceback, wherever it is; `finally` blocks run.

    Python drops what a destructor raises, and 3.11 makes a RuntimeError of what is raised in a
    `__set_name__`: every import has some. So a signal that was dropped is sent once more.
    """
    received = 0

    def leave(number: int, _: object) -> None:
        nonlocal received
        received = number
        sys.exit(128 + number)

    def leave_later(dropped: "sys.UnraisableHookArgs") -> None:
        if received and isinstance(dropped.exc_value, SystemExit):
            # Not by this thread, which is still in the middle of what drops exceptions.
            threading.Timer(RETRY_S, system.send_again, (received,)).start()
        else:
            show(dropped)

    show, sys.unraisablehook = sys.unraisablehook, leave_later
    for number in SIGNALS:
        signal.signal(number, leave)
    try:
        yield
    finally:
        # The interpreter would show the exception as a traceback while it shuts down.
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        sys.unraisablehook = show
        if received:  # also where another exception has taken the place of ours
            sys.exit(128 + received)


def interrupt() -> NoReturn:
    """Raise `KeyboardInterrupt`, for an `Interruption` that ends something which does not look."""
    raise KeyboardInterrupt


class Interruption:
    """Takes note of the first SIGINT or SIGTERM; a second one leaves at once. A context manager."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        """Store what to do.

        Args:
            then: called at the first signal, in between two steps of the main thread. It may raise.
        """
        self.deadline = math.inf
        """When to stop waiting for what is under way, on the monotonic clock."""
        self._then = then
        self._number = 0

    def __bool__(self) -> bool:
        return self._number > 0

    @property
    def exit_code(self) -> int:
        """With which to leave after one."""
        return 128 + self._number

    def __enter__(self) -> "Interruption":
        self._before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _: object) -> None:
        if self:
            sys.exit(self.exit_code)
        self._number = number
        self.deadline = time.monotonic() + GRACE_S
        self._then()
