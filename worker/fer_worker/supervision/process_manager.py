"""The worker processes of one host: as many as desired, replaced when they die or hang."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime

from fer_schemas import ProcessStatus
from fer_worker.metrics import MetricsSnapshot
from fer_worker.supervision.child_process import explain_exit
from fer_worker.supervision.worker_config import ExitCode, WorkerConfig
from fer_worker.supervision.worker_handle import Slot, WorkerHandle

log = logging.getLogger(__name__)


FROZEN_S = 1.5
"""Between two turns, of half a second each: this host, or its container, stood still."""


class ProcessManager:
    """Keeps `desired` worker processes running: `reconcile` starts, drains and kills them."""

    def __init__(self, config: WorkerConfig, desired: int, on_change: Callable[[], None]) -> None:
        """Store what every process is handed, and how many are wanted at first.

        Args:
            config: of the processes.
            desired: how many.
            on_change: called when a process has reported, or has ended.
        """
        self.desired = desired
        self.restarts = 0
        """Processes that died and were to be replaced."""
        self.spawn_error: str | None = None
        """Why the last process that was wanted could not be started; None if it was."""
        self.fatal_exit_code: int | None = None
        """Of a process that could not start, if another would not fare better."""
        self.drain_incomplete = False
        """Whether a process left with requests unanswered when all were to leave."""
        self._config = config
        self._on_change = on_change
        self._workers: dict[WorkerHandle, asyncio.Task[None]] = {}
        self._slots: list[Slot] = []
        """Of processes that died, to be filled again."""
        self._past = MetricsSnapshot()
        """Of processes that are no more."""
        self._last_turn = time.monotonic()
        self._look_for_hangs_from = 0.0
        """On the monotonic clock; later where this host stood still, and all with it."""
        self._shutting_down = False
        self._ever_warm = False

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def is_settled(self) -> bool:
        """Whether all that are wanted are ready, and all others have left."""
        return self.states == ["ready"] * self.desired

    @property
    def states(self) -> list[str]:
        """What each process is at."""
        return [worker.state for worker in self._workers]

    @property
    def statuses(self) -> tuple[ProcessStatus, ...]:
        """What operators are told."""
        return tuple(worker.status for worker in self._workers)

    @property
    def counts(self) -> MetricsSnapshot:
        """All that was done, also by processes that are no more."""
        return sum((worker.counts for worker in self._workers), start=self._past)

    @property
    def unroutable(self) -> int:
        """Requests whose outcome no queue takes."""
        return sum(worker.progress.unroutable for worker in self._workers)

    def lately(self, span_s: float) -> tuple[float, float]:
        """Return batches per second and threads at work on average, over the last seconds."""
        rate = busy = 0.0
        for worker in self._workers:
            counts, seconds = worker.recent.over(span_s)
            if seconds:
                rate += counts.took.count / seconds
                busy += counts.busy_s / seconds
        return rate, busy

    def resize(self, desired: int) -> None:
        """Want another number of processes."""
        self.desired = desired
        self.spawn_error = None
        for slot in self._slots:
            slot.not_before = 0.0

    def replace_all(self) -> None:
        """Put new processes in the place of all, one after the other."""
        for worker in self._workers:
            worker.outdated = True

    def shut_down(self) -> None:
        """Want no process any more, for good."""
        self._shutting_down = True
        self.desired = 0
        for worker in self._workers:
            worker.drain()

    def kill_all(self) -> None:
        """End all at once; the broker delivers to others what they had."""
        for worker in self._workers:
            worker.kill()

    async def close(self) -> None:
        """Kill those that are left, and release everything."""
        self.kill_all()
        await asyncio.gather(*self._workers.values())

    async def reconcile(self, *, may_start: bool) -> None:
        """Start, drain and kill processes so that as many as desired will be at work."""
        replaced = self._being_replaced()
        active = [w for w in self._workers if not w.draining and w is not replaced]
        for worker in active[self.desired :]:
            worker.drain()
        if may_start and not self._shutting_down:
            await self._fill_slots(self.desired - len(active))
        if replaced is not None and [w.state for w in active].count("ready") >= self.desired:
            replaced.drain()
        now = time.monotonic()
        if now > self._last_turn + FROZEN_S:
            self._look_for_hangs_from = now + self._config.hang_timeout_s
        self._last_turn = now
        for worker in self._workers:
            if worker.kill_at is not None and now > worker.kill_at:
                log.error("process %d does not leave; killing it", worker.pid)
                worker.kill_at = math.inf
                worker.kill()
            elif now < self._look_for_hangs_from:
                continue
            elif worker.hung is None and worker.stuck_s > self._config.hang_timeout_s:
                worker.hung = f"no progress for {worker.stuck_s:.0f} s"
                log.error("process %d hangs: %s", worker.pid, worker.hung)
                worker.kill()

    async def _fill_slots(self, missing: int) -> None:
        """Start the processes that are missing, as far as their slots may start one now."""
        # Of more than are missing, those that have to wait longest are kept: a scale down is no way
        # around their pauses.
        self._slots.sort(key=lambda slot: slot.not_before, reverse=True)
        del self._slots[max(0, missing) :]
        self._slots += [Slot() for _ in range(missing - len(self._slots))]
        now = time.monotonic()
        due = [slot for slot in self._slots if slot.not_before <= now]
        for slot in due[: max(0, missing)]:
            try:
                worker = await WorkerHandle.start_in(slot, self._config)
            except OSError as error:
                pause_s = slot.pause()
                self.spawn_error = f"no process can be started: {error.strerror or error}"
                log.error("%s; trying again in %.0f s", self.spawn_error, pause_s)
                return
            self.spawn_error = None
            self._slots.remove(slot)
            self._workers[worker] = asyncio.create_task(self._watch(worker))
            log.info("started process %d", worker.pid)

    def _being_replaced(self) -> WorkerHandle | None:
        """The one that a rolling restart replaces now: at work until enough others are ready."""
        if any(worker.draining for worker in self._workers):
            return None  # one after the other
        outdated = [worker for worker in self._workers if worker.outdated]
        return min(outdated, key=lambda worker: worker.state == "ready", default=None)

    async def _watch(self, worker: WorkerHandle) -> None:
        """Hear a process until it has ended."""
        while await worker.receive() is not None:
            self._ever_warm = True
            self._on_change()
        del self._workers[worker]
        self._past += worker.counts
        self._take_note_of_exit(worker)
        self._on_change()

    def _take_note_of_exit(self, worker: WorkerHandle) -> None:
        code = worker.exit_code
        if worker.draining:
            log.info("process %d left (%s)", worker.pid, code)
            self.drain_incomplete |= self._shutting_down and code != 0
            if worker.outdated and not any(other.outdated for other in self._workers):
                log.info("all processes are replaced")
        elif code == ExitCode.BROKER_REFUSED or (
            code == ExitCode.ENGINE_FAILED and not self._ever_warm
        ):
            log.error("process %d could not start; stopping", worker.pid)
            self.fatal_exit_code = code
        else:
            self.restarts += 1
            cause = worker.hung or explain_exit(code)
            pause_s = worker.slot.follow(
                f"{cause} at {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
                was_warm=worker.was_warm,
                answered=worker.batches > 0,
            )
            self._slots.append(worker.slot)
            log.warning(
                "process %d died: %s; starting another in %.0f s", worker.pid, cause, pause_s
            )
