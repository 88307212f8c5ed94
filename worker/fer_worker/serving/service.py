"""Joins both halves: delivery -> frame pool -> reply -> ack.

The connection's thread takes deliveries and ends them, and never blocks; the pool's threads read
and analyse, and never touch the connection. An ending travels back as a callback posted to it.
"""

import logging
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from pika.adapters.select_connection import SelectConnection

from fer_client.amqp.connection import Connection
from fer_client.amqp.consumer import Consumer, Delivery, Puller
from fer_client.amqp.publisher import Publisher
from fer_client.amqp.topology import Topology, declare
from fer_client.config import BrokerConfig
from fer_client.errors import BrokerRefusedError, MessageError
from fer_schemas import BatchResult
from fer_worker.limits import DEFAULT_LIMITS, Limits
from fer_worker.logging_setup import about
from fer_worker.metrics import Meter
from fer_worker.serving.frame_pool import Ending, FramePool, Job
from fer_worker.serving.progress import Progress
from fer_worker.serving.request_checks import Admission
from fer_worker.serving.responder import Outcomes

log = logging.getLogger(__name__)

SUSPECTS_INTERVAL_S = 2.0
"""How often a process looks whether another one has left suspects behind."""


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
    """What lives on one connection. The next connection gets a new one.

    Whatever a process holds when it dies goes back and counts as delivered. So it holds no suspect
    while anything else is analysed: only the deaths that it causes itself count for a suspect.
    """

    outcomes: Outcomes
    requests: Consumer | None = None
    suspects: Puller | None = None
    examining: bool = True
    """Requests wait, so that suspects, one at a time, have the process to themselves."""
    suspected: bool = False
    """A suspect is asked for, or not ended yet."""
    waiting: list[Delivery] = field(default_factory=list)
    ready: bool = False
    cancelled: bool = False
    """The broker sends no more requests."""
    in_flight: int = 0
    """Deliveries that have not ended."""
    at_work: int = 0
    """Those of them that are in the pool."""
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
        meter: Meter,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Store the parts.

        Args:
            pool: does the work.
            broker: where requests come from.
            prefetch: batches taken and not yet answered.
            worker: host/pid, named in results and to the broker.
            supervision: told what happens.
            meter: counts the requests.
            limits: what is accepted.
        """
        self._pool = pool
        self._prefetch = prefetch
        self._worker = worker
        self._supervision = supervision
        self._meter = meter
        self._topology = Topology(broker.namespace)
        self._admission = Admission(self._topology, limits)
        self._connection = Connection(
            broker, f"worker {worker}", self, partial(declare, topology=self._topology)
        )
        self._session: _Session | None = None
        self._draining = False
        self._was_connected = False

    def start(self) -> None:
        """Connect, and take requests."""
        self._connection.start()

    def drain(self) -> None:
        """Take nothing more, finish everything delivered, close, and say `on_drained`."""
        self._connection.call(self._drain)

    @property
    def progress(self) -> Progress:
        """A snapshot, from any thread."""
        working_since = self._pool.working_since
        session = self._session
        if session is None:
            return Progress(working_since=working_since)
        return Progress(session.ready, session.in_flight, session.outcomes.held, working_since)

    # What follows runs on the connection's thread.

    def on_open(self, connection: SelectConnection) -> None:
        """Begin a session: consume as soon as replies can be published."""
        if self._was_connected:
            self._meter.add("reconnects")
        self._was_connected = True
        publisher = Publisher(connection, on_ready=partial(self._begin, connection))
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

    def _begin(self, connection: SelectConnection) -> None:
        """Examine the suspects that wait, then serve."""
        session = self._session
        if session is None or self._draining:
            return

        def none_left() -> None:
            session.suspected = False
            self._serve(connection, session)

        session.suspects = Puller(
            connection,
            self._topology.suspects.name,
            partial(self._take, session),
            on_empty=none_left,
            on_ready=partial(self._advance, session),
        )
        self._look_later(session)

    def _serve(self, connection: SelectConnection, session: _Session) -> None:
        """Work on requests: those that wait, and those that come."""
        session.examining = False
        if session.requests is None and not self._draining:
            session.requests = Consumer(
                connection,
                self._topology.frames.name,
                self._prefetch,
                partial(self._take, session),
                on_consuming=partial(self._become_ready, session),
            )
        self._submit_waiting(session)
        self._advance(session)

    def _become_ready(self, session: _Session) -> None:
        session.ready = True
        self._supervision.on_consuming()

    def _look_later(self, session: _Session) -> None:
        """Look for suspects now and then: another process may have died and left some."""

        def on_count(waiting: int) -> None:
            if waiting:
                self._examine(session)

        def look() -> None:
            if session.lost or session.suspects is None:
                return
            if not session.examining:
                session.suspects.count(on_count)
            self._look_later(session)

        self._connection.call_later(SUSPECTS_INTERVAL_S, look)

    def _examine(self, session: _Session) -> None:
        """Let requests wait, finish what is at work, and see what the suspects are."""
        session.examining = True
        self._advance(session)

    def _advance(self, session: _Session) -> None:
        """Take the next step if all that it waits for is there."""
        if session.lost:
            return
        if session.examining and not session.suspected and session.at_work == 0:
            if self._draining:
                session.examining = False
                self._submit_waiting(session)
            elif session.suspects is not None:
                session.suspected = True
                session.suspects.pull()
        left = session.in_flight or session.suspected
        if self._draining and session.cancelled and not left:
            self._connection.close()

    def _take(self, session: _Session, delivery: Delivery) -> None:
        session.in_flight += 1
        if delivery.redelivered:
            self._meter.add("redeliveries")
        log.debug(
            "taken from %s: %d bytes",
            delivery.queue,
            len(delivery.body),
            extra=about(delivery.correlation_id),
        )
        try:
            self._admission.check(delivery)
        except MessageError as error:
            self._bury(session, delivery, error)
            return
        if self._is_suspect(delivery):
            self._submit(session, delivery)
        elif delivery.redelivered:
            # A worker had it before and did not answer. Did it end that worker?
            session.outcomes.set_aside(delivery, partial(self._set_aside, session))
        else:
            session.waiting.append(delivery)
            if not session.examining:
                self._submit_waiting(session)

    def _submit_waiting(self, session: _Session) -> None:
        waiting, session.waiting = session.waiting, []
        for delivery in waiting:
            self._submit(session, delivery)

    def _submit(self, session: _Session, delivery: Delivery) -> None:
        session.at_work += 1
        started = time.perf_counter()
        self._pool.submit(
            Job(
                delivery,
                is_wanted=lambda: not session.lost,
                on_end=lambda ending: self._connection.call(
                    partial(self._end, session, delivery, started, ending)
                ),
                started=started,
            )
        )

    def _end(self, session: _Session, delivery: Delivery, started: float, ending: Ending) -> None:
        session.at_work -= 1
        if isinstance(ending, BatchResult):
            self._reply(session, delivery, started, ending)
        else:
            self._bury(session, delivery, ending)
        self._advance(session)

    def _reply(
        self, session: _Session, delivery: Delivery, started: float, result: BatchResult
    ) -> None:
        ready = time.perf_counter()
        timings = result.timings_ms
        queued_ms = None if timings is None else timings.queued

        def done() -> None:
            now = time.perf_counter()
            self._meter.answered(
                result.status.value,
                queued_s=None if queued_ms is None else queued_ms / 1000,
                publish_s=now - ready,
                took_s=now - started,
            )
            self._done(session, delivery)

        session.outcomes.reply(delivery, result, done)

    def _bury(self, session: _Session, delivery: Delivery, error: MessageError) -> None:
        def done() -> None:
            self._meter.buried(error.code.value)
            self._done(session, delivery)

        session.outcomes.bury(delivery, error, done)

    def _set_aside(self, session: _Session) -> None:
        session.in_flight -= 1
        self._examine(session)

    def _done(self, session: _Session, delivery: Delivery) -> None:
        session.in_flight -= 1
        if self._is_suspect(delivery):
            session.suspected = False
        self._advance(session)

    def _is_suspect(self, delivery: Delivery) -> bool:
        return delivery.queue == self._topology.suspects.name

    def _drain(self) -> None:
        if self._draining:
            return
        self._draining = True
        session = self._session
        if session is None:
            self.on_lost()
            return

        def on_cancelled() -> None:
            # Nothing can be on its way any more.
            session.cancelled = True
            self._advance(session)

        if session.requests is None:
            on_cancelled()
        else:
            session.requests.cancel(on_cancelled)
