"""Mandatory, confirmed publishing: what became of each message is always told."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import takewhile

import pika
from pika.adapters.select_connection import SelectConnection
from pika.channel import Channel
from pika.frame import Method
from pika.spec import Basic

from fer_client.amqp.connection import open_channel
from fer_client.amqp.properties import text_of


class Confirmation(Enum):
    """What the broker says of a published message."""

    CONFIRMED = auto()
    """It is in a queue, as safe as that queue keeps it."""
    RETURNED = auto()
    """No queue takes it."""
    REFUSED = auto()
    """Its queue is full, or could not store it."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to publish. The default exchange delivers to the queue named `routing_key`."""

    routing_key: str
    body: bytes = field(repr=False)
    properties: pika.BasicProperties
    exchange: str = ""

    @property
    def correlation_id(self) -> str | None:
        """The requester's name for what it is about."""
        return text_of(self.properties.correlation_id)


@dataclass(slots=True)
class _Pending:
    message_id: str
    on_confirmation: Callable[[Confirmation], None]
    returned: bool = False


class Publisher:
    """Publishes on a channel of its own with confirms, many at a time."""

    def __init__(self, connection: SelectConnection, on_ready: Callable[[], None]) -> None:
        """Open the channel; `on_ready` is called once messages may be published."""
        self._on_ready = on_ready
        self._channel: Channel | None = None
        self._id = uuid.uuid4().hex
        self._next_tag = 1
        self._pending: dict[int, _Pending] = {}
        open_channel(connection, self._on_channel)

    @property
    def is_open(self) -> bool:
        """Whether messages can be published now."""
        return self._channel is not None and self._channel.is_open

    def publish(self, message: Message, on_confirmation: Callable[[Confirmation], None]) -> None:
        """Publish, and be told once what became of it.

        `on_confirmation` is never called if the connection is lost first: then nobody knows, and
        whoever published does so again on the next one. A message without a `message_id` gets one.
        """
        if self._channel is None or not self._channel.is_open:
            return
        if message.properties.message_id is None:
            message.properties.message_id = f"{self._id}.{self._next_tag}"
        self._pending[self._next_tag] = _Pending(message.properties.message_id, on_confirmation)
        self._next_tag += 1
        self._channel.basic_publish(
            message.exchange, message.routing_key, message.body, message.properties, mandatory=True
        )

    def _on_channel(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(self._on_confirm, callback=lambda _: self._on_ready())

    def _on_return(
        self, _: Channel, __: Basic.Return, properties: pika.BasicProperties, ___: bytes
    ) -> None:
        # A return carries no delivery tag, but it comes before the message's confirmation.
        for pending in self._pending.values():
            if pending.message_id == properties.message_id and not pending.returned:
                pending.returned = True
                return

    def _on_confirm(self, frame: Method[Basic.Ack | Basic.Nack]) -> None:
        method = frame.method
        if method.multiple:
            tags = list(takewhile(lambda tag: tag <= method.delivery_tag, self._pending))
        else:
            tags = [method.delivery_tag]
        for tag in tags:
            pending = self._pending.pop(tag)
            if isinstance(method, Basic.Nack):
                pending.on_confirmation(Confirmation.REFUSED)
            elif pending.returned:
                pending.on_confirmation(Confirmation.RETURNED)
            else:
                pending.on_confirmation(Confirmation.CONFIRMED)
