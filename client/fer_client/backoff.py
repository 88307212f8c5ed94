"""Pauses that grow."""

import random


class Backoff:
    """Seconds to wait before each try: twice the last ones, up to a longest."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        """Begin with the first pause."""
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def next(self) -> float:
        """Return the next pause, a fifth longer or shorter by chance: not all try together."""
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, self._longest_s)
        return pause_s * random.uniform(0.8, 1.2)

    def reset(self) -> None:
        """Begin again with the first pause."""
        self._next_s = self._first_s
