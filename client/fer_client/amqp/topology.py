"""Every exchange and queue of a namespace, and their arguments.

Declaring is idempotent. A queue that exists with other arguments is used as it is, with one
warning: operators may have reasons of their own, and queue arguments cannot be changed in place.
"""

import logging
from dataclasses import dataclass
from functools import cached_property

from pika.exceptions import ChannelClosedByBroker

from fer_client.amqp.channel import Arguments
from fer_client.amqp.connection import Connection
from fer_client.amqp.failures import NOT_FOUND, PRECONDITION_FAILED
from fer_client.errors import BrokerRefusedError

log = logging.getLogger(__name__)

MIB = 1024 * 1024

REQUEST_ROUTING_KEY = "frames"

FRAMES_DELIVERY_LIMIT = 20
"""A bound only: a redelivered message is moved to quarantine before it is worked on."""

QUARANTINE_DELIVERY_LIMIT = 100
"""A bound only: a request comes back where a line is lost or a supervisor ends."""

READING_DELIVERY_LIMIT = 1_000_000
"""For queues that are looked at, and whose readers come and go: each return counts. RabbitMQ 4
drops a message after 20 of them unless told otherwise; 3.10 has no limit of its own. -1 means
unlimited on 4 and `drop at once` on 3.10; this number works on both."""


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
    def undeliverable_exchange(self) -> str:
        """Direct exchange that the broker dead-letters to.

        An exchange, and not its queue: arguments of a queue cannot be changed, bindings can.
        """
        return f"{self.namespace}.undeliverable"

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
    def quarantine(self) -> Queue:
        """Requests delivered before, examined one at a time: one of them may kill its worker."""
        return self._dead_lettering(
            "frames.quarantine", {"x-delivery-limit": QUARANTINE_DELIVERY_LIMIT}
        )

    @cached_property
    def undeliverable(self) -> Queue:
        """What the broker gave up on, and dead-lettered; supervisors answer it."""
        return self._read_often("frames.undeliverable", {})

    @cached_property
    def dead(self) -> Queue:
        """Dead letters, with the reason in their headers, for an operator to look at."""
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
        return (self.undeliverable, self.dead, self.results, self.quarantine, self.frames)

    @property
    def queues(self) -> tuple[str, ...]:
        """Names of the durable queues."""
        return tuple(queue.name for queue in self.declared)

    @property
    def exchanges(self) -> tuple[str, ...]:
        """Names of the exchanges."""
        return (self.requests, self.undeliverable_exchange, self.control)

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
                "x-dead-letter-exchange": self.undeliverable_exchange,
                "x-dead-letter-routing-key": REQUEST_ROUTING_KEY,
                "x-dead-letter-strategy": "at-least-once",
            },
        )


async def declare(connection: Connection, topology: Topology) -> None:
    """Make sure that every exchange and queue exists, and none of version 0.1.0.

    Raises:
        BrokerRefusedError: queues of version 0.1.0 are there.
        pika.exceptions.ChannelClosedByBroker, ConnectionLostError: as `redeclare`.
    """
    await _refuse_old_queues(connection, topology)
    await redeclare(connection, topology)


async def redeclare(connection: Connection, topology: Topology) -> None:
    """Make sure that every exchange and queue still exists, on a channel of its own.

    Raises:
        BrokerRefusedError: the queue of requests is that of version 0.1.0.
        pika.exceptions.ChannelClosedByBroker: the broker refuses, for want of a permission, say.
        ConnectionLostError: the connection is gone.
    """
    channel = await connection.open_channel(essential=False)
    await channel.declare_exchange(topology.requests, "direct")
    await channel.declare_exchange(topology.undeliverable_exchange, "direct")
    await channel.declare_exchange(topology.control, "fanout")
    for queue in topology.declared:
        try:
            await channel.declare_queue(queue.name, durable=True, arguments=queue.arguments)
        except ChannelClosedByBroker as closed:  # and it has closed the channel
            _accept(queue, closed, topology)
            channel = await connection.open_channel(essential=False)
    await channel.bind_queue(topology.frames.name, topology.requests, REQUEST_ROUTING_KEY)
    await channel.bind_queue(
        topology.undeliverable.name, topology.undeliverable_exchange, REQUEST_ROUTING_KEY
    )
    await channel.close()


_warned: set[str] = set()


def _accept(queue: Queue, closed: ChannelClosedByBroker, topology: Topology) -> None:
    """Use a queue as it is that exists with other arguments, with one warning.

    Raises:
        BrokerRefusedError: it dead-letters to where nobody reads any more.
        pika.exceptions.ChannelClosedByBroker: it was refused for another reason.
    """
    if closed.reply_code != PRECONDITION_FAILED:
        raise closed
    # An operator's own queue may have no dead letters at all; that of 0.1.0 sends them elsewhere.
    if "'x-dead-letter-" in closed.reply_text and "current is none" not in closed.reply_text:
        raise _old_queue(queue.name, topology)
    if queue.name not in _warned:
        _warned.add(queue.name)
        log.warning("queue %s is used as it is: %s", queue.name, closed.reply_text)


_RENAMED_SINCE_0_1 = ("frames.suspects", "frames.obituaries")


async def _refuse_old_queues(connection: Connection, topology: Topology) -> None:
    """Look for queues of version 0.1.0, which nobody reads any more.

    Raises:
        BrokerRefusedError: there is one.
        ConnectionLostError: the connection is gone.
    """
    for name in _RENAMED_SINCE_0_1:
        queue = f"{topology.namespace}.{name}"
        channel = await connection.open_channel(essential=False)
        try:
            await channel.declare_queue(queue, passive=True)
        except ChannelClosedByBroker as closed:  # and it has closed the channel
            if closed.reply_code != NOT_FOUND:
                raise
        else:
            raise _old_queue(queue, topology)


def _old_queue(queue: str, topology: Topology) -> BrokerRefusedError:
    names = " ".join(f"{topology.namespace}.{name}" for name in ("frames", *_RENAMED_SINCE_0_1))
    return BrokerRefusedError(
        f"{queue} is of version 0.1.0, and queues cannot be changed. Stop the senders, "
        "let the old workers empty it, stop them, and delete the old queues: "
        f"for q in {names}; do rabbitmqctl delete_queue $q; done; then start again"
    )


async def consumers_of(connection: Connection, queue: str) -> int | None:
    """Ask how many read a queue; None where the broker does not say.

    Raises:
        ConnectionLostError: the connection is gone.
    """
    channel = await connection.open_channel(essential=False)  # a refusal closes it
    try:
        return (await channel.declare_queue(queue, passive=True)).consumers
    except ChannelClosedByBroker:
        return None
    finally:
        if channel.is_open:
            channel.raw.close()
