"""Mandatory, confirmed publishing: what became of each message is always told."""

import asyncio
import uuid
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import takewhile

import pika
from pika.exceptions import ChannelWrongStateError
from pika.frame import Method
from pika.spec import Basic

from fer_client.amqp.channel import Channel, ConnectionLostError
from fer_client.amqp.connection import Connection
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
class _Unconfirmed:
    message_id: str
    confirmation: "asyncio.Future[Confirmation]"
    returned: bool = False

    def resolve(self, confirmation: Confirmation) -> None:
        if not self.confirmation.done():
            self.confirmation.set_result(confirmation)


class Publisher:
    """Publishes on a channel of its own with confirms, many at a time."""

    def __init__(self, channel: Channel) -> None:
        """Store the channel; see `open`."""
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._id = uuid.uuid4().hex
        self._next_tag = 1
        self._unconfirmed: dict[int, _Unconfirmed] = {}

    @classmethod
    async def open(cls, connection: Connection) -> "Publisher":
        """Open the channel.

        Raises:
            ConnectionLostError: the connection is gone.
        """
        channel = await connection.open_channel()
        publisher = cls(channel)
        channel.on_close(publisher._on_close)
        channel.raw.add_on_return_callback(channel.guard(publisher._on_return))
        await channel.call(channel.raw.confirm_delivery, channel.guard(publisher._on_confirm))
        return publisher

    async def publish(self, message: Message) -> Confirmation:
        """Publish, and return what became of the message.

        Raises:
            ConnectionLostError: the connection is gone first. Then nobody knows, and the
                message is to be published again on the next one.
        """
        return await self.send(message)

    def send(self, message: Message) -> "asyncio.Future[Confirmation]":
        """Publish, and return a future of what `publish` returns.

        A message without a `message_id` gets one.
        """
        confirmation: asyncio.Future[Confirmation] = self._loop.create_future()
        if message.properties.message_id is None:
            message.properties.message_id = f"{self._id}.{self._next_tag}"
        try:
            self._channel.raw.basic_publish(
                message.exchange,
                message.routing_key,
                message.body,
                message.properties,
                mandatory=True,
            )
        except ChannelWrongStateError:
            confirmation.set_exception(ConnectionLostError("the channel is closed"))
            return confirmation
        self._unconfirmed[self._next_tag] = _Unconfirmed(
            message.properties.message_id, confirmation
        )
        self._next_tag += 1
        return confirmation

    def _on_return(
        self, _: object, __: Basic.Return, properties: pika.BasicProperties, ___: bytes
    ) -> None:
        # A return carries no delivery tag, but it comes before the message's confirmation.
        for unconfirmed in self._unconfirmed.values():
            if unconfirmed.message_id == properties.message_id and not unconfirmed.returned:
                unconfirmed.returned = True
                return

    def _on_confirm(self, frame: Method[Basic.Ack | Basic.Nack]) -> None:
        method = frame.method
        if method.multiple:
            tags = list(takewhile(lambda tag: tag <= method.delivery_tag, self._unconfirmed))
        else:
            tags = [method.delivery_tag]
        for tag in tags:
            unconfirmed = self._unconfirmed.pop(tag)
            if isinstance(method, Basic.Nack):
                unconfirmed.resolve(Confirmation.REFUSED)
            elif unconfirmed.returned:
                unconfirmed.resolve(Confirmation.RETURNED)
            else:
                unconfirmed.resolve(Confirmation.CONFIRMED)

    def _on_close(self) -> None:
        for unconfirmed in self._unconfirmed.values():
            if not unconfirmed.confirmation.done():
                unconfirmed.confirmation.set_exception(ConnectionLostError("the channel is closed"))
        self._unconfirmed.clear()
