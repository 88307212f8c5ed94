"""The threads that do the work: a delivery in, its result out.

Reading a request (up to 16 MiB of it) and analysing its frames both happen here, so that the loop
only moves messages.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fer_client.amqp.consumer import Delivery
from fer_client.errors import MessageError
from fer_schemas import BatchRequest, BatchResult, ErrorCode
from fer_worker.inference.types import Engine
from fer_worker.limits import Limits
from fer_worker.logging_setup import log_context
from fer_worker.metrics import MetricsRecorder
from fer_worker.serving.damage_log import DamageLog
from fer_worker.serving.deadlines import deadline_of
from fer_worker.serving.frame_analysis import analyze_frame, check_pixels
from fer_worker.serving.request_decoder import decode_request
from fer_worker.serving.result_builder import FrameOutcome, expired, summarize

log = logging.getLogger(__name__)


@dataclass
class _Batch:
    """One request at work."""

    delivery: Delivery
    result: "asyncio.Future[BatchResult]"
    started: float = field(default_factory=time.perf_counter)
    delivered_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    is_wanted: bool = True
    """False once nobody waits for the result any more: what has not begun is skipped."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    outcomes: dict[int, FrameOutcome] = field(default_factory=dict)
    """Of its frames, as they come in."""

    def add(self, index: int, outcome: FrameOutcome, frames: int) -> bool:
        """Keep the outcome of one frame, and say whether it is the last one."""
        with self.lock:
            self.outcomes[index] = outcome
            return len(self.outcomes) == frames


_Outcome = BatchResult | MessageError

_Step = Callable[..., BatchResult | None]
"""Reads a request or analyses a frame; the last one returns the result."""


class FramePool:
    """A pool of threads around one engine.

    One task reads a request and analyses its longest frame; every other frame is a task.
    """

    def __init__(
        self, engine: Engine, threads: int, limits: Limits, worker: str, meter: MetricsRecorder
    ) -> None:
        """Store the parts; threads start with the first work.

        Args:
            engine: warmed up, safe for that many threads.
            threads: frames analysed at once.
            limits: what is accepted.
            worker: host/pid, named in results.
            meter: counts the frames.
        """
        self._engine = engine
        self._limits = limits
        self._worker = worker
        self._meter = meter
        self._damage_log = DamageLog()
        self._executor = ThreadPoolExecutor(threads, "frames")
        self._busy_since: dict[int, float] = {}
        self._lock = threading.Lock()
        self._ended: list[tuple[asyncio.Future[BatchResult], _Outcome]] = []
        """What the loop is to be told."""

    @property
    def working_since(self) -> float | None:
        """When the oldest step under way began, on the monotonic clock; None while all wait.

        A step reads a request, or analyses a frame.
        """
        return min(list(self._busy_since.values()), default=None)

    async def analyse(self, delivery: Delivery) -> BatchResult:
        """Read a request and analyse its frames.

        Cancelled, it skips what has not begun.

        Raises:
            MessageError: the request is bad as a whole.
        """
        batch = _Batch(delivery, asyncio.get_running_loop().create_future())
        self._submit(batch, self._begin)
        try:
            return await batch.result
        finally:
            batch.is_wanted = False

    def close(self) -> None:
        """End the threads, once they have done what is queued."""
        self._executor.shutdown()

    def _submit(self, batch: _Batch, step: _Step, *args: object) -> None:
        self._executor.submit(self._run, batch, step, *args)

    def _run(self, batch: _Batch, step: _Step, *args: object) -> None:
        """Take one step on a thread of the pool; it may bring the batch to its end."""
        if not batch.is_wanted:
            return
        thread = threading.get_ident()
        self._busy_since[thread] = began = time.monotonic()
        outcome: _Outcome | None
        try:
            outcome = step(batch, *args)
        except MessageError as error:
            outcome = error
        except BaseException:  # one such as SystemExit would end the thread
            log.exception("unexpected fault", extra=log_context(batch.delivery.correlation_id))
            outcome = MessageError(ErrorCode.INTERNAL_ERROR, "the worker failed on this request")
        finally:
            del self._busy_since[thread]
            self._meter.worked(time.monotonic() - began)
        if outcome is not None:
            self._end(batch, outcome)

    def _end(self, batch: _Batch, outcome: _Outcome) -> None:
        """Tell the loop.

        To wake it is a system call, which gives the interpreter lock away. So one wake-up serves
        all that have ended meanwhile.
        """
        with self._lock:
            self._ended.append((batch.result, outcome))
            is_first = len(self._ended) == 1
        if is_first:
            batch.result.get_loop().call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        with self._lock:
            ended, self._ended = self._ended, []
        for future, outcome in ended:
            if future.done():  # nobody waits any more, or another frame was faulty, too
                continue
            if isinstance(outcome, BatchResult):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)

    def _begin(self, batch: _Batch) -> BatchResult | None:
        """Read the request and analyse its longest frame."""
        delivery = batch.delivery
        request = decode_request(
            delivery.body, delivery.content_type, delivery.headers, self._limits
        )
        deadline = deadline_of(request, delivery.properties.expiration, batch.delivered_at)
        if deadline is not None and deadline < datetime.now(UTC):
            return expired(
                request,
                "picked up after its deadline",
                correlation_id=delivery.correlation_id,
                redelivered=delivery.was_delivered_before,
                worker=self._worker,
            )
        check_pixels(request.frames, self._limits)
        # This thread takes the longest frame, so that a batch of one never changes hands. The
        # others follow by length, so that no thread is left alone with a long one at the end.
        sizes = [len(frame.jpeg) for frame in request.frames]
        longest, *others = sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True)
        for index in others:
            self._submit(batch, self._analyze, request, index)
        return self._analyze(batch, request, longest)

    def _analyze(self, batch: _Batch, request: BatchRequest, index: int) -> BatchResult | None:
        """Analyse one frame; the last one of a batch makes the result."""
        outcome = analyze_frame(
            self._engine,
            request.frames[index],
            index,
            request.faces or self._engine.options.faces,
            self._limits.frame,
            batch.delivery.correlation_id,
        )
        if outcome.frame.damaged:
            self._meter.add("damaged_frames")
        if outcome.frame.width is not None:
            self._meter.frame(
                len(outcome.frame.faces),
                decode_s=outcome.decode_ms / 1000,
                detect_s=outcome.detect_ms / 1000,
                classify_s=outcome.classify_ms / 1000,
            )
        is_last = batch.add(index, outcome, len(request.frames))
        return self._summarize(batch, request) if is_last else None

    def _summarize(self, batch: _Batch, request: BatchRequest) -> BatchResult:
        delivery, sent_at = batch.delivery, request.sent_at
        outcomes = [batch.outcomes[index] for index in range(len(request.frames))]
        self._damage_log.add(
            request.camera_id,
            len(outcomes),
            [each.error.message for each in outcomes if each.frame.damaged and each.error],
        )
        queued = None if sent_at is None else (batch.delivered_at - sent_at).total_seconds() * 1000
        return summarize(
            request,
            outcomes,
            options=self._engine.options,
            total_ms=(time.perf_counter() - batch.started) * 1000,
            queued_ms=queued,
            correlation_id=delivery.correlation_id,
            redelivered=delivery.was_delivered_before,
            worker=self._worker,
        )
