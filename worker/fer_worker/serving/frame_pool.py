"""The threads that do the work: a delivery in, its result out.

Reading a request (up to 16 MiB of it) and analysing its frames both happen here, so that the
connection's thread only moves messages.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from queue import SimpleQueue

from fer_client.amqp.consumer import Delivery
from fer_client.errors import MessageError
from fer_schemas import BatchRequest, BatchResult, ErrorCode
from fer_worker.inference.types import Engine
from fer_worker.limits import Limits
from fer_worker.logging_setup import about
from fer_worker.metrics import Meter
from fer_worker.serving.deadlines import LatestBatches, deadline_of
from fer_worker.serving.frame_analysis import analyze_frame, check_pixels
from fer_worker.serving.request_decoder import decode_request
from fer_worker.serving.result_builder import FrameOutcome, expired, summarize

log = logging.getLogger(__name__)

Ending = BatchResult | MessageError
"""What a request comes to: a result to reply with, or why it is to be buried."""


@dataclass
class Job:
    """One delivery at work."""

    delivery: Delivery
    is_wanted: Callable[[], bool]
    """False once its connection is lost: the broker has taken it back, so work is wasted."""
    on_end: Callable[[Ending], None]
    """Called once, on a thread of the pool."""
    started: float
    """On the clock `time.perf_counter`."""
    delivered_at: datetime = field(default_factory=lambda: datetime.now(UTC))


_Step = Callable[[], None]
"""What a thread of the pool does at once: read a request, or analyse a frame."""


class _Batch:
    """A job once it is read: the outcomes of its frames as they come in, in any order."""

    def __init__(self, job: Job, request: BatchRequest) -> None:
        self.job = job
        self.request = request
        self._outcomes: dict[int, FrameOutcome] = {}
        self._lock = threading.Lock()

    @property
    def camera_id(self) -> str | None:
        return self.request.camera_id

    @property
    def moment(self) -> datetime:
        return self.request.sent_at or self.job.delivered_at

    def add(self, index: int, outcome: FrameOutcome) -> list[FrameOutcome] | None:
        """Keep a frame's outcome. Whoever adds the last one gets all, in the frames' order."""
        with self._lock:
            self._outcomes[index] = outcome
            if len(self._outcomes) < len(self.request.frames):
                return None
            return [self._outcomes[position] for position in range(len(self._outcomes))]


class FramePool:
    """A pool of threads around one engine.

    A task reads a request and analyses its longest frame; every other frame is a task of its own.
    """

    def __init__(
        self,
        engine: Engine,
        threads: int,
        limits: Limits,
        worker: str,
        meter: Meter,
        *,
        latest_wins: bool = False,
    ) -> None:
        """Start the threads.

        Args:
            engine: warmed up, safe for that many threads.
            threads: frames analysed at once.
            limits: what is accepted.
            worker: host/pid, named in results.
            meter: counts the frames.
            latest_wins: answer a batch `expired` where a newer one of its camera waits here.
        """
        self._engine = engine
        self._limits = limits
        self._worker = worker
        self._meter = meter
        self._latest: LatestBatches[_Batch] | None = LatestBatches() if latest_wins else None
        # Not an executor: it makes a future for every task, and nobody here looks at one.
        self._tasks: SimpleQueue[tuple[Job, _Step] | None] = SimpleQueue()
        self._steps_began: list[float | None] = [None] * threads
        self._threads = [
            threading.Thread(
                target=self._work, args=(number,), name=f"frames_{number}", daemon=True
            )
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def working_since(self) -> float | None:
        """When the oldest step under way began, on the monotonic clock; None while all wait."""
        return min((began for began in self._steps_began if began is not None), default=None)

    def submit(self, job: Job) -> None:
        """Queue a job; returns at once."""
        self._tasks.put((job, partial(self._read, job)))

    def shutdown(self) -> None:
        """End the threads, once they have done what is queued."""
        for _ in self._threads:
            self._tasks.put(None)

    def _work(self, number: int) -> None:
        while (task := self._tasks.get()) is not None:
            self._steps_began[number] = began = time.monotonic()
            self._guarded(*task)
            self._steps_began[number] = None
            self._meter.worked(time.monotonic() - began)
            del task  # or its request would be kept until the next one comes

    def _guarded(self, job: Job, step: _Step) -> None:
        if not job.is_wanted():
            return
        try:
            step()
        except MessageError as error:
            job.on_end(error)
        except BaseException:  # nothing may end a thread of the pool
            log.exception("unexpected fault", extra=about(job.delivery.correlation_id))
            job.on_end(MessageError(ErrorCode.INTERNAL_ERROR, "the worker failed on this request"))

    def _read(self, job: Job) -> None:
        delivery = job.delivery
        request = decode_request(
            delivery.body, delivery.content_type, delivery.headers, self._limits
        )
        batch = _Batch(job, request)
        deadline = deadline_of(request, delivery.properties.expiration, job.delivered_at)
        if deadline is not None and deadline < datetime.now(UTC):
            self._expire(batch, "picked up after its deadline")
            return
        check_pixels(request.frames, self._limits)
        if self._latest is None:
            self._begin(batch)
        else:
            # Behind all that were delivered before this moment: by then they are read, and known.
            self._latest.add(batch)
            self._tasks.put((job, partial(self._begin_if_latest, self._latest, batch)))

    def _begin_if_latest(self, latest: LatestBatches[_Batch], batch: _Batch) -> None:
        if latest.has_newer(batch):
            self._meter.add("superseded")
            self._expire(batch, "a newer batch of this camera waits")
        else:
            self._begin(batch)

    def _begin(self, batch: _Batch) -> None:
        # The longest files first, so that no thread is left alone with one at the end.
        sizes = [len(frame.jpeg) for frame in batch.request.frames]
        first, *others = sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True)
        for index in others:
            self._tasks.put((batch.job, partial(self._analyze, batch, index)))
        self._analyze(batch, first)  # by this thread: a batch of one never changes hands

    def _analyze(self, batch: _Batch, index: int) -> None:
        request = batch.request
        faces = request.faces or self._engine.options.faces
        outcome = analyze_frame(
            self._engine,
            request.frames[index],
            index,
            faces,
            self._limits.frame,
            batch.job.delivery.correlation_id,
        )
        if outcome.error is None:
            self._meter.frame(
                len(outcome.frame.faces),
                decode_s=outcome.decode_ms / 1000,
                detect_s=outcome.detect_ms / 1000,
                classify_s=outcome.classify_ms / 1000,
            )
        outcomes = batch.add(index, outcome)
        if outcomes is not None:
            batch.job.on_end(self._summarize(batch, outcomes))

    def _expire(self, batch: _Batch, why: str) -> None:
        delivery = batch.job.delivery
        batch.job.on_end(
            expired(
                batch.request,
                why,
                correlation_id=delivery.correlation_id,
                redelivered=delivery.was_delivered_before,
                worker=self._worker,
            )
        )

    def _summarize(self, batch: _Batch, outcomes: list[FrameOutcome]) -> BatchResult:
        job, sent_at = batch.job, batch.request.sent_at
        queued = None if sent_at is None else (job.delivered_at - sent_at).total_seconds() * 1000
        return summarize(
            batch.request,
            outcomes,
            options=self._engine.options,
            total_ms=(time.perf_counter() - job.started) * 1000,
            queued_ms=queued,
            correlation_id=job.delivery.correlation_id,
            redelivered=job.delivery.was_delivered_before,
            worker=self._worker,
        )
