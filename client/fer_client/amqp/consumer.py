"""Deliveries of one queue, and their settling."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pika
from pika.spec import Basic

from fer_client.amqp.channel import Channel
from fer_client.amqp.connection import Connection
from fer_client.amqp.properties import text_of

log = logging.getLogger(__name__)

QUARANTINED = "x-quarantined"
"""Header of a redelivered request that was moved to quarantine: the broker does not know there
that it has been delivered before."""

QUIET_S = 0.2
"""A queue that has delivered nothing for so long is taken for one without messages."""

CANCEL_LIMIT_S = 5.0


class Settling(Protocol):
    """The channel that a delivery came by: pika's, or ours."""

    @property
    def is_open(self) -> bool:
        """Whether anything can be settled there."""

    def basic_ack(self, tag: int) -> None:
        """Tell the broker that a delivery is done with."""

    def basic_nack(self, tag: int) -> None:
        """Give a delivery back to its queue."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as the broker handed it over.

    It knows the channel it came by: settled after that channel is gone it is left alone, since
    the broker has taken the message back already.
    """

    queue: str
    exchange: str
    body: bytes
    properties: pika.BasicProperties
    redelivered: bool
    tag: int
    channel: Settling | None = field(repr=False)

    def ack(self) -> None:
        """Tell the broker that the message is done with."""
        if self.channel is not None and self.channel.is_open:
            self.channel.basic_ack(self.tag)

    def requeue(self) -> None:
        """Give the message back to its queue; this counts as a delivery."""
        if self.channel is not None and self.channel.is_open:
            self.channel.basic_nack(self.tag)

    @property
    def was_delivered_before(self) -> bool:
        """Whether a worker may have had this request already, from this queue or another."""
        return self.redelivered or QUARANTINED in self.headers

    @property
    def correlation_id(self) -> str | None:
        """The sender's name for the request."""
        return text_of(self.properties.correlation_id)

    @property
    def reply_to(self) -> str | None:
        """The queue that the sender reads answers from."""
        return text_of(self.properties.reply_to)

    @property
    def message_id(self) -> str | None:
        """The name of this one message; a copy has another."""
        return text_of(self.properties.message_id)

    @property
    def user_id(self) -> str | None:
        """Who sent it; the broker takes no other name than that of the sender's connection."""
        return text_of(self.properties.user_id)

    @property
    def content_type(self) -> str | None:
        """How the body is encoded."""
        return text_of(self.properties.content_type)

    @property
    def headers(self) -> Mapping[str, Any]:
        """The message's headers, as AMQP's own types."""
        return self.properties.headers or {}

    @property
    def last_death(self) -> Mapping[str, Any] | None:
        """Where and why the broker dead-lettered it (`x-death`, newest first), if it did."""
        deaths = self.headers.get("x-death")
        if not isinstance(deaths, list) or not deaths or not isinstance(deaths[0], dict):
            return None
        return deaths[0]


class Consumer:
    """Consumes one queue on a channel of its own, until `stop`."""

    def __init__(
        self,
        channel: Channel,
        queue: str,
        prefetch: int,
        on_delivery: Callable[[Delivery], object],
    ) -> None:
        """Store the parts; see `start`."""
        self._channel = channel
        self._queue = queue
        self._prefetch = prefetch
        self._on_delivery = on_delivery
        self._tag = ""
        self._unacked = 0
        self._kept_acks: list[int] | None = None
        """Acks that wait for the end of `stop`; None while they are sent at once."""
        self._delivered = asyncio.Event()
        self._is_deleting = False

    @classmethod
    async def start(
        cls,
        connection: Connection,
        queue: str,
        prefetch: int,
        on_delivery: Callable[[Delivery], object],
    ) -> "Consumer":
        """Consume, and return once the broker has confirmed it.

        Where the broker ends it, since the queue is deleted, the connection is closed: all of it
        is built anew.

        Args:
            connection: an open connection.
            queue: its name; the queue exists.
            prefetch: deliveries that may be unacked at once.
            on_delivery: called with each delivery; must not block.

        Raises:
            pika.exceptions.ChannelClosedByBroker: there is no such queue, or no permission.
            ConnectionLostError: the connection is gone.
        """
        channel = await connection.open_channel()
        await channel.limit_unacked(prefetch)
        consumer = cls(channel, queue, prefetch, on_delivery)

        def on_cancel(_: object) -> None:
            if not consumer._is_deleting:
                log.warning("the broker ends the consumer of %s; connecting anew", queue)
                connection.abandon()

        channel.raw.add_on_cancel_callback(on_cancel)
        on_message = channel.guard(consumer._on_message)
        started = await channel.call(channel.raw.basic_consume, queue, on_message)
        consumer._tag = started.method.consumer_tag
        return consumer

    async def stop(self) -> None:
        """Have the broker send nothing more; what was delivered can be acked like all before.

        A delivery that a quorum queue makes while it is told of the cancel is returned, and counts
        as delivered. So acks are kept back until it can make none, since the prefetch is full, or
        is not likely to, since nothing came for a while.
        """
        self._kept_acks = []
        while self._unacked < self._prefetch:
            self._delivered.clear()
            try:
                async with asyncio.timeout(QUIET_S):
                    await self._delivered.wait()
            except TimeoutError:
                break
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CANCEL_LIMIT_S):
                await self._channel.call(self._channel.raw.basic_cancel, self._tag)
        kept, self._kept_acks = self._kept_acks, None
        if self.is_open:
            for tag in kept:
                self.basic_ack(tag)

    async def delete_queue(self) -> None:
        """Delete the queue, and with it whatever is still in it."""
        self._is_deleting = True
        await self._channel.delete_queue(self._queue)

    # A delivery is settled by its consumer, which may keep acks back.

    @property
    def is_open(self) -> bool:
        """Whether deliveries can be settled."""
        return self._channel.is_open

    def basic_ack(self, tag: int) -> None:
        """Tell the broker that a delivery is done with, or remember to."""
        if self._kept_acks is not None:
            self._kept_acks.append(tag)
        else:
            self._unacked -= 1
            self._channel.basic_ack(tag)

    def basic_nack(self, tag: int) -> None:
        """Give a delivery back to its queue."""
        self._unacked -= 1
        self._channel.basic_nack(tag)

    def _on_message(
        self, _: object, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        self._unacked += 1
        self._delivered.set()
        self._on_delivery(delivery_of(self._queue, self, method, properties, body))


def in_tasks(
    group: asyncio.TaskGroup, handle: Callable[[Delivery], Coroutine[Any, Any, None]]
) -> Callable[[Delivery], None]:
    """Have each delivery handled by a task of a group.

    What still comes while the group ends is left alone: the broker takes it back with the channel.
    """

    def start(delivery: Delivery) -> None:
        handling = handle(delivery)
        try:
            group.create_task(handling)
        except RuntimeError:  # the group ends
            handling.close()

    return start


def delivery_of(
    queue: str,
    channel: Settling,
    method: Basic.Deliver | Basic.GetOk,
    properties: pika.BasicProperties,
    body: bytes,
) -> Delivery:
    """What pika hands over with a message of a queue, as one value."""
    return Delivery(
        queue=queue,
        exchange=method.exchange,
        body=body,
        properties=properties,
        redelivered=method.redelivered,
        tag=method.delivery_tag,
        channel=channel,
    )
