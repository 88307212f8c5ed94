"""The operators' side of the control messages: ask every supervisor, collect the answers."""

import contextlib
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingConnection
from pika.exceptions import AMQPError, ChannelClosedByBroker
from pika.frame import Method
from pydantic import ValidationError

from fer_client.amqp.blocking import close_quietly, connect
from fer_client.amqp.codec import encode_json
from fer_client.amqp.failures import translate
from fer_client.amqp.topology import Topology
from fer_client.config import BrokerConfig
from fer_client.errors import NoAnswerError
from fer_schemas import CONTROL_REPLY, ScaleCommand, ScaleReply, StatusQuery, SupervisorStatus

log = logging.getLogger(__name__)

NOT_FOUND = 404

ROSTER_S = 1.0
"""How long supervisors have to say that they heard a command."""


@dataclass(frozen=True)
class QueueDepth:
    """How many messages wait in a queue, and how many consumers it has; None where it is not."""

    name: str
    ready: int | None
    consumers: int | None


class SupervisorClient:
    """One conversation with the supervisors. A context manager.

    Raises:
        BrokerRefusedError: the broker refuses us, or what we ask of it.
        BrokerUnavailableError: no broker within `wait_s` seconds, or it is lost later.
    """

    def __init__(self, broker: BrokerConfig, wait_s: float = 10.0) -> None:
        """Connect."""
        self.blocked: str | None = None
        """Why the broker takes no messages at present: an alarm. Known once something was sent."""
        self._topology = Topology(broker.namespace)
        self._connection = connect(broker, "operator", wait_s)
        self._connection.add_on_connection_blocked_callback(self._on_blocked)
        self._connection.add_on_connection_unblocked_callback(self._on_unblocked)
        self._question = ""
        self._inbox: deque[bytes] = deque()
        # Under a name of ours, so that permissions can be given for it.
        self._reply_queue = self._topology.answers(uuid.uuid4().hex)
        try:
            self._channel = self._connection.channel()
            self._channel.queue_declare(self._reply_queue, exclusive=True)
            self._channel.basic_consume(self._reply_queue, self._on_answer, auto_ack=True)
        except AMQPError as error:
            close_quietly(self._connection, error)
            raise translate(error) from error

    def __enter__(self) -> "SupervisorClient":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Hang up, and turn what pika raised into an error of ours."""
        with contextlib.suppress(AMQPError):  # a broker in alarm, or gone, hears no goodbye
            close_quietly(self._connection, error)
        if isinstance(error, AMQPError):
            raise translate(error) from error

    def statuses(self) -> list[SupervisorStatus]:
        """Ask every supervisor how it is; those that answer within `ROSTER_S`, by host and pid.

        The list is empty where the broker takes no messages; `blocked` says so then.
        """
        return sorted(self.each_status(), key=lambda status: (status.host, status.pid))

    def each_status(self) -> Iterator[SupervisorStatus]:
        """Ask as `statuses`, and yield each answer as it comes; a caller may stop early.

        Yields:
            The status of one supervisor.
        """
        self._ask(StatusQuery())
        closes = time.monotonic() + ROSTER_S
        for reply in self._read_until(lambda: closes):
            if isinstance(reply, SupervisorStatus):
                yield reply

    def scale(self, command: ScaleCommand, timeout_s: float) -> Iterator[ScaleReply]:
        """Have supervisors run another number of processes.

        Yields:
            One reply per supervisor, when it has refused or completed the change.

        Raises:
            NoAnswerError: no supervisor answered within `ROSTER_S`, or some did not complete
                the change within `timeout_s` seconds; they go on with it. Or the broker takes
                no messages; it may pass the command on when it does again.
        """
        self._ask(command)
        roster_closes = time.monotonic() + ROSTER_S
        give_up = time.monotonic() + timeout_s
        at_work: dict[str, str | None] = {}
        heard = False
        for reply in self._read_until(lambda: give_up if at_work else roster_closes):
            if not isinstance(reply, ScaleReply):
                continue
            heard = True
            supervisor = f"{reply.host}/{reply.pid}"
            if reply.complete:
                at_work.pop(supervisor, None)
                yield reply
            else:
                at_work[supervisor] = reply.error
        if self.blocked is not None:
            raise NoAnswerError(
                f"the broker takes no messages: {self.blocked}; it may pass this one on later"
            )
        if at_work:
            late = ", ".join(
                supervisor if error is None else f"{supervisor} ({error})"
                for supervisor, error in sorted(at_work.items())
            )
            raise NoAnswerError(f"not complete within {timeout_s:g} s, still at it: {late}")
        if not heard:
            where = f"on {command.host}" if command.host else "here"
            raise NoAnswerError(f"no supervisor {where} answered within {ROSTER_S:g} s")

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

    def _ask(self, command: ScaleCommand | StatusQuery) -> None:
        self._question = uuid.uuid4().hex
        self._inbox.clear()
        try:
            # To publish to a missing exchange would close the channel.
            with self._connection.channel() as channel:
                channel.exchange_declare(self._topology.control, passive=True)
        except ChannelClosedByBroker as closed:
            if closed.reply_code == NOT_FOUND:
                return  # no supervisor has ever been here
            raise
        self._channel.basic_publish(
            self._topology.control,
            "",
            encode_json(command),
            pika.BasicProperties(
                content_type="application/json",
                correlation_id=self._question,
                reply_to=self._reply_queue,
            ),
        )

    def _read_until(self, deadline: Callable[[], float]) -> Iterator[ScaleReply | SupervisorStatus]:
        """Yield replies until a point in time, which may move as they come, or until blocked."""
        while True:
            while self._inbox:
                if (reply := _read(self._inbox.popleft())) is not None:
                    yield reply
            left_s = deadline() - time.monotonic()
            if left_s <= 0 or self.blocked is not None:
                return
            # The connection's own would not say that the broker closed the channel, because we
            # may not write to the exchange.
            self._channel._process_data_events(left_s)

    def _on_answer(self, _: Any, __: Any, properties: pika.BasicProperties, body: bytes) -> None:
        """Keep it, unless it answers an earlier question that was given up."""
        if properties.correlation_id == self._question:
            self._inbox.append(body)

    def _on_blocked(
        self, _: BlockingConnection, frame: Method[pika.spec.Connection.Blocked]
    ) -> None:
        self.blocked = frame.method.reason

    def _on_unblocked(self, *_: object) -> None:
        self.blocked = None


def _read(body: bytes) -> ScaleReply | SupervisorStatus | None:
    try:
        return CONTROL_REPLY.validate_json(body)
    except ValidationError as error:  # of a supervisor of another version, say
        log.warning("ignored an answer: %s", error.errors(include_input=False)[0]["msg"])
        return None
