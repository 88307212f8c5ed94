"""Every request of a run and what became of it."""

import threading
from collections import Counter
from dataclasses import dataclass

from fer_schemas import BatchResult

Answer = tuple[object, ...]


def answer(result: BatchResult) -> Answer:
    """What a result says of its frames, without who said it, when, and in which words."""
    codes = tuple((error.frame, error.code) for error in result.errors)
    return (result.status, result.emotions, result.faces_areas, result.frames, codes)


@dataclass(frozen=True)
class _Expected:
    kind: str
    answer: Answer


class Ledger:
    """Expects one answer a request, and keeps count. For several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, _Expected] = {}
        self.requests: Counter[str] = Counter()
        """By kind."""
        self.right = 0
        self.redelivered = 0
        self.duplicates = 0
        """Second answers to a request."""
        self.wrong: list[str] = []

    def expect(self, name: str, kind: str, answer: Answer) -> None:
        """Note a request before it is sent."""
        with self._lock:
            self.requests[kind] += 1
            self._open[name] = _Expected(kind, answer)

    def settle(self, name: str, result: BatchResult) -> None:
        """Note an answer."""
        with self._lock:
            expected = self._open.pop(name, None)
            if expected is None:
                self.duplicates += 1
                return
            self.redelivered += result.redelivered
            if answer(result) == expected.answer:
                self.right += 1
            else:
                self.wrong.append(f"{expected.kind} {name}: {result.status}, {result.errors}")

    def fail(self, name: str, error: BaseException) -> None:
        """Note that a request ended without an answer."""
        with self._lock:
            expected = self._open.pop(name)
            self.wrong.append(f"{expected.kind} {name}: {error!r}")

    @property
    def lost(self) -> tuple[str, ...]:
        """Requests that have no answer, so far."""
        with self._lock:
            return tuple(f"{expected.kind} {name}" for name, expected in self._open.items())
