"""Deliveries of one queue, pushed or pulled, and their settling."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.select_connection import SelectConnection
from pika.channel import Channel
from pika.spec import Basic

from fer_client.amqp.connection import open_channel
from fer_client.amqp.properties import text_of

SET_ASIDE = "x-set-aside"
"""Header of a redelivered request that was moved to the suspects: the broker does not know there
that it has been delivered before."""


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
    channel: Channel | BlockingChannel = field(repr=False)

    def ack(self) -> None:
        """Tell the broker that the message is done with. Only on the connection's thread."""
        if self.channel.is_open:
            self.channel.basic_ack(self.tag)

    @property
    def was_delivered_before(self) -> bool:
        """Whether a worker may have had this request already, from this queue or another."""
        return self.redelivered or SET_ASIDE in self.headers

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
    """Consumes one queue on a channel of its own, from construction until `cancel`."""

    def __init__(
        self,
        connection: SelectConnection,
        queue: str,
        prefetch: int,
        on_delivery: Callable[[Delivery], None],
        on_consuming: Callable[[], None],
    ) -> None:
        """Open the channel and consume.

        Args:
            connection: an open connection; everything here runs on its thread.
            queue: its name; the queue exists.
            prefetch: deliveries that may be unsettled at once.
            on_delivery: called with each delivery; must not block.
            on_consuming: called once the broker has confirmed the consumer.
        """
        self._connection = connection
        self._queue = queue
        self._prefetch = prefetch
        self._on_delivery = on_delivery
        self._on_consuming = on_consuming
        self._channel: Channel | None = None
        self._consumer_tag: str | None = None
        self._cancelled = False
        open_channel(connection, self._on_channel)

    def cancel(self, on_cancelled: Callable[[], None]) -> None:
        """Have the broker send nothing more, and be told once it has confirmed that.

        What is on the wire at this moment is still delivered, and can be settled like all before.
        `on_cancelled` is not called if the connection is lost first.
        """
        self._cancelled = True
        if self._channel is None or self._consumer_tag is None:
            on_cancelled()  # not consuming yet, and never will be
        elif self._channel.is_open:
            self._channel.basic_cancel(self._consumer_tag, lambda _: on_cancelled())
            # pika would reject what comes until then, and each of them would be a suspect.
            self._channel._cancelled.discard(self._consumer_tag)

    def delete_queue(self) -> None:
        """Delete the queue, and with it whatever is still in it."""
        if self._channel is not None and self._channel.is_open:
            self._channel.queue_delete(self._queue)

    def _on_channel(self, channel: Channel) -> None:
        self._channel = channel
        # The broker cancels a consumer when its queue is deleted: build everything anew.
        channel.add_on_cancel_callback(lambda _: self._connection.close())
        channel.basic_qos(prefetch_count=self._prefetch)
        if not self._cancelled:
            self._consumer_tag = channel.basic_consume(
                self._queue, self._on_message, callback=lambda _: self._on_consuming()
            )

    def _on_message(
        self,
        channel: Channel,
        method: Basic.Deliver,
        properties: pika.BasicProperties,
        body: bytes,
    ) -> None:
        self._on_delivery(delivery_of(self._queue, channel, method, properties, body))


class Puller:
    """Takes messages of one queue one at a time, each when it is asked to."""

    def __init__(
        self,
        connection: SelectConnection,
        queue: str,
        on_delivery: Callable[[Delivery], None],
        on_empty: Callable[[], None],
        on_ready: Callable[[], None],
    ) -> None:
        """Open a channel.

        Args:
            connection: an open connection; everything here runs on its thread.
            queue: its name; the queue exists.
            on_delivery: called with what was pulled; must not block.
            on_empty: called where there was nothing to pull.
            on_ready: called once messages can be pulled.
        """
        self._queue = queue
        self._on_delivery = on_delivery
        self._on_empty = on_empty
        self._on_ready = on_ready
        self._channel: Channel | None = None
        open_channel(connection, self._on_channel)

    def pull(self) -> None:
        """Ask for one message. Its outcome comes first, then the next may be asked for."""
        if self._channel is not None and self._channel.is_open:
            self._channel.basic_get(self._queue, self._on_message)

    def count(self, on_count: Callable[[int], None]) -> None:
        """Ask how many messages wait."""
        if self._channel is not None and self._channel.is_open:
            self._channel.queue_declare(
                self._queue,
                passive=True,
                callback=lambda frame: on_count(frame.method.message_count),
            )

    def _on_channel(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_callback(lambda _: self._on_empty(), [Basic.GetEmpty], one_shot=False)
        self._on_ready()

    def _on_message(
        self, channel: Channel, method: Basic.GetOk, properties: pika.BasicProperties, body: bytes
    ) -> None:
        self._on_delivery(delivery_of(self._queue, channel, method, properties, body))


def delivery_of(
    queue: str,
    channel: Channel | BlockingChannel,
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
