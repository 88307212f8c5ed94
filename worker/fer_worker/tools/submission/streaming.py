"""Batches through the client with a bounded number of them in flight, answers in order."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fer_client import FerClient
from fer_client.errors import FerWorkerError, NoAnswerError
from fer_schemas import BatchResult, FaceSelection, Frame
from fer_worker.tools.interruption import Interruption
from fer_worker.tools.media import MediaFrame
from fer_worker.tools.submission.answers import Answer

WINDOW = 16
"""Batches in flight: enough to keep a few processes busy, few enough to hold in memory."""

LOOK_S = 0.1
"""How often a wait looks whether it was interrupted."""


@dataclass
class _Sent:
    frames: list[MediaFrame]
    sent_at: datetime
    started: float
    """On the monotonic clock, as all that follows."""
    deadline: float
    future: Future[BatchResult]
    ended: float | None = None


def stream(
    client: FerClient,
    batches: Iterable[list[MediaFrame]],
    *,
    timeout_s: float,
    window: int = WINDOW,
    camera_id: str | None = None,
    faces: FaceSelection | None = None,
    interruption: Interruption | None = None,
) -> Iterator[Answer]:
    """Submit batches and yield their answers in the same order.

    The next batch is pulled only when fewer than `window` are unanswered, so a slow system slows
    the reading of the source and memory stays flat.

    Args:
        client: connected.
        batches: pulled as there is room. An empty one is not sent: with it a source that has to
            wait for its frames lets answers through.
        timeout_s: how long each batch may take from its submission, in seconds. Later it is not
            analysed any more.
        window: batches in flight at most.
        camera_id: echoed in the results.
        faces: `first` or `all`; the workers' own option without it.
        interruption: after one no batch is pulled any more, and answers are awaited for a moment.
    """
    interruption = Interruption() if interruption is None else interruption
    in_flight: deque[_Sent] = deque()
    source = iter(batches)
    while not interruption:
        if len(in_flight) < window:
            batch = next(source, None)
            if batch is None:
                break
            if batch:
                in_flight.append(_submit(client, batch, timeout_s, camera_id, faces))
        while in_flight and (in_flight[0].future.done() or len(in_flight) == window):
            yield _await(client, in_flight.popleft(), camera_id, interruption)
    while in_flight:
        yield _await(client, in_flight.popleft(), camera_id, interruption)


def _submit(
    client: FerClient,
    batch: list[MediaFrame],
    timeout_s: float,
    camera_id: str | None,
    faces: FaceSelection | None,
) -> _Sent:
    frames = [Frame(jpeg=frame.jpeg, id=frame.id, captured_at=frame.captured_at) for frame in batch]
    sent_at, started = datetime.now(UTC), time.monotonic()
    deadline = sent_at + timedelta(seconds=timeout_s)
    try:
        future = client.submit(frames, camera_id=camera_id, faces=faces, deadline=deadline)
    except FerWorkerError as error:
        future = Future()
        future.set_exception(error)
    sent = _Sent(batch, sent_at, started, started + timeout_s, future)

    def on_end(_: Future[BatchResult]) -> None:
        sent.ended = time.monotonic()

    future.add_done_callback(on_end)
    return sent


def _await(
    client: FerClient, sent: _Sent, camera_id: str | None, interruption: Interruption
) -> Answer:
    """Wait for an answer until its deadline, or an earlier one that an interruption sets."""
    while (left := min(sent.deadline, interruption.deadline) - time.monotonic()) > 0:
        if wait([sent.future], min(left, LOOK_S)).done:
            break
    result: BatchResult | None = None
    error: FerWorkerError | None = None
    try:
        result = sent.future.result(0)
    except TimeoutError:
        reason = f": {client.silence}" if client.silence else ""
        error = NoAnswerError("interrupted" if interruption else f"no answer in time{reason}")
    except FerWorkerError as raised:
        error = raised
    latency_s = (sent.ended or time.monotonic()) - sent.started
    return Answer(
        sent.frames,
        sent.sent_at,
        camera_id,
        result,
        error,
        latency_s * 1000 if result is not None else None,
    )
