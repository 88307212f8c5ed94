"""Batches of a client that have no answer yet."""

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

from fer_client.amqp.publisher import Publisher
from fer_client.errors import BrokerError
from fer_schemas import BatchResult


@dataclass
class Pending:
    """A batch that has no answer yet."""

    correlation_id: str
    body: bytes
    """Kept until the answer is there: it may have to be sent again."""
    expires: float
    """On the monotonic clock."""
    sent_by: Publisher | None = None
    """Whose confirmation is awaited; another connection has another one."""
    confirmed: bool = False
    """The broker has it, and so its answer will come into our queue."""
    future: "Future[BatchResult]" = field(default_factory=Future)


class PendingBatches:
    """All of them, by correlation id. For any thread.

    Whoever takes a batch out ends its future; nobody else does. One that is cancelled leaves by
    itself.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: dict[str, Pending] = {}
        self._end: BrokerError | None = None

    def add(self, batch: Pending) -> None:
        """Let a batch in.

        Raises:
            ValueError: there is one of this correlation id.
            BrokerError: it is over; what `end` was given.
        """
        with self._lock:
            if self._end is not None:
                raise self._end
            if batch.correlation_id in self._batches:
                raise ValueError("a batch of this correlation id is under way")
            self._batches[batch.correlation_id] = batch
        # By its name: a future that its owner keeps should not keep the frames.
        batch.future.add_done_callback(partial(self._forget, batch.correlation_id))

    def take(self, correlation_id: str) -> Pending | None:
        """Take a batch out, if it is there."""
        with self._lock:
            return self._batches.pop(correlation_id, None)

    def all(self) -> list[Pending]:
        """All there are at the moment, the oldest first."""
        with self._lock:
            return list(self._batches.values())

    def overdue(self) -> list[Pending]:
        """Those that were to be answered by now."""
        now = time.monotonic()
        return [batch for batch in self.all() if batch.expires < now]

    def fail(self, batch: Pending, error: Exception) -> None:
        """Take a batch out and end it with an error, unless it has ended."""
        taken = self.take(batch.correlation_id)
        if taken is not None and taken.future.set_running_or_notify_cancel():
            taken.future.set_exception(error)

    def end(self, error: BrokerError) -> None:
        """End all with an error, and let none in from now on."""
        with self._lock:
            self._end = self._end or error
        for batch in self.all():
            self.fail(batch, error)

    def _forget(self, correlation_id: str, future: "Future[BatchResult]") -> None:
        if future.cancelled():
            self.take(correlation_id)
