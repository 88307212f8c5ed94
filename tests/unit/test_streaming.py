"""Batches in flight: how many, in which order, and until when."""

import signal
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from fer_client import FerClient
from fer_client.errors import FerWorkerError, NoAnswerError, QueueFullError
from fer_schemas import BatchResult, Frame, Status
from fer_worker.tools.interruption import Interruption
from fer_worker.tools.media import MediaFrame
from fer_worker.tools.submission.answers import Answer
from fer_worker.tools.submission.streaming import stream

RESULT = BatchResult(status=Status.SUCCESS, worker="host/1")


class Client:
    """Takes batches; answers the first `answers` of them at once, and no other."""

    silence: str | None = None

    def __init__(self, answers: int | None = None, error: FerWorkerError | None = None) -> None:
        self.batches: list[list[Frame]] = []
        self._answers = answers
        self._error = error

    def submit(self, frames: Iterable[Frame], **_: object) -> "Future[BatchResult]":
        self.batches.append(list(frames))
        future: Future[BatchResult] = Future()
        if self._error is not None:
            future.set_exception(self._error)
        elif self._answers is None or len(self.batches) <= self._answers:
            future.set_result(RESULT)
        return future


def numbered(count: int) -> Iterator[list[MediaFrame]]:
    """Batches of one frame each."""
    for number in range(count):
        yield [MediaFrame(b"", str(number), "a.mp4", captured_at=datetime.now(UTC))]


def run(
    client: Client, batches: Iterable[list[MediaFrame]], timeout_s: float = 60, **rest: Any
) -> Iterator[Answer]:
    return stream(cast("FerClient", client), batches, timeout_s=timeout_s, **rest)


def test_answers_come_in_the_order_of_the_batches_with_their_latency() -> None:
    client = Client()
    answers = list(run(client, numbered(20), window=3, camera_id="door-1"))
    assert [answer.frames[0].id for answer in answers] == [str(number) for number in range(20)]
    assert all(answer.result is RESULT and answer.latency_ms is not None for answer in answers)
    assert {answer.camera_id for answer in answers} == {"door-1"}
    assert client.batches[0][0].captured_at == answers[0].frames[0].captured_at


def test_no_more_is_read_than_may_be_in_flight() -> None:
    client = Client(answers=2)
    answers = run(client, numbered(20), timeout_s=0.3, window=3)
    assert [next(answers).error for _ in range(2)] == [None, None]
    assert isinstance(next(answers).error, NoAnswerError)
    assert len(client.batches) == 5  # two that were answered, three that were not


def test_source_that_has_nothing_yet_holds_no_answer_back() -> None:
    pulled: list[None] = []

    def source() -> Iterator[list[MediaFrame]]:
        yield from numbered(1)
        while True:
            pulled.append(None)
            yield []

    client = Client()
    assert next(run(client, source())).result is RESULT
    assert len(client.batches) == 1
    assert len(pulled) <= 1


def test_batch_that_was_not_taken_says_why() -> None:
    full = QueueFullError("the queue of requests is full")
    assert [answer.error for answer in run(Client(error=full), numbered(3))] == [full] * 3


def test_after_an_interruption_nothing_is_read_and_answers_are_awaited_for_a_moment() -> None:
    client = Client(answers=2)
    with Interruption() as interruption:
        answers = run(client, numbered(20), window=3, interruption=interruption)
        next(answers)
        sent = len(client.batches)
        signal.raise_signal(signal.SIGINT)
        interruption.deadline = time.monotonic()
        rest = list(answers)
    assert len(client.batches) == sent
    assert [str(answer.error) for answer in rest if answer.result is None] == ["interrupted"] * (
        sent - 2
    )
    assert interruption.exit_code == 130


def test_second_interruption_leaves_at_once() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interruption():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(SystemExit) as leaving:
            signal.raise_signal(signal.SIGTERM)
    assert leaving.value.code == 130
    assert signal.getsignal(signal.SIGTERM) is before
