"""The operators' side of the control messages: ask every supervisor, collect the answers."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pika
from pika.adapters.blocking_connection import BlockingConnection
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionBlockedTimeout
from pika.frame import Method

from schemas import CONTROL_REPLY, ScaleCommand, ScaleReply, StatusQuery, SupervisorStatus
from worker.broker.blocking import connect
from worker.broker.codec import encode_result
from worker.broker.connection import explain
from worker.broker.topology import Topology
from worker.config import BrokerConfig
from worker.errors import BrokerUnavailableError, NoAnswerError

ROSTER_S = 1.0
"""How long supervisors have to say that they heard a command."""


@dataclass(frozen=True)
class QueueDepth:
    """How many messages wait in a queue, and how many consumers it has; None where it is not."""

    name: str
    ready: int | None
    consumers: int | None


class Operator:
    """One conversation with the supervisors. A context manager."""

    def __init__(self, broker: BrokerConfig, wait_s: float = 10.0) -> None:
        """Connect.

        Raises:
            BrokerRefusedError: the broker refuses us.
            BrokerUnavailableError: no broker within `wait_s` seconds.
        """
        self.blocked: str | None = None
        """Why the broker takes no messages at present: an alarm. Known once something was sent."""
        self._topology = Topology(broker.namespace)
        self._connection = connect(broker, "operator", wait_s)
        self._connection.add_on_connection_blocked_callback(self._on_blocked)
        self._connection.add_on_connection_unblocked_callback(self._on_unblocked)
        self._channel = self._connection.channel()
        self._inbox: deque[bytes] = deque()
        self._reply_queue = self._channel.queue_declare("", exclusive=True).method.queue
        self._channel.basic_consume(
            self._reply_queue, lambda _, __, ___, body: self._inbox.append(body), auto_ack=True
        )

    def __enter__(self) -> "Operator":
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection.is_open:
            with contextlib.suppress(ConnectionBlockedTimeout):  # it hears no goodbye either
                self._connection.close()

    def statuses(self) -> list[SupervisorStatus]:
        """Ask every supervisor how it is; those that answer within `ROSTER_S`, by host and pid.

        The list is empty where the broker takes no messages; `blocked` says so then.
        """
        self._send(StatusQuery())
        closes = time.monotonic() + ROSTER_S
        replies = [CONTROL_REPLY.validate_json(body) for body in self._read_until(lambda: closes)]
        found = [reply for reply in replies if isinstance(reply, SupervisorStatus)]
        return sorted(found, key=lambda status: (status.host, status.pid))

    def scale(self, command: ScaleCommand, timeout_s: float) -> Iterator[ScaleReply]:
        """Have supervisors run another number of processes.

        Yields:
            One reply a supervisor, when it has refused or completed the change.

        Raises:
            NoAnswerError: no supervisor answered within `ROSTER_S`, or some did not complete
                the change within `timeout_s` seconds; they go on with it. Or the broker takes
                no messages; it may pass the command on when it does again.
        """
        self._send(command)
        roster_closes = time.monotonic() + ROSTER_S
        give_up = time.monotonic() + timeout_s
        at_work: set[str] = set()
        heard = False
        for body in self._read_until(lambda: give_up if at_work else roster_closes):
            reply = CONTROL_REPLY.validate_json(body)
            if not isinstance(reply, ScaleReply):
                continue
            heard = True
            supervisor = f"{reply.host}/{reply.pid}"
            if reply.complete:
                at_work.discard(supervisor)
                yield reply
            else:
                at_work.add(supervisor)
        if self.blocked is not None:
            raise NoAnswerError(
                f"the broker takes no messages: {self.blocked}; it may pass this one on later"
            )
        if at_work:
            late = ", ".join(sorted(at_work))
            raise NoAnswerError(f"not complete within {timeout_s:g} s, still at it: {late}")
        if not heard:
            whom = f"on {command.host}" if command.host else "here"
            raise NoAnswerError(f"no supervisor {whom} answered")

    def depths(self) -> list[QueueDepth]:
        """Look at the queues of the namespace. Under an alarm only before anything is sent."""
        return [self._depth(queue.name) for queue in self._topology.declared]

    def _depth(self, queue: str) -> QueueDepth:
        channel = self._connection.channel()
        try:
            found = channel.queue_declare(queue, passive=True).method
        except ChannelClosedByBroker:
            return QueueDepth(queue, None, None)
        channel.close()
        return QueueDepth(queue, found.message_count, found.consumer_count)

    def _send(self, command: ScaleCommand | StatusQuery) -> None:
        try:
            # To publish to a missing exchange would close the channel.
            self._connection.channel().exchange_declare(self._topology.control, passive=True)
        except ChannelClosedByBroker:
            return  # no supervisor has ever been here
        try:
            self._channel.basic_publish(
                self._topology.control,
                "",
                encode_result(command),
                pika.BasicProperties(
                    content_type="application/json",
                    reply_to=self._reply_queue,
                ),
            )
        except AMQPError as error:
            raise BrokerUnavailableError(explain(error)) from error

    def _read_until(self, deadline: Callable[[], float]) -> Iterator[bytes]:
        """Yield replies until a point in time, which may move as they come, or until blocked."""
        while True:
            while self._inbox:
                yield self._inbox.popleft()
            left_s = deadline() - time.monotonic()
            if left_s <= 0 or self.blocked is not None:
                return
            self._connection.process_data_events(left_s)

    def _on_blocked(
        self, _: BlockingConnection, frame: Method[pika.spec.Connection.Blocked]
    ) -> None:
        self.blocked = frame.method.reason

    def _on_unblocked(self, *_: object) -> None:
        self.blocked = None
