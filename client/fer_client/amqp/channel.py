"""A channel whose methods can be awaited."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pika.channel
from pika.exceptions import (
    ChannelClosedByBroker,
    ChannelWrongStateError,
    ConnectionWrongStateError,
)

from fer_client.amqp.failures import explain

log = logging.getLogger(__name__)

Arguments = Mapping[str, str | int]


class ConnectionLostError(Exception):
    """What lived on a connection or channel is gone: nobody will answer there any more."""


class BrokerSilentError(ConnectionLostError):
    """The broker did not answer in time, and the connection is given up."""


class Owner(Protocol):
    """The connection of a channel, as far as the channel needs it."""

    async def answer(self, future: "asyncio.Future[Any]") -> Any:
        """Await what the broker is to answer, within a limit."""

    def abandon(self, reason: Exception | None = None) -> None:
        """Begin to close the connection: something of it is broken."""


@dataclass(frozen=True)
class QueueState:
    """What the broker says of a queue when it is declared."""

    messages: int
    """That wait, and that nobody holds."""
    consumers: int


class Channel:
    """One channel. When it ends, the reason is raised where an answer is awaited."""

    def __init__(self, raw: pika.channel.Channel, owner: Owner, *, essential: bool) -> None:
        """Store the parts; see `Connection.open_channel`."""
        self.raw = raw
        self._owner = owner
        self._essential = essential
        self._answers: set[asyncio.Future[Any]] = set()
        self._on_close: list[Callable[[], None]] = []
        raw.add_on_close_callback(self._closed)

    @property
    def is_open(self) -> bool:
        """Whether anything can be sent."""
        return bool(self.raw.is_open)

    def on_close(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when the channel ends, whatever ends it."""
        self._on_close.append(callback)

    def guard(self, callback: Callable[..., None]) -> Callable[..., None]:
        """Wrap what pika is to call: an exception in it would end the connection unseen."""

        def guarded(*args: Any) -> None:
            try:
                callback(*args)
            except Exception:
                log.exception("unexpected fault; connecting anew")
                self._owner.abandon()

        return guarded

    async def declare_queue(
        self,
        name: str,
        *,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Arguments | None = None,
        passive: bool = False,
    ) -> QueueState:
        """Declare a queue, or with `passive` look at it.

        Raises:
            pika.exceptions.ChannelClosedByBroker: the broker does not do it.
            ConnectionLostError: the connection is gone.
        """
        declared = await self.call(
            self.raw.queue_declare,
            name,
            passive=passive,
            durable=durable,
            exclusive=exclusive,
            auto_delete=auto_delete,
            arguments=dict(arguments or {}),
        )
        return QueueState(declared.method.message_count, declared.method.consumer_count)

    async def declare_exchange(
        self, name: str, kind: str = "direct", *, passive: bool = False
    ) -> None:
        """Declare a durable exchange, or with `passive` ask whether one of that name exists."""
        await self.call(self.raw.exchange_declare, name, kind, passive=passive, durable=not passive)

    async def bind_queue(self, queue: str, exchange: str, routing_key: str = "") -> None:
        """Have an exchange route to a queue."""
        await self.call(self.raw.queue_bind, queue, exchange, routing_key)

    async def delete_queue(self, queue: str) -> None:
        """Delete a queue, and whatever is still in it."""
        await self.call(self.raw.queue_delete, queue)

    async def limit_unacked(self, prefetch: int) -> None:
        """Have no more deliveries than `prefetch` on their way or unacked."""
        await self.call(self.raw.basic_qos, prefetch_count=prefetch)

    async def call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a method of pika's channel and await its answer.

        Raises:
            pika.exceptions.ChannelClosedByBroker: the broker refuses it.
            ConnectionLostError: the channel or the connection is gone.
        """
        answer = asyncio.get_running_loop().create_future()

        def resolve(frame: Any) -> None:
            if not answer.done():
                answer.set_result(frame)

        self._answers.add(answer)
        try:
            method(*args, callback=resolve, **kwargs)
            return await self._owner.answer(answer)
        except (ChannelWrongStateError, ConnectionWrongStateError) as error:
            raise ConnectionLostError(explain(error)) from error
        finally:
            self._answers.discard(answer)

    async def close(self) -> None:
        """Close it. One that is closed already is left alone."""
        if self.is_open:
            closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def resolve() -> None:
                if not closed.done():
                    closed.set_result(None)

            self.on_close(resolve)
            self.raw.close()
            await self._owner.answer(closed)

    def basic_ack(self, tag: int) -> None:
        """Tell the broker that a delivery is done with."""
        self.raw.basic_ack(tag)

    def basic_nack(self, tag: int) -> None:
        """Give a delivery back to its queue."""
        self.raw.basic_nack(tag, requeue=True)

    def _closed(self, _: pika.channel.Channel, reason: Exception) -> None:
        awaited = [answer for answer in self._answers if not answer.done()]
        for answer in awaited:
            refused = isinstance(reason, ChannelClosedByBroker)
            answer.set_exception(reason if refused else ConnectionLostError(explain(reason)))
        for callback in self._on_close:
            callback()
        if self._essential and self.raw.connection.is_open:
            if not awaited:  # otherwise the session ends with the reason, and logs it
                log.warning("channel closed: %s", explain(reason))
            self._owner.abandon(reason)
