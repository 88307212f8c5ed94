"""Load against systems that are made up: functions that return futures."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import repeat
from typing import Any

import pytest

from fer_client.errors import (
    BrokerRefusedError,
    FerWorkerError,
    NoAnswerError,
    NoWorkerQueueError,
    QueueFullError,
)
from fer_schemas import BatchResult, Frame
from fer_worker.tools.loadtest.generator import Load
from fer_worker.tools.loadtest.measurement import (
    ClosedLoop,
    Failure,
    OpenLoop,
    Rules,
    Step,
    Window,
    Workload,
)

Answer = BatchResult | FerWorkerError

QUICK = Rules(window_s=0.03, max_windows=4)
BATCH = (Frame(jpeg=b"1"), Frame(jpeg=b"2"))


def result(status: str = "success", **fields: Any) -> BatchResult:
    timings = {"queued": 2.0, "decode": 1.0, "detect": 5.0, "classify": 1.0, "total": 8.0}
    return BatchResult.model_validate(
        {"status": status, "worker": "host/1", "timings_ms": timings, **fields}
    )


def ended(answer: Answer) -> "Future[BatchResult]":
    future: Future[BatchResult] = Future()
    if isinstance(answer, BatchResult):
        future.set_result(answer)
    else:
        future.set_exception(answer)
    return future


def at_once(answer: Answer) -> Callable[[Sequence[Frame]], "Future[BatchResult]"]:
    """A system that answers before it is asked twice."""
    return lambda _: ended(answer)


def load(
    pace: Workload, submit: Callable[[Sequence[Frame]], "Future[BatchResult]"], rules: Rules = QUICK
) -> Step:
    return Load(pace, submit, repeat(BATCH), rules).run()


class Slow:
    """A system that answers the oldest batch when it is told to, by a thread of its own."""

    def __init__(self) -> None:
        self.waiting: deque[Future[BatchResult]] = deque()
        self.most = 0
        self.done = threading.Event()

    def submit(self, _: Sequence[Frame]) -> "Future[BatchResult]":
        future: Future[BatchResult] = Future()
        self.waiting.append(future)
        self.most = max(self.most, len(self.waiting))
        return future

    def answer_all(self) -> None:
        while not self.done.wait(0.001):
            while self.waiting:
                self.waiting.popleft().set_result(result())

    def __enter__(self) -> "Slow":
        self._thread = threading.Thread(target=self.answer_all)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self._thread.join()


@pytest.fixture
def slow() -> Iterator[Slow]:
    with Slow() as system:
        yield system


def test_samples_have_what_the_results_say() -> None:
    step = load(ClosedLoop(1), at_once(result()))
    batch = step.last.samples[0]
    assert (batch.frames, batch.process) == (2, "host/1")
    assert (batch.queued, batch.worker) == (2, 8)
    assert (batch.decode, batch.detect, batch.classify, batch.wait) == (1, 5, 1, 1)
    assert 0 <= batch.client <= batch.latency
    assert step.failures.total() == 0


def test_concurrency_is_reached_and_never_passed(slow: Slow) -> None:
    load(ClosedLoop(5), slow.submit)
    assert slow.most == 5


def test_rate_that_is_too_much_fills_no_more_than_the_room_there_is(slow: Slow) -> None:
    load(OpenLoop(1_000_000, in_flight=7), slow.submit)
    assert slow.most == 7


def test_latency_counts_from_the_moment_at_which_a_batch_was_due() -> None:
    def submit(_: Sequence[Frame]) -> "Future[BatchResult]":
        time.sleep(0.02)  # twenty times as long as there is time for
        return ended(result())

    step = load(OpenLoop(1000), submit, Rules(window_s=0.2, max_windows=3))
    first, *_, last = step.last.samples
    behind = (len(step.last.samples) - 1) * (20 - 1)
    assert last.client - first.client >= behind
    assert last.latency - first.latency >= behind
    assert not step.stable


def test_step_ends_when_its_windows_agree() -> None:
    step = load(ClosedLoop(1), at_once(result()), Rules(window_s=0.02, stability=1e9))
    assert (step.stable, step.windows) == (True, 3)
    assert step.last.seconds >= 3 * 0.02


def test_step_that_never_agrees_ends_after_the_most_windows() -> None:
    step = load(ClosedLoop(1), at_once(result()), Rules(0.01, stability=1e-9, max_windows=5))
    assert (step.stable, step.windows) == (False, 5)


def test_each_window_is_told_once_it_closes() -> None:
    told: list[tuple[int, Window]] = []
    Load(
        ClosedLoop(1),
        at_once(result()),
        repeat(BATCH),
        Rules(0.01, 1e-9, 4),
        lambda number, window: told.append((number, window)),
    ).run()
    assert [number for number, _ in told] == [1, 2, 3, 4]
    assert all(window.samples for _, window in told)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (result("partial"), Failure.PARTIAL),
        (result("error"), Failure.ERROR),
        (result("expired", timings_ms=None), Failure.EXPIRED),
        (NoAnswerError(""), Failure.NO_ANSWER),
        (QueueFullError(""), Failure.REFUSED),
        (NoWorkerQueueError(""), Failure.REFUSED),
    ],
)
def test_batches_that_fail_are_counted_and_in_no_figure(answer: Answer, failure: Failure) -> None:
    answers = deque([answer] * 3)
    step = load(ClosedLoop(1), lambda _: ended(answers.popleft() if answers else result()))
    assert step.failures == {failure: 3}
    assert step.last.samples


def test_step_ends_where_nothing_is_analysed_any_more() -> None:
    step = load(ClosedLoop(2), at_once(NoAnswerError("")), Rules(window_s=0.02, max_windows=1000))
    assert step.windows == 3
    assert step.last.samples == []
    assert step.failures[Failure.NO_ANSWER] > 0


def test_broker_that_refuses_ends_it() -> None:
    with pytest.raises(BrokerRefusedError):
        load(ClosedLoop(1), at_once(BrokerRefusedError("")))


@pytest.mark.parametrize("pace", [ClosedLoop(3), OpenLoop(200)])
def test_stop_sends_nothing_more_and_waits_for_what_is_under_way(
    pace: Workload, slow: Slow
) -> None:
    sent = 0

    def submit(frames: Sequence[Frame]) -> "Future[BatchResult]":
        nonlocal sent
        sent += 1
        if sent == 10:
            endless.stop()
        return slow.submit(frames)

    endless = Load(pace, submit, repeat(BATCH), Rules(window_s=1000))
    step = endless.run()
    assert sent == 10
    assert not slow.waiting
    assert step.interrupted
    assert 0 < len(step.last.samples) <= 10


def test_stop_before_the_first_answer_leaves_nothing_measured(slow: Slow) -> None:
    early = Load(ClosedLoop(2), slow.submit, repeat(BATCH), QUICK)
    early.stop()
    step = early.run()
    assert (step.windows, step.last.samples, slow.most) == (0, [], 0)
