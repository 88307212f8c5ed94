"""How many processes a queue needs. Knows no broker and no process: looks in, a number out."""

from dataclasses import dataclass

ENOUGH_LEFT = 0.8
"""One process fewer is enough if the others' threads would then be at work for at most this share
of the time: beyond it waits grow quickly."""


@dataclass(frozen=True)
class Load:
    """What there is to do, and how fast it is done."""

    moment_s: float
    """On the monotonic clock."""
    waiting: int
    """Batches that nobody has taken."""
    rate: float
    """Batches done a second, lately."""
    busy: float
    """Threads at work, on average lately."""

    @property
    def wait_s(self) -> float:
        """How long a batch that comes now is expected to wait: what is ahead of it, by the rate."""
        if not self.waiting:
            return 0.0
        return self.waiting / self.rate if self.rate else float("inf")


class Autoscaler:
    """Decides: more when batches wait too long, fewer after a quiet time."""

    def __init__(
        self, least: int, most: int, threads: int, target_wait_s: float, quiet_s: float
    ) -> None:
        """Store the bounds.

        Args:
            least: processes, also without anything to do; may be 0.
            most: processes.
            threads: of each process.
            target_wait_s: more processes are wanted where batches are expected to wait longer.
            quiet_s: how long fewer must have been enough before there is one fewer.
        """
        self.bounds = (least, most)
        self._threads = threads
        self._target_wait_s = target_wait_s
        self._quiet_s = quiet_s
        self._quiet_since: float | None = None

    def decide(self, desired: int, load: Load, *, settled: bool) -> int:
        """Say how many processes there are to be from now on.

        Up in steps of a half, and the next one only when the last has shown what it does: while
        processes start or leave (`settled` is false) nothing is decided. Down one at a time.
        """
        least, most = self.bounds
        if load.wait_s > self._target_wait_s:
            self._quiet_since = None
            return min(most, desired + max(1, desired // 2)) if settled else desired
        if not (settled and desired > least and self._is_one_too_many(desired, load)):
            self._quiet_since = None
            return desired
        if self._quiet_since is None:
            self._quiet_since = load.moment_s
        if load.moment_s - self._quiet_since < self._quiet_s:
            return desired
        self._quiet_since = load.moment_s
        return desired - 1

    def _is_one_too_many(self, desired: int, load: Load) -> bool:
        others = (desired - 1) * self._threads
        return load.wait_s <= self._target_wait_s / 2 and load.busy <= ENOUGH_LEFT * others
