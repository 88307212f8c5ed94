"""Scale and status messages over the broker: the supervisors' side.

Commands come through a fanout exchange to an exclusive queue of each supervisor; answers go to the
operator's reply queue under the same correlation id. The same connection brings the obituaries.
"""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pika
from pika.adapters.select_connection import SelectConnection
from pika.channel import Channel
from pika.frame import Method
from pydantic import ValidationError

from fer_client.amqp.codec import encode_result
from fer_client.amqp.connection import Connection, open_channel, warn_if_exposed
from fer_client.amqp.consumer import Consumer, Delivery
from fer_client.amqp.publisher import Message, Publisher
from fer_client.amqp.topology import Topology, declare
from fer_client.config import BrokerConfig
from fer_client.errors import BrokerRefusedError
from fer_schemas import CONTROL_COMMAND, ScaleCommand, ScaleReply, StatusQuery, SupervisorStatus
from fer_worker.limits import DEFAULT_LIMITS, Limits
from fer_worker.logging_setup import about
from fer_worker.metrics import Meter
from fer_worker.serving.dead_letter_consumer import attend
from fer_worker.serving.request_checks import Admission
from fer_worker.serving.responder import Outcomes

log = logging.getLogger(__name__)

OBITUARIES_PREFETCH = 8
CONTROL_PREFETCH = 16

LONGEST_COMMAND_BYTES = 4096


@dataclass(frozen=True)
class ControlRequest:
    """A command, and the way to answer it (from any thread, any number of times)."""

    command: ScaleCommand | StatusQuery
    answer: Callable[[ScaleReply | SupervisorStatus], None]


@dataclass(frozen=True)
class QueueLook:
    """What was seen of the queue of requests."""

    waiting: int
    """Requests that no worker has taken."""
    consumers: int


LOOK_INTERVAL_S = 1.0


class ControlLink:
    """A supervisor's connection."""

    def __init__(
        self,
        broker: BrokerConfig,
        supervisor: str,
        meter: Meter,
        on_command: Callable[[ControlRequest], None],
        on_connected: Callable[[], None],
        on_disconnected: Callable[[], None],
        on_refused: Callable[[BrokerRefusedError], None],
        on_look: Callable[[QueueLook], None] | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Store the parts; the callbacks are called on the connection's thread.

        Args:
            broker: where commands come from.
            supervisor: host/pid.
            meter: counts the requests that are ended here.
            on_command: called with every valid command, whomever it addresses.
            on_connected: called each time commands can be heard.
            on_disconnected: called each time they no longer can.
            on_refused: called if the broker refuses us.
            on_look: called once a second with what is seen of the queue of requests.
            limits: what the workers accept.
        """
        self._broker = broker
        self._topology = Topology(broker.namespace)
        self._supervisor = supervisor
        self._meter = meter
        self._on_command = on_command
        self._on_connected = on_connected
        self._on_disconnected = on_disconnected
        self._on_look = on_look
        self._on_refused = on_refused
        self._admission = Admission(self._topology, limits)
        self._publisher: Publisher | None = None
        self._connection = Connection(
            broker, f"supervisor {supervisor}", self, partial(declare, topology=self._topology)
        )

    def start(self) -> None:
        """Connect, and listen until `close`."""
        warn_if_exposed(self._broker)
        self._connection.start()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
        self._connection.join()

    # What follows runs on the connection's thread.

    def on_open(self, connection: SelectConnection) -> None:
        """Listen as soon as answers can be published."""
        self._publisher = Publisher(connection, on_ready=partial(self._listen, connection))

    def on_lost(self) -> None:
        """Forget the publisher; commands that were not answered are not answered any more."""
        self._publisher = None
        self._on_disconnected()

    def on_refused(self, error: BrokerRefusedError) -> None:
        """Pass it on."""
        self._on_refused(error)

    def _listen(self, connection: SelectConnection) -> None:
        if self._publisher is None:
            return
        outcomes = Outcomes(
            self._publisher, self._topology, self._connection.call_later, self._supervisor
        )
        Consumer(
            connection,
            self._topology.obituaries.name,
            OBITUARIES_PREFETCH,
            lambda delivery: attend(
                delivery, outcomes, self._admission, self._supervisor, self._meter
            ),
            on_consuming=lambda: None,
        )
        if self._on_look is not None:
            open_channel(connection, partial(self._look, self._on_look))
        # A new name each time: after a stalled connection the broker may still hold the old one.
        queue = f"{self._topology.control}.{uuid.uuid4().hex}"
        open_channel(connection, partial(self._declare, connection, queue))

    def _declare(self, connection: SelectConnection, queue: str, channel: Channel) -> None:
        channel.queue_declare(queue, exclusive=True, auto_delete=True)
        channel.queue_bind(
            queue,
            self._topology.control,
            callback=lambda _: Consumer(
                connection, queue, CONTROL_PREFETCH, self._on_delivery, self._on_connected
            ),
        )

    def _look(self, on_look: Callable[[QueueLook], None], channel: Channel) -> None:
        """Look at the queue of requests, now and once a second while the channel is open."""
        if not channel.is_open:
            return

        def on_declared(frame: Method[pika.spec.Queue.DeclareOk]) -> None:
            found = frame.method
            on_look(QueueLook(found.message_count, found.consumer_count))
            self._connection.call_later(LOOK_INTERVAL_S, partial(self._look, on_look, channel))

        channel.queue_declare(self._topology.frames.name, passive=True, callback=on_declared)

    def _on_delivery(self, delivery: Delivery) -> None:
        delivery.ack()
        known = about(delivery.correlation_id)
        if delivery.exchange != self._topology.control:
            # Whoever may write to the default exchange may write to every queue.
            log.warning(
                "ignored a control message that did not come through the control exchange",
                extra=known,
            )
            return
        if len(delivery.body) > LONGEST_COMMAND_BYTES:
            log.warning("ignored a control message of %d bytes", len(delivery.body), extra=known)
            return
        try:
            command = CONTROL_COMMAND.validate_json(delivery.body)
        except ValidationError as error:
            log.warning(
                "ignored a control message: %s",
                error.errors(include_input=False)[0]["msg"],
                extra=known,
            )
            return
        answer = partial(self._answer, delivery.properties)
        self._on_command(ControlRequest(command, answer))

    def _answer(self, asked: pika.BasicProperties, reply: ScaleReply | SupervisorStatus) -> None:
        if asked.reply_to is None or self._topology.is_workers_own(str(asked.reply_to)):
            return
        message = Message(
            routing_key=asked.reply_to,
            body=encode_result(reply),
            properties=pika.BasicProperties(
                content_type="application/json", correlation_id=asked.correlation_id
            ),
        )
        self._connection.call(partial(self._publish, message))

    def _publish(self, message: Message) -> None:
        if self._publisher is not None:
            self._publisher.publish(message, lambda _: None)  # an operator who left needs none
