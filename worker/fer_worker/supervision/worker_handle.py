"""One worker process as its supervisor sees it."""

import time
from dataclasses import dataclass, field
from typing import Literal, Self

from fer_client.backoff import Backoff
from fer_schemas import Percentiles, ProcessStatus
from fer_worker.metrics import Histogram, MetricsSnapshot, SlidingWindow
from fer_worker.serving.progress import Progress
from fer_worker.supervision.child_process import ChildProcess
from fer_worker.supervision.messages import DRAIN, Examination, Report
from fer_worker.supervision.worker_config import WorkerConfig
from fer_worker.supervision.worker_main import run_worker

KILL_GRACE_S = 5.0
"""A process that has not left this long after its drain time is killed."""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


@dataclass
class Slot:
    """A place for one process after another."""

    restarts: int = 0
    last_error: str | None = None
    """How the last process here ended, and when."""
    not_before: float = 0.0
    """When the next one may start, on the monotonic clock."""
    pauses: Backoff = field(default_factory=lambda: Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S))
    has_failed: bool = False
    """Whether the last process here died without an answer."""

    def pause(self) -> float:
        """Have the next process wait, longer each time; return the seconds."""
        pause_s = self.pauses.next()
        self.not_before = time.monotonic() + pause_s
        return pause_s

    def follow(self, error: str, *, was_warm: bool, answered: bool) -> float:
        """Take note of a death, and return the seconds until the next start.

        One that answered something is replaced at once: whatever message killed it goes to
        quarantine. So is the first one that was warm and answered nothing; further ones, and those
        that never get warm, might eat the machine.
        """
        self.restarts += 1
        self.last_error = error
        is_first = was_warm and not self.has_failed
        self.has_failed = not answered
        if answered:
            self.pauses.reset()
        return 0.0 if answered or is_first else self.pause()


class WorkerHandle(ChildProcess):
    """One worker process, in its slot."""

    slot: Slot
    outdated = False
    """Whether another process is to take its place (a rolling restart)."""
    hung: str | None = None
    """Why it was killed, if it made no progress."""
    kill_at: float | None = None
    """When it is killed, on the monotonic clock, once it was told to leave."""
    drain_limit_s: float
    recent: SlidingWindow

    @classmethod
    async def start_in(cls, slot: Slot, config: WorkerConfig) -> Self:
        """Start one in the place of those that died before it.

        Raises:
            OSError: as `start`.
        """
        worker = await cls.start(run_worker, config)
        worker.slot = slot
        worker.drain_limit_s = config.drain_timeout_s + KILL_GRACE_S
        worker.recent = SlidingWindow()
        return worker

    @property
    def draining(self) -> bool:
        """Whether it was told to leave."""
        return self.kill_at is not None

    @property
    def was_warm(self) -> bool:
        """Whether its engine has started."""
        return self.report is not None

    @property
    def state(self) -> Literal["starting", "ready", "not_ready", "draining"]:
        """What it is at."""
        if self.draining or (self.report is not None and self.report.draining):
            return "draining"
        if self.report is None:
            return "starting"
        return "ready" if self.report.progress.ready else "not_ready"

    @property
    def counts(self) -> MetricsSnapshot:
        """All that it has reported to have done."""
        return self.report.counts if self.report else MetricsSnapshot()

    @property
    def progress(self) -> Progress:
        """What it reported last."""
        return self.report.progress if self.report else Progress()

    @property
    def batches(self) -> int:
        """Requests that it brought to their end."""
        return sum(self.counts.requests.values())

    @property
    def status(self) -> ProcessStatus:
        """What operators are told."""
        lately, span_s = self.recent.over()
        durations = {**lately.stages, "total": lately.took}
        return ProcessStatus(
            pid=self.pid,
            state=self.state,
            uptime_s=round(time.monotonic() - self.started, 1),
            batches=self.batches,
            frames=self.counts.totals["frames"],
            in_flight=self.progress.in_flight,
            frames_per_s=round(lately.totals["frames"] / span_s, 2) if span_s else 0.0,
            stages_ms={
                stage: Percentiles(p50=_ms(took, 0.5), p95=_ms(took, 0.95))
                for stage, took in durations.items()
                if took.count
            },
            resident_bytes=self.report.resident_bytes if self.report else 0,
            restarts=self.slot.restarts,
            last_error=self.slot.last_error,
        )

    async def receive(self) -> Report | Examination | None:
        """As `ChildProcess.receive`; a report counts for the last minute."""
        said = await super().receive()
        if isinstance(said, Report):
            self.recent.add(time.monotonic(), said.counts)
        return said

    def drain(self) -> None:
        """Tell it to finish what it has and leave."""
        if not self.draining:
            self.kill_at = time.monotonic() + self.drain_limit_s
            self.send(DRAIN)


def _ms(durations: Histogram, share: float) -> float:
    return round((durations.quantile(share) or 0.0) * 1000, 1)
