"""Load against a running system: batches at a pace, until what they take is known.

    pace ──due──▶ submit ──future──▶ inbox ──samples──▶ windows ──until they agree──▶ Step

One thread sends and counts. Futures end on another one, which only puts them into the inbox.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Protocol

from fer_client.errors import NoAnswerError, SubmitError
from fer_schemas import BatchResult, Frame, Status
from fer_worker.tools.loadtest.measurement import (
    COMPARED,
    ClosedLoop,
    Failure,
    OpenLoop,
    Rules,
    Sample,
    Step,
    Window,
    Workload,
    is_silent,
    is_stable,
    merge,
)

Submit = Callable[[Sequence[Frame]], "Future[BatchResult]"]
"""Sends a batch and returns at once. Its future ends in any case, if need be by a timeout."""


class Load:
    """The load of one step. `run` runs it, and any thread or signal handler may `stop` it."""

    def __init__(
        self,
        pace: Workload,
        submit: Submit,
        batches: Iterator[Sequence[Frame]],
        rules: Rules,
        on_window: Callable[[int, Window], None] = lambda *_: None,
    ) -> None:
        """Store the parts.

        Args:
            pace: when batches are due.
            submit: sends one.
            batches: without end.
            rules: when the step is over.
            on_window: told of each window that closes, unless it is cut short, and which one it
                was, from 1.
        """
        self.stopped = False
        self._pace = pace
        self._submit = submit
        self._batches = batches
        self._rules = rules
        self._on_window = on_window
        self._inbox: SimpleQueue[_Ended | None] = SimpleQueue()
        self._in_flight = 0
        self._window = Window()
        self._failures: Counter[Failure] = Counter()

    def stop(self) -> None:
        """Send nothing more, and let `run` return when what is under way has ended."""
        self.stopped = True
        self._inbox.put(None)

    def run(self) -> Step:
        """Send batches until the last windows agree, then wait for those under way.

        The first window opens when as many batches have ended as were due at the start. What ends
        after the last one is in no window, but counts if it fails.

        Raises:
            BrokerError: the broker refuses us, or the client is closed.
            BatchTooLargeError: a batch is over the message limit.
        """
        pace, stability = self._pace, self._rules.stability
        schedule = _schedule(pace, time.perf_counter())
        while not self.stopped and self._window.ended < schedule.ramp:
            self._advance(schedule, None)
        windows: list[Window] = []
        while not (
            self.stopped
            or len(windows) >= self._rules.max_windows
            or is_stable(windows, pace, stability)
            or is_silent(windows)
        ):
            windows.append(self._measure(schedule))
            if not self.stopped:
                self._on_window(len(windows), windows[-1])
        self._window = Window()
        while self._in_flight:
            self._take(schedule, None)
        stable = is_stable(windows, pace, stability)
        return Step(
            pace=pace,
            windows=len(windows),
            stable=stable,
            last=merge(windows[-COMPARED:]),
            failures=self._failures,
            interrupted=self.stopped and not stable,
        )

    def _measure(self, schedule: "_Schedule") -> Window:
        """Go on for the time of a window."""
        self._window = window = Window()
        opened = time.perf_counter()
        closes = opened + self._rules.window_s
        while not self.stopped and time.perf_counter() < closes:
            self._advance(schedule, closes)
        window.seconds = time.perf_counter() - opened
        return window

    def _advance(self, schedule: "_Schedule", until: float | None) -> None:
        """Send the batch that is due; or wait for an answer, until one is due or until `until`."""
        now = time.perf_counter()
        due = schedule.due()
        if due is not None and due <= now:
            self._send(schedule, due)
            self._take(schedule, 0)
        else:
            moments = [moment for moment in (due, until) if moment is not None]
            self._take(schedule, min(moments) - now if moments else None)

    def _send(self, schedule: "_Schedule", due: float) -> None:
        batch = next(self._batches)
        sent = _Sent(due, time.perf_counter(), len(batch))
        future = self._submit(batch)
        schedule.sent()
        self._in_flight += 1
        future.add_done_callback(
            lambda ended: self._inbox.put(_Ended(sent, time.perf_counter(), ended))
        )

    def _take(self, schedule: "_Schedule", timeout_s: float | None) -> None:
        """Take in one batch that has ended; wait for it so long at most."""
        try:
            ended = self._inbox.get(timeout=None if timeout_s is None else max(timeout_s, 0))
        except Empty:
            return
        if ended is None:
            return  # woken to stop
        self._in_flight -= 1
        schedule.ended(ended.moment)
        self._window.ended += 1
        outcome = _outcome(ended)
        if isinstance(outcome, Sample):
            self._window.samples.append(outcome)
        else:
            self._failures[outcome] += 1


class _Schedule(Protocol):
    """When batches are due, on the clock `time.perf_counter`."""

    ramp: int
    """How many are due at the start."""

    def due(self) -> float | None:
        """When the next one is due; None until one that was sent has ended."""

    def sent(self) -> None:
        """The one that was due is sent."""

    def ended(self, moment: float) -> None:
        """One that was sent has ended."""


class _ClosedLoopSchedule:
    """A batch is due when a place gets free."""

    def __init__(self, pace: ClosedLoop, start: float) -> None:
        self.ramp = pace.number
        self._free = deque([start] * pace.number)

    def due(self) -> float | None:
        return self._free[0] if self._free else None

    def sent(self) -> None:
        self._free.popleft()

    def ended(self, moment: float) -> None:
        self._free.append(moment)


class _OpenLoopSchedule:
    """Batches are due at even intervals, and can be sent while there is room."""

    ramp = 1

    def __init__(self, pace: OpenLoop, start: float) -> None:
        self._pace = pace
        self._start = start
        self._sent = 0
        self._in_flight = 0

    def due(self) -> float | None:
        if self._in_flight >= self._pace.in_flight:
            return None
        return self._start + self._sent / self._pace.number

    def sent(self) -> None:
        self._sent += 1
        self._in_flight += 1

    def ended(self, moment: float) -> None:
        self._in_flight -= 1


def _schedule(pace: Workload, start: float) -> _Schedule:
    return (
        _ClosedLoopSchedule(pace, start)
        if isinstance(pace, ClosedLoop)
        else _OpenLoopSchedule(pace, start)
    )


@dataclass(frozen=True, slots=True)
class _Sent:
    """A batch under way."""

    due: float
    called: float
    """When it was submitted. The client stamps `sent_at` first of all, microseconds later."""
    frames: int


@dataclass(frozen=True, slots=True)
class _Ended:
    """A batch whose future has ended."""

    sent: _Sent
    moment: float
    future: "Future[BatchResult]"


def _outcome(ended: _Ended) -> Sample | Failure:
    """What a batch comes to.

    Raises:
        BrokerError: it ended since the whole client did.
    """
    try:
        result = ended.future.result()
    except NoAnswerError:
        return Failure.NO_ANSWER
    except SubmitError:
        return Failure.REFUSED
    if result.status is not Status.SUCCESS:
        return Failure(result.status.value)
    timings = result.timings_ms
    if timings is None or timings.queued is None:
        return Failure.ERROR
    sent = ended.sent
    return Sample(
        frames=sent.frames,
        process=result.worker,
        latency=(ended.moment - sent.due) * 1000,
        client=(sent.called - sent.due) * 1000,
        queued=timings.queued,
        worker=timings.total,
        decode=timings.decode,
        detect=timings.detect,
        classify=timings.classify,
    )
