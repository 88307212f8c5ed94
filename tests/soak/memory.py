"""Memory of processes over their lives."""

import time
from pathlib import Path

SETTLED_S = 10.0
"""A process younger than this still takes what it needs."""

MIB = 1024


class Memory:
    """Resident memory of processes, looked at again and again."""

    def __init__(self) -> None:
        self._born: dict[int, float] = {}
        self._settled: dict[int, float] = {}
        self._last: dict[int, float] = {}
        self._ages: dict[int, float] = {}

    def look(self, pids: list[int]) -> None:
        """Take down how much the processes hold now."""
        now = time.monotonic()
        for pid in pids:
            if (resident := _resident_mib(pid)) is None:
                continue
            age = now - self._born.setdefault(pid, now)
            if age >= SETTLED_S:
                self._settled.setdefault(pid, resident)
                self._last[pid] = resident
                self._ages[pid] = age

    def __str__(self) -> str:
        return (
            f"{len(self._last)} processes of more than {SETTLED_S:.0f} s, the longest "
            f"{max(self._ages.values(), default=0):.0f} s; at most "
            f"{max(self._last.values(), default=0):.0f} MiB, growth {self.growth_mib:.1f} MiB"
        )

    @property
    def growth_mib(self) -> float:
        """What the one that grew most gained from when it had settled to its end."""
        return max((self._last[pid] - self._settled[pid] for pid in self._last), default=0.0)


def _resident_mib(pid: int) -> float | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # ended meanwhile
        return None
    held = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
    return int(held[0]) / MIB if held else None
