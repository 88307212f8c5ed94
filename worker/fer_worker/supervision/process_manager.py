"""The worker processes of one machine: as many as desired, replaced when they die or hang.

Everything here runs on the supervisor's loop: `listen`, `bury`, `reconcile`, over and over.
"""

import logging
import signal
import time
from datetime import UTC, datetime

from fer_schemas import ProcessStatus
from fer_worker.metrics import Counts
from fer_worker.supervision.worker_handle import NO_ANCESTRY, Ancestry, Child
from fer_worker.supervision.worker_main import ExitCode, WorkerConfig

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
"""Between processes that die before their engine is warm, or they might eat the machine. One that
dies at work is replaced at once: whatever message killed it is buried after three of them."""


class Team:
    """Keeps `desired` processes running."""

    def __init__(self, config: WorkerConfig, desired: int) -> None:
        """Store what every process is handed, and how many are wanted at first."""
        self.desired = desired
        self.restarts = 0
        """Processes that died and were to be replaced."""
        self._config = config
        self._children: list[Child] = []
        self._vacant: list[Ancestry] = []
        """Places whose process died, for the next ones to be started."""
        self._past = Counts()
        """Of processes that are no more."""
        self._retired = False
        self.cut_short = False
        """Whether a process left with requests unanswered when all were to leave."""
        self._proven = False  # whether the engine has ever started
        self._pause_s = FIRST_PAUSE_S
        self._not_before = 0.0

    def __len__(self) -> int:
        return len(self._children)

    @property
    def is_settled(self) -> bool:
        """Whether all that are wanted are ready, and all others have left."""
        return self.states == ["ready"] * self.desired

    @property
    def states(self) -> list[str]:
        """What each process is at."""
        return [child.state for child in self._children]

    @property
    def statuses(self) -> tuple[ProcessStatus, ...]:
        """What operators are told."""
        return tuple(child.status for child in self._children)

    @property
    def counts(self) -> Counts:
        """All that was done, also by processes that are no more."""
        return sum((child.counts for child in self._children), start=self._past)

    @property
    def held(self) -> int:
        """Requests whose outcome no queue takes."""
        return sum(child.progress.held for child in self._children)

    def lately(self, span_s: float) -> tuple[float, float]:
        """Return batches a second and threads at work on average, over the last seconds."""
        rate = busy = 0.0
        for child in self._children:
            counts, seconds = child.recent.over(span_s)
            if seconds:
                rate += counts.took.count / seconds
                busy += counts.busy_s / seconds
        return rate, busy

    @property
    def sources(self) -> list[object]:
        """What becomes readable when there is something to listen to or somebody to bury."""
        pipes = [child.pipe for child in self._children if not child.pipe.closed]
        return [*pipes, *(child.process.sentinel for child in self._children)]

    def resize(self, desired: int) -> None:
        """Want another number of processes."""
        self.desired = desired
        self._not_before = 0.0

    def replace_all(self) -> None:
        """Put new processes in the place of all, one after the other."""
        for child in self._children:
            child.outdated = True

    def retire(self) -> None:
        """Want no process any more, for good."""
        self._retired = True
        self.desired = 0
        for child in self._children:
            child.drain()

    def kill(self) -> None:
        """End all at once; the broker delivers to others what they had."""
        for child in self._children:
            child.kill()

    def close(self) -> None:
        """Kill whoever is left, and release everything."""
        for child in self._children:
            child.kill()
            child.close()

    def listen(self) -> None:
        """Take in what the processes report."""
        for child in self._children:
            child.read_reports()
            self._proven |= child.was_warm

    def bury(self) -> int | None:
        """Take note of every process that has ended.

        Returns:
            The exit code of one that could not start, if another would not fare better.
        """
        hopeless = None
        for child in [child for child in self._children if child.process.exitcode is not None]:
            self._children.remove(child)
            child.read_reports()
            self._past += child.counts
            code = child.process.exitcode
            if child.draining:
                log.info("process %d left (%s)", child.pid, code)
                self.cut_short |= self._retired and code != 0
                if child.outdated and not any(other.outdated for other in self._children):
                    log.info("all processes are replaced")
            elif code == ExitCode.BROKER_REFUSED or (
                code == ExitCode.ENGINE_FAILED and not self._proven
            ):
                log.error("process %d could not start; stopping", child.pid)
                hopeless = code
            else:
                self._replace(child)
            child.close()
        return hopeless

    def _replace(self, child: Child) -> None:
        self.restarts += 1
        cause = child.hung or _explain(child.process.exitcode)
        self._vacant.append(
            child.ancestry.followed_by(f"{cause} at {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
        )
        pause_s = 0.0
        if child.was_warm:
            self._pause_s = FIRST_PAUSE_S
        else:
            pause_s = self._pause_s
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        self._not_before = time.monotonic() + pause_s
        log.warning("process %d died: %s; starting another in %.0f s", child.pid, cause, pause_s)

    def reconcile(self, *, may_start: bool) -> None:
        """Start, drain and kill processes so that as many as desired will be at work."""
        retiring = self._retiring()
        active = [child for child in self._children if not child.draining and child is not retiring]
        for child in active[self.desired :]:
            child.drain()
        if may_start and not self._retired and time.monotonic() >= self._not_before:
            for _ in range(self.desired - len(active)):
                self._start()
        if retiring is not None and [c.state for c in active].count("ready") >= self.desired:
            retiring.drain()
        if self.desired == 0:
            self._vacant.clear()
        now = time.monotonic()
        for child in self._children:
            if child.kill_at is not None and now > child.kill_at:
                log.error("process %d does not leave; killing it", child.pid)
                child.kill()
            elif child.hung is None and child.stuck_s > self._config.hang_timeout_s:
                child.hung = f"no progress for {child.stuck_s:.0f} s"
                log.error("process %d hangs: %s", child.pid, child.hung)
                child.kill()

    def _retiring(self) -> Child | None:
        """Whom a rolling restart replaces now: at work until enough others are ready."""
        if any(child.draining for child in self._children):
            return None  # one after the other
        outdated = [child for child in self._children if child.outdated]
        return min(outdated, key=lambda child: child.state == "ready", default=None)

    def _start(self) -> None:
        child = Child(self._config, self._vacant.pop() if self._vacant else NO_ANCESTRY)
        self._children.append(child)
        log.info("started process %d", child.pid)


def _explain(code: int | None) -> str:
    """Say how a process ended: by which signal, or with which exit code."""
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal
        return f"killed by signal {-code}"
