"""The threads that do the work: a delivery in, its result out.

Reading a request (up to 16 MiB of it) and analysing its frames both happen here, so that the loop
only moves messages.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from fer_client.amqp.consumer import Delivery
from fer_client.errors import MessageError
from fer_schemas import BatchRequest, BatchResult, ErrorCode
from fer_worker.inference.types import Engine
from fer_worker.limits import Limits
from fer_worker.logging_setup import log_context
from fer_worker.metrics import MetricsRecorder
from fer_worker.serving.deadlines import deadline_of
from fer_worker.serving.frame_analysis import analyze_frame, check_pixels
from fer_worker.serving.request_decoder import decode_request
from fer_worker.serving.result_builder import FrameOutcome, expired, summarize

log = logging.getLogger(__name__)

Value = TypeVar("Value")


@dataclass
class _Work:
    """One delivery at work."""

    delivery: Delivery
    started: float = field(default_factory=time.perf_counter)
    delivered_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    is_wanted: bool = True
    """False once nobody waits for the result any more: what has not begun is skipped."""


_Begun = tuple[BatchRequest, list["Future[FrameOutcome]"]]
"""A request that is read, and the outcomes of its frames, as far as they are there."""


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
        self._executor = ThreadPoolExecutor(threads, "frames")
        self._busy_since: dict[int, float] = {}
        self._done: deque[tuple[asyncio.Future[_Begun], Future[_Begun]]] = deque()
        """What has begun, and the loop is to be told."""

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
        work = _Work(delivery)
        try:
            request, frames = await self._begun(work)
            outcomes = [
                frame.result() if frame.done() else await asyncio.wrap_future(frame)
                for frame in frames
            ]
        finally:
            work.is_wanted = False
        return self._finish(work, request, outcomes)

    def close(self) -> None:
        """End the threads, once they have done what is queued."""
        self._executor.shutdown()

    def _begun(self, work: _Work) -> "asyncio.Future[_Begun]":
        """Have a thread begin, and return a future of this loop.

        Not `wrap_future`: to wake the loop is a system call, which gives the interpreter lock
        away. So one wake-up serves all that have begun meanwhile.
        """
        loop = asyncio.get_running_loop()
        begun: asyncio.Future[_Begun] = loop.create_future()

        def note(done: "Future[_Begun]") -> None:
            self._done.append((begun, done))
            if len(self._done) == 1:
                loop.call_soon_threadsafe(self._resolve)

        self._submit(work, self._begin, work).add_done_callback(note)
        return begun

    def _resolve(self) -> None:
        while self._done:
            begun, done = self._done[0]
            if not begun.done():
                if (error := done.exception()) is not None:
                    begun.set_exception(error)
                else:
                    begun.set_result(done.result())
            self._done.popleft()

    def _submit(self, work: _Work, step: Callable[..., Value], *args: object) -> "Future[Value]":
        return self._executor.submit(self._run, work, step, *args)

    def _run(self, work: _Work, step: Callable[..., Value], *args: object) -> Value:
        """Take one step on a thread of the pool. A failure of any kind is a `MessageError`."""
        if not work.is_wanted:
            raise CancelledError
        thread = threading.get_ident()
        self._busy_since[thread] = began = time.monotonic()
        try:
            return step(*args)
        except MessageError:
            raise
        except BaseException as error:  # one such as SystemExit would end the loop
            log.exception("unexpected fault", extra=log_context(work.delivery.correlation_id))
            raise MessageError(
                ErrorCode.INTERNAL_ERROR, "the worker failed on this request"
            ) from error
        finally:
            del self._busy_since[thread]
            self._meter.worked(time.monotonic() - began)

    def _begin(self, work: _Work) -> _Begun:
        """Read the request and analyse its longest frame.

        Returns:
            The request, and the outcome of each frame in its order. None of them where the
            request came too late.
        """
        delivery = work.delivery
        request = decode_request(
            delivery.body, delivery.content_type, delivery.headers, self._limits
        )
        deadline = deadline_of(request, delivery.properties.expiration, work.delivered_at)
        if deadline is not None and deadline < datetime.now(UTC):
            return request, []
        check_pixels(request.frames, self._limits)
        # This thread takes the longest frame, so that a batch of one never changes hands. The
        # others follow by length, so that no thread is left alone with a long one at the end.
        sizes = [len(frame.jpeg) for frame in request.frames]
        longest, *others = sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True)
        outcomes = {
            index: self._submit(work, self._analyze, work, request, index) for index in others
        }
        outcomes[longest] = Future()
        outcomes[longest].set_result(self._analyze(work, request, longest))
        return request, [outcomes[index] for index in range(len(sizes))]

    def _analyze(self, work: _Work, request: BatchRequest, index: int) -> FrameOutcome:
        outcome = analyze_frame(
            self._engine,
            request.frames[index],
            index,
            request.faces or self._engine.options.faces,
            self._limits.frame,
            work.delivery.correlation_id,
        )
        if outcome.error is None:
            self._meter.frame(
                len(outcome.frame.faces),
                decode_s=outcome.decode_ms / 1000,
                detect_s=outcome.detect_ms / 1000,
                classify_s=outcome.classify_ms / 1000,
            )
        return outcome

    def _finish(
        self, work: _Work, request: BatchRequest, outcomes: list[FrameOutcome]
    ) -> BatchResult:
        delivery, sent_at = work.delivery, request.sent_at
        if not outcomes:
            return expired(
                request,
                "picked up after its deadline",
                correlation_id=delivery.correlation_id,
                redelivered=delivery.was_delivered_before,
                worker=self._worker,
            )
        queued = None if sent_at is None else (work.delivered_at - sent_at).total_seconds() * 1000
        return summarize(
            request,
            outcomes,
            options=self._engine.options,
            total_ms=(time.perf_counter() - work.started) * 1000,
            queued_ms=queued,
            correlation_id=delivery.correlation_id,
            redelivered=delivery.was_delivered_before,
            worker=self._worker,
        )
