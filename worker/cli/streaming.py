"""Batches through the client with a bounded number of them in flight, answers in order."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from schemas import BatchResult, FaceSelection, Frame
from worker.client import FerClient
from worker.errors import FerWorkerError, NoAnswerError
from worker.media import MediaFrame

WINDOW = 16
"""Batches in flight: enough to keep a few processes busy, few enough to hold in memory."""


@dataclass(frozen=True)
class Answer:
    """A batch and its result, or why there is none."""

    frames: list[MediaFrame]
    result: BatchResult | None = None
    error: FerWorkerError | None = None


@dataclass(frozen=True)
class _Sent:
    frames: list[MediaFrame]
    future: Future[BatchResult]
    deadline: float


def stream(
    client: FerClient,
    batches: Iterable[list[MediaFrame]],
    *,
    timeout_s: float,
    camera_id: str | None = None,
    faces: FaceSelection | None = None,
) -> Iterator[Answer]:
    """Submit batches and yield their answers in the same order.

    The next batch is pulled only when fewer than `WINDOW` are unanswered, so a slow system slows
    the reading of the source and memory stays flat.

    Args:
        client: connected.
        batches: pulled as there is room.
        timeout_s: how long each batch may take from its submission, in seconds.
        camera_id: echoed in the results.
        faces: `first` or `all`; the workers' own option without it.
    """
    in_flight: deque[_Sent] = deque()
    for batch in batches:
        if len(in_flight) == WINDOW:
            yield _await(in_flight.popleft())
        frames = [Frame(jpeg=frame.jpeg, id=frame.id) for frame in batch]
        try:
            future = client.submit(frames, camera_id=camera_id, faces=faces)
        except FerWorkerError as error:
            future = Future()
            future.set_exception(error)
        in_flight.append(_Sent(batch, future, time.monotonic() + timeout_s))
    while in_flight:
        yield _await(in_flight.popleft())


def _await(sent: _Sent) -> Answer:
    try:
        result = sent.future.result(max(sent.deadline - time.monotonic(), 0))
    except TimeoutError:
        return Answer(sent.frames, error=NoAnswerError("no answer in time"))
    except FerWorkerError as error:
        return Answer(sent.frames, error=error)
    return Answer(sent.frames, result)
