"""Memory of processes over their lives."""

import ctypes
import sys
import time
from pathlib import Path

SETTLED_S = 10.0
"""A process younger than this still takes what it needs."""

MIB = 1024

M_ARENA_MAX = -8
"""Of glibc's malloc.h."""


class Memory:
    """Resident memory of processes, looked at again and again."""

    def __init__(self) -> None:
        self._born: dict[int, float] = {}
        self._longest_s = 0.0
        self._looks: dict[int, list[float]] = {}
        """In MiB, a process from when it had settled."""

    def look(self, pids: list[int]) -> None:
        """Take down how much the processes hold now."""
        now = time.monotonic()
        for pid in pids:
            if (resident := _resident_mib(pid)) is None:
                continue
            age = now - self._born.setdefault(pid, now)
            if age >= SETTLED_S:
                self._looks.setdefault(pid, []).append(resident)
                self._longest_s = max(self._longest_s, age)

    def __str__(self) -> str:
        most_mib = max((max(looks) for looks in self._looks.values()), default=0.0)
        return (
            f"{len(self._looks)} processes of more than {SETTLED_S:.0f} s, the longest "
            f"{self._longest_s:.0f} s; at most {most_mib:.0f} MiB, growth {self.growth_mib:.1f} MiB"
        )

    @property
    def growth_mib(self) -> float:
        """How much more a process held in the last third of its life than in the one before.

        The first third does not count: caches fill, and the heap finds its size. Of a third the
        least counts: a client keeps what it sent until it is answered, also while the broker is
        away.
        """
        return max(map(_growth, self._looks.values()), default=0.0)


def _growth(looks: list[float]) -> float:
    third = len(looks) // 3
    return min(looks[2 * third :]) - min(looks[third : 2 * third]) if third else 0.0


def _resident_mib(pid: int) -> float | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # ended meanwhile
        return None
    held = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
    return int(held[0]) / MIB if held else None


class Heap:
    """Of this process. What is freed the C library keeps, for one of its threads or for all.

    After the broker was away that can be as much as a client had to send at once: no growth.
    """

    def __init__(self) -> None:
        """From now on have one heap for all threads: the only one that can be given back whole."""
        self._library = ctypes.CDLL(None)
        self._is_glibc = sys.platform == "linux" and hasattr(self._library, "malloc_trim")
        if self._is_glibc:
            self._library.mallopt(M_ARENA_MAX, 1)

    def give_back(self) -> None:
        """Give it back to the system, where the library is glibc."""
        if self._is_glibc:
            self._library.malloc_trim(0)
