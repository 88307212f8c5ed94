"""Wait for conditions instead of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

POLL_INTERVAL_S = 0.02

Outcome = TypeVar("Outcome")


def wait_until(
    condition: Callable[[], Outcome | None],
    timeout_s: float = 10.0,
    what: str | None = None,
    interval_s: float = POLL_INTERVAL_S,
) -> Outcome:
    """Return what the condition returns as soon as that is true.

    Args:
        condition: called again and again until what it returns is true.
        timeout_s: how long that may take.
        what: the condition in words, for the failure.
        interval_s: between two calls.

    Raises:
        AssertionError: it did not come true in time.
    """
    deadline = time.monotonic() + timeout_s
    while not (outcome := condition()):
        if time.monotonic() > deadline:
            name = what or getattr(condition, "__qualname__", repr(condition))
            raise AssertionError(f"not within {timeout_s:g} s: {name}")
        time.sleep(interval_s)
    return outcome
