"""One worker process as its supervisor sees it."""

import contextlib
import multiprocessing
import signal
import time
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Literal

from fer_schemas import Percentiles, ProcessStatus
from fer_worker.metrics import Counts, Histogram, Recent
from fer_worker.serving.progress import Progress
from fer_worker.supervision.report import Report
from fer_worker.supervision.worker_main import WorkerConfig, run_process

_FOR_THE_SUPERVISOR = frozenset({signal.SIGINT, signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU})

KILL_GRACE_S = 5.0
"""A process that has not left this long after its drain time is killed."""


@dataclass(frozen=True)
class Ancestry:
    """The processes that died before one in its place."""

    restarts: int = 0
    last_error: str | None = None
    """How the last of them ended, and when."""

    def followed_by(self, error: str) -> "Ancestry":
        """Add one more death."""
        return Ancestry(self.restarts + 1, error)


NO_ANCESTRY = Ancestry()


class Child:
    """One worker process and the pipe it reports over."""

    def __init__(self, config: WorkerConfig, ancestry: Ancestry = NO_ANCESTRY) -> None:
        """Start it, in the place of those that died before it."""
        context = multiprocessing.get_context("spawn")  # never fork beside OpenVINO or TensorFlow
        self.pipe, theirs = context.Pipe(duplex=True)
        self.process = context.Process(target=run_process, args=(config, theirs))
        # Ctrl-C and the end of a terminal reach the whole group of processes. A child inherits that
        # they are blocked, and so sees none even while it starts: its supervisor tells it when to
        # leave.
        # The first start brings up multiprocessing's tracker as well, and that lets SIGINT through
        # again: so it is brought up before.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_THE_SUPERVISOR)
        self.process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self.started = time.monotonic()
        self.kill_at: float | None = None
        self.outdated = False
        """Whether another process is to take its place (a rolling restart)."""
        self.ancestry = ancestry
        self.hung: str | None = None
        """Why it was killed, if it made no progress."""
        self.was_warm = False
        """Whether its engine has started: it has reported."""
        self.recent = Recent()
        self._report: Report | None = None
        self._reported = self.started
        self._grace_s = config.drain_timeout_s + KILL_GRACE_S

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process.pid is not None
        return self.process.pid

    @property
    def draining(self) -> bool:
        """Whether it was told to leave."""
        return self.kill_at is not None

    @property
    def uptime_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started

    @property
    def stuck_s(self) -> float:
        """Seconds since it last made progress, 0 while it starts.

        It has reports to make once a second, and every step of its work (a frame) is to end.
        """
        if self._report is None:
            return 0.0
        working_since = self._report.progress.working_since
        return time.monotonic() - min(self._reported, working_since or self._reported)

    @property
    def state(self) -> Literal["starting", "ready", "not_ready", "draining"]:
        """What it is at."""
        if self.draining or (self._report is not None and self._report.draining):
            return "draining"
        if self._report is None:
            return "starting"
        return "ready" if self._report.progress.ready else "not_ready"

    @property
    def status(self) -> ProcessStatus:
        """What operators are told."""
        progress = self.progress
        lately, span_s = self.recent.over()
        durations = {**lately.stages, "total": lately.took}
        return ProcessStatus(
            pid=self.pid,
            state=self.state,
            uptime_s=round(self.uptime_s, 1),
            batches=sum(self.counts.requests.values()),
            frames=self.counts.totals["frames"],
            in_flight=progress.in_flight,
            frames_per_s=round(lately.totals["frames"] / span_s, 2) if span_s else 0.0,
            stages_ms={
                stage: Percentiles(p50=_ms(took, 0.5), p95=_ms(took, 0.95))
                for stage, took in durations.items()
                if took.count
            },
            resident_bytes=self._report.resident_bytes if self._report else 0,
            restarts=self.ancestry.restarts,
            last_error=self.ancestry.last_error,
        )

    @property
    def counts(self) -> Counts:
        """All that it has reported to have done."""
        return self._report.counts if self._report else Counts()

    @property
    def progress(self) -> Progress:
        """What it reported last."""
        return self._report.progress if self._report else Progress()

    def read_reports(self) -> None:
        """Take in what it reported since last time."""
        with contextlib.suppress(EOFError, OSError):  # it died: its sentinel says so
            while self.pipe.poll():
                report: Report = self.pipe.recv()
                self._report = report
                self._reported = time.monotonic()
                self.was_warm = True
                self.recent.add(self._reported, report.counts)

    def drain(self) -> None:
        """Tell it to finish what it has and leave."""
        if not self.draining:
            self.kill_at = time.monotonic() + self._grace_s
            self.process.terminate()

    def kill(self) -> None:
        """End it at once; the broker delivers to others what it had."""
        self.process.kill()

    def close(self) -> None:
        """Release what it leaves behind, once it is dead."""
        self.process.join()
        self.pipe.close()
        self.process.close()


def _ms(durations: Histogram, share: float) -> float:
    return round((durations.quantile(share) or 0.0) * 1000, 1)
