"""Ctrl-C and SIGTERM as a wish to end in order."""

import math
import signal
import sys
import time

GRACE_S = 5.0
"""How long what is under way is awaited after the first one."""


class Interruption:
    """Takes note of the first SIGINT or SIGTERM; a second one leaves at once. A context manager.

    Both end the process with 128 and the signal's number, as a shell expects.
    """

    def __init__(self) -> None:
        self.deadline = math.inf
        """When to stop waiting for what is under way, on the monotonic clock."""
        self._number = 0

    def __bool__(self) -> bool:
        return self._number > 0

    @property
    def exit_code(self) -> int:
        """With which to leave after one."""
        return 128 + self._number

    def __enter__(self) -> "Interruption":
        self._before = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _: object) -> None:
        if self:
            sys.exit(self.exit_code)
        self._number = number
        self.deadline = time.monotonic() + GRACE_S
