"""Memory of processes over their lives."""

import time
from pathlib import Path
from statistics import median

SETTLED_S = 10.0
"""A process younger than this still takes what it needs."""

MIB = 1024


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
        """How much more a process held in the second half of its life than in the first.

        Medians: a client keeps what it sent until it is answered, also while the broker is away.
        """
        return max(map(_growth, self._looks.values()), default=0.0)


def _growth(looks: list[float]) -> float:
    half = len(looks) // 2
    return median(looks[half:]) - median(looks[:half]) if half else 0.0


def _resident_mib(pid: int) -> float | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # ended meanwhile
        return None
    held = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
    return int(held[0]) / MIB if held else None
