"""Joins both halves: delivery -> frame pool -> reply -> ack.

The connection's thread takes deliveries and ends them, and never blocks; the pool's threads read
and analyse, and never touch the connection. An ending travels back as a callback posted to it.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from pika.adapters.select_connection import SelectConnection

from schemas import BatchResult
from worker.broker.admission import Admission
from worker.broker.connection import Connection
from worker.broker.consumer import Consumer, Delivery
from worker.broker.outcome import Outcomes
from worker.broker.publisher import Publisher
from worker.broker.topology import Topology, declare
from worker.config import DEFAULT_LIMITS, BrokerConfig, Limits
from worker.errors import BrokerRefusedError, MessageError
from worker.frame_pool import Ending, FramePool, Job
from worker.reports import Progress

SUSPECTS_PREFETCH = 1
"""A message that kills its worker must not take others of its queue with it."""


class Supervision(Protocol):
    """Whom a service tells what happens. Called on the connection's thread."""

    def on_consuming(self) -> None:
        """Requests are taken from now on."""

    def on_drained(self) -> None:
        """Everything taken is answered and acked, and the connection closed."""

    def on_refused(self, error: BrokerRefusedError) -> None:
        """The broker refuses us; nothing will come."""


@dataclass
class _Session:
    """What lives on one connection. The next connection gets a new one."""

    outcomes: Outcomes
    consumers: tuple[Consumer, ...] = ()
    consuming: int = 0
    cancelled: int = 0
    in_flight: int = 0
    lost: bool = False


class Service:
    """Serves requests over one connection with one frame pool, from `start` until `drain`."""

    def __init__(
        self,
        pool: FramePool,
        broker: BrokerConfig,
        prefetch: int,
        worker: str,
        supervision: Supervision,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Store the parts.

        Args:
            pool: does the work.
            broker: where requests come from.
            prefetch: batches taken and not yet answered.
            worker: host/pid, named in results and to the broker.
            supervision: told what happens.
            limits: what is accepted.
        """
        self._pool = pool
        self._prefetch = prefetch
        self._worker = worker
        self._supervision = supervision
        self._topology = Topology(broker.namespace)
        self._admission = Admission(self._topology, limits)
        self._connection = Connection(
            broker, f"worker {worker}", self, partial(declare, topology=self._topology)
        )
        self._session: _Session | None = None
        self._draining = False
        self._batches = 0
        self._frames = 0

    def start(self) -> None:
        """Connect, and take requests."""
        self._connection.start()

    def drain(self) -> None:
        """Take nothing more, finish everything delivered, close, and say `on_drained`."""
        self._connection.call(self._drain)

    @property
    def progress(self) -> Progress:
        """A snapshot, from any thread."""
        done = Progress(
            batches=self._batches, frames=self._frames, working_since=self._pool.working_since
        )
        session = self._session
        if session is None:
            return done
        return replace(
            done,
            consuming=session.consuming == len(session.consumers) > 0,
            in_flight=session.in_flight,
            held=session.outcomes.held,
        )

    # What follows runs on the connection's thread.

    def on_open(self, connection: SelectConnection) -> None:
        """Begin a session: consume as soon as replies can be published."""
        publisher = Publisher(connection, on_ready=partial(self._consume, connection))
        self._session = _Session(
            Outcomes(publisher, self._topology, self._connection.call_later, self._worker)
        )

    def on_lost(self) -> None:
        """End the session: the broker has its deliveries back and hands them out anew."""
        if self._session is not None:
            self._session.lost = True
            self._session = None
        if self._draining:
            self._connection.close()
            self._supervision.on_drained()

    def on_refused(self, error: BrokerRefusedError) -> None:
        """Pass it on."""
        self._supervision.on_refused(error)

    def _consume(self, connection: SelectConnection) -> None:
        session = self._session
        if session is None or self._draining:
            return

        def on_consuming() -> None:
            session.consuming += 1
            if session.consuming == len(session.consumers):
                self._supervision.on_consuming()

        session.consumers = tuple(
            Consumer(connection, queue.name, prefetch, partial(self._take, session), on_consuming)
            for queue, prefetch in (
                (self._topology.frames, self._prefetch),
                (self._topology.suspects, SUSPECTS_PREFETCH),
            )
        )

    def _take(self, session: _Session, delivery: Delivery) -> None:
        session.in_flight += 1
        done = partial(self._done, session)
        try:
            self._admission.check(delivery)
        except MessageError as error:
            session.outcomes.bury(delivery, error, done)
            return
        if delivery.redelivered and delivery.queue == self._topology.frames.name:
            # A worker had it before and did not answer. Did it end that worker?
            session.outcomes.set_aside(delivery, done)
            return
        self._pool.submit(
            Job(
                delivery,
                is_wanted=lambda: not session.lost,
                on_end=lambda ending: self._connection.call(
                    partial(self._end, session, delivery, ending)
                ),
            )
        )

    def _end(self, session: _Session, delivery: Delivery, ending: Ending) -> None:
        done = partial(self._done, session)
        if isinstance(ending, BatchResult):
            self._batches += 1
            self._frames += len(ending.frames)
            session.outcomes.reply(delivery, ending, done)
        else:
            session.outcomes.bury(delivery, ending, done)

    def _done(self, session: _Session) -> None:
        session.in_flight -= 1
        self._close_if_drained()

    def _drain(self) -> None:
        if self._draining:
            return
        self._draining = True
        if self._session is None:
            self.on_lost()
            return
        for consumer in self._session.consumers:
            consumer.cancel(partial(self._cancelled, self._session))
        self._close_if_drained()

    def _cancelled(self, session: _Session) -> None:
        session.cancelled += 1
        self._close_if_drained()

    def _close_if_drained(self) -> None:
        session = self._session
        if not self._draining or session is None:
            return
        # A delivery may be on its way until the broker has confirmed that it sends no more.
        if session.cancelled == len(session.consumers) and session.in_flight == 0:
            self._connection.close()
