"""One connection to the broker on the running loop.

What lives on a connection (channels, consumers, publishers) is never mended: when any of it breaks
the connection is closed, and a new session (`sessions`) builds all of it anew on the next one.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.adapters.utils.io_services_utils import _AsyncTransportBase

from fer_client.amqp.channel import BrokerSilentError, Channel, ConnectionLostError
from fer_client.amqp.failures import explain

log = logging.getLogger(__name__)

CONNECT_LIMIT_S = 30.0
"""How long connecting to one node may take, with all addresses that its name has."""

ANSWER_LIMIT_S = 10.0
"""How long the broker may take for an answer, unless an alarm keeps it from reading on."""

CLOSE_LIMIT_S = 2.0
"""How long a connection may take to close. A dead broker, or one in alarm, says nothing."""

READ_BYTES = 256 * 1024
"""Taken from a socket at once. pika's own 4 KiB cost 25 system calls for 100 kB."""

_AsyncTransportBase._MAX_RECV_BYTES = READ_BYTES  # private: a test fails if it is renamed


class Connection:
    """One open connection."""

    def __init__(self, raw: AsyncioConnection, closed: "asyncio.Future[BaseException]") -> None:
        """Store the parts; see `connect`."""
        self.closed = closed
        """Done when the connection is gone; its result is the reason."""
        self.blocked: str | None = None
        """Why the broker takes no messages: an alarm. Known once one was sent."""
        self.on_blocked: Callable[[], None] = lambda: None
        """Called when `blocked` has changed."""
        self.abandoned_for: Exception | None = None
        """Why the broker has closed an essential channel, if it did."""
        self._raw = raw
        raw.add_on_connection_blocked_callback(
            lambda _, frame: self._set_blocked(frame.method.reason)
        )
        raw.add_on_connection_unblocked_callback(lambda *_: self._set_blocked(None))

    @property
    def user(self) -> str | None:
        """The user that we logged in as."""
        return getattr(self._raw.params.credentials, "username", None)

    async def open_channel(self, *, essential: bool = True) -> Channel:
        """Open a channel.

        Args:
            essential: its unexpected end closes the whole connection.

        Raises:
            ConnectionLostError: the connection is gone.
        """
        opened = asyncio.get_running_loop().create_future()

        def on_open(raw: pika.channel.Channel) -> None:
            if opened.done():  # nobody waits for it any more
                raw.close()
            else:
                opened.set_result(Channel(raw, self, essential=essential))

        if not self._raw.is_open:
            raise ConnectionLostError("the connection is closed")
        self._raw.channel(on_open_callback=on_open)
        channel: Channel = await self.answer(opened)
        return channel

    async def answer(self, future: "asyncio.Future[Any]") -> Any:
        """Await what the broker is to answer.

        Raises:
            ConnectionLostError: the connection is gone.
            BrokerSilentError: the broker does not answer.
        """
        while True:
            was_blocked = self.blocked is not None  # then it has a whole limit from now on
            await asyncio.wait(
                (future, self.closed),
                timeout=ANSWER_LIMIT_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if future.done():
                return future.result()
            if self.closed.done():
                raise ConnectionLostError(explain(self.closed.result()))
            if self.blocked is None and not was_blocked:
                log.warning("no answer within %g s; connecting anew", ANSWER_LIMIT_S)
                self.abandon()
                raise BrokerSilentError(f"no answer within {ANSWER_LIMIT_S:g} s")

    async def wait_closed(self) -> None:
        """Wait until the connection is gone."""
        await asyncio.wait((self.closed,))

    def abandon(self, reason: Exception | None = None) -> None:
        """Begin to close it: something of it is broken."""
        self.abandoned_for = self.abandoned_for or reason
        if self._raw.is_open:
            self._raw.close()

    async def close(self) -> None:
        """Close it; hang up where the broker does not answer in time."""
        # The other one is private: a test fails if it is renamed. pika sends no close behind a
        # method that the broker does not answer, and heartbeats would keep the connection open.
        for hang_up in (self.abandon, self._raw._adapter_disconnect_stream):
            if not self.closed.done():
                hang_up()
                await asyncio.wait((self.closed,), timeout=CLOSE_LIMIT_S)

    def _set_blocked(self, reason: str | None) -> None:
        self.blocked = reason
        self.on_blocked()


async def connect(parameters: pika.ConnectionParameters) -> Connection:
    """Open one connection to one node. One that opens when nobody waits any more is closed.

    Raises:
        pika.exceptions.AMQPError, OSError, AMQPConnectorException: as `CONNECT_ERRORS`.
    """
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[None] = loop.create_future()
    closed: asyncio.Future[BaseException] = loop.create_future()

    def on_open(raw: AsyncioConnection) -> None:
        if opened.done():  # nobody waits for it any more
            raw.close()
        else:
            opened.set_result(None)

    def on_failed(_: AsyncioConnection, error: BaseException) -> None:
        if not opened.done():
            opened.set_exception(error)

    def on_closed(_: AsyncioConnection, reason: BaseException) -> None:
        if not closed.done():
            closed.set_result(reason)

    raw = AsyncioConnection(parameters, on_open, on_failed, on_closed, custom_ioloop=loop)
    try:
        async with asyncio.timeout(CONNECT_LIMIT_S):
            await opened
    except BaseException as error:
        if raw.is_open:  # it has opened at the same moment
            raw.close()
        if isinstance(error, TimeoutError):
            raise OSError(f"no connection within {CONNECT_LIMIT_S:g} s") from None
        raise
    return Connection(raw, closed)
