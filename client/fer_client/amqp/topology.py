"""Every exchange and queue of a namespace, and their arguments.

Declaring is idempotent. A queue that exists with other arguments is used as it is, with one
warning: operators may have reasons of their own, and queue arguments cannot be changed in place.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pika
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import ChannelClosedByBroker

log = logging.getLogger(__name__)

PRECONDITION_FAILED = 406

MIB = 1024 * 1024

REQUEST_ROUTING_KEY = "frames"

FRAMES_DELIVERY_LIMIT = 20
"""A bound only: a redelivered message is moved to the suspects before it is worked on."""

SUSPECTS_DELIVERY_LIMIT = 2
"""Returns to the queue before a message is dead-lettered: three deliveries."""

READING_DELIVERY_LIMIT = 1_000_000
"""For queues that are looked at, and whose readers come and go: each return counts. RabbitMQ 4
drops a message after 20 of them unless told otherwise; 3.10 has no limit of its own. -1 means
unlimited on 4 and `drop at once` on 3.10; this number works on both."""

Arguments = Mapping[str, str | int]


@dataclass(frozen=True)
class Queue:
    """A durable quorum queue and its arguments."""

    name: str
    arguments: Arguments


@dataclass(frozen=True)
class Topology:
    """The names and arguments of one namespace."""

    namespace: str = "fer"

    @property
    def requests(self) -> str:
        """Direct exchange that controllers publish to."""
        return f"{self.namespace}.requests"

    @property
    def control(self) -> str:
        """Fanout exchange from operators to supervisors."""
        return f"{self.namespace}.control"

    @cached_property
    def frames(self) -> Queue:
        """Requests. Bounded: when it is full the sender's publish is refused, nothing is lost."""
        return self._dead_lettering(
            "frames",
            {"x-delivery-limit": FRAMES_DELIVERY_LIMIT, "x-max-length-bytes": 1024 * MIB},
        )

    @cached_property
    def suspects(self) -> Queue:
        """Requests delivered before, worked on one at a time: one of them may kill its worker."""
        return self._dead_lettering(
            "frames.suspects", {"x-delivery-limit": SUSPECTS_DELIVERY_LIMIT}
        )

    @cached_property
    def obituaries(self) -> Queue:
        """What the broker dead-lettered; supervisors answer and bury it."""
        return self._read_often("frames.obituaries", {})

    @cached_property
    def dead(self) -> Queue:
        """Buried requests, with the reason in their headers, for an operator to look at."""
        return self._read_often(
            "frames.dead", {"x-max-length-bytes": 256 * MIB, "x-overflow": "drop-head"}
        )

    @cached_property
    def results(self) -> Queue:
        """Results without a reader: no `reply_to`, or its queue is gone."""
        return self._read_often(
            "results", {"x-max-length-bytes": 256 * MIB, "x-overflow": "drop-head"}
        )

    @property
    def declared(self) -> tuple[Queue, ...]:
        """Every queue that `declare` makes, dead-letter targets first."""
        return (self.obituaries, self.dead, self.results, self.suspects, self.frames)

    @property
    def queues(self) -> tuple[str, ...]:
        """Names of the durable queues."""
        return tuple(queue.name for queue in self.declared)

    @property
    def exchanges(self) -> tuple[str, ...]:
        """Names of the exchanges."""
        return (self.requests, self.control)

    def replies(self, client: str) -> str:
        """Name of the reply queue of a client.

        It is a classic queue, on one node. Where that node of a cluster is down, RabbitMQ 3.10
        returns what is published to it, and 4 refuses it as if the queue were full.
        """
        return f"{self.namespace}.replies.{client}"

    def answers(self, operator: str) -> str:
        """Name of the queue of an operator, for answers to control messages."""
        return f"{self.namespace}.operators.{operator}"

    def is_workers_own(self, queue: str) -> bool:
        """Whether a queue is one that workers and supervisors read, and so no place for replies."""
        return f"{queue}.".startswith((f"{self.frames.name}.", f"{self.control}."))

    def _quorum(self, name: str, arguments: Arguments) -> Queue:
        return Queue(f"{self.namespace}.{name}", {"x-queue-type": "quorum", **arguments})

    def _read_often(self, name: str, arguments: Arguments) -> Queue:
        return self._quorum(name, {"x-delivery-limit": READING_DELIVERY_LIMIT, **arguments})

    def _dead_lettering(self, name: str, arguments: Arguments) -> Queue:
        # At-least-once dead-lettering works only with reject-publish on the source.
        return self._quorum(
            name,
            {
                **arguments,
                "x-overflow": "reject-publish",
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": self.obituaries.name,
                "x-dead-letter-strategy": "at-least-once",
            },
        )


def declare(parameters: pika.ConnectionParameters, topology: Topology) -> None:
    """Make sure that every exchange and queue exists, over a short connection of its own.

    Raises:
        pika.exceptions.AMQPError, OSError: the broker is away, or refuses.
    """
    connection = BlockingConnection(parameters)
    try:
        channel = connection.channel()
        channel.exchange_declare(topology.requests, "direct", durable=True)
        channel.exchange_declare(topology.control, "fanout", durable=True)
        for queue in topology.declared:
            channel = _declare_queue(connection, channel, queue)
        channel.queue_bind(topology.frames.name, topology.requests, REQUEST_ROUTING_KEY)
    finally:
        if connection.is_open:
            connection.close()


_warned: set[str] = set()


def _declare_queue(
    connection: BlockingConnection, channel: BlockingChannel, queue: Queue
) -> BlockingChannel:
    """Declare a queue and return an open channel: the broker closes it on other arguments."""
    try:
        channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
    except ChannelClosedByBroker as closed:
        if closed.reply_code != PRECONDITION_FAILED:
            raise
        if queue.name not in _warned:
            _warned.add(queue.name)
            log.warning("queue %s is used as it is: %s", queue.name, closed.reply_text)
        channel = connection.channel()
        channel.queue_declare(queue.name, passive=True)
    return channel
