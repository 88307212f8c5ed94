"""Which requests are still worth an analysis."""

import threading
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

from fer_schemas import BatchRequest


def deadline_of(
    request: BatchRequest, expiration: str | None, delivered_at: datetime
) -> datetime | None:
    """Until when a request is to be picked up; None: forever.

    The broker drops what expires in its queue, but nothing that has been delivered and waits in a
    worker. So its `expiration` is counted once more from delivery: from `sent_at` would need
    clocks in step, which a sender who gives no `deadline` may not have.

    Args:
        request: its `deadline` counts.
        expiration: the AMQP property, in milliseconds.
        delivered_at: when it came here, with a time zone.
    """
    deadlines = [] if request.deadline is None else [request.deadline]
    if expiration is not None and expiration.isdecimal():
        with suppress(OverflowError):  # in a million years
            deadlines.append(delivered_at + timedelta(milliseconds=int(expiration)))
    return min(deadlines, default=None)


class CameraBatch(Protocol):
    """A batch that is in this process, waiting or at work."""

    @property
    def camera_id(self) -> str | None:
        """Whose frames they are."""
        ...

    @property
    def moment(self) -> datetime:
        """When it was sent, or came here."""
        ...


_Batch = TypeVar("_Batch", bound=CameraBatch)


class LatestBatches(Generic[_Batch]):
    """The newest batch of each camera. For any thread.

    A batch is in it for as long as anybody else holds it: whatever ends it, its camera is free.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: WeakValueDictionary[str, _Batch] = WeakValueDictionary()

    def add(self, batch: _Batch) -> None:
        """Let a batch in. One without a camera is never the latest, and never superseded."""
        if batch.camera_id is None:
            return
        with self._lock:
            latest = self._latest.get(batch.camera_id)
            if latest is None or latest.moment <= batch.moment:
                self._latest[batch.camera_id] = batch

    def has_newer(self, batch: _Batch) -> bool:
        """Whether a newer batch of the same camera is in this process."""
        if batch.camera_id is None:
            return False
        with self._lock:
            latest = self._latest.get(batch.camera_id)
            return latest is not None and latest is not batch and latest.moment >= batch.moment
