"""One connection to the broker on the running loop, and one after another where it must last.

What lives on a connection (channels, consumers, publishers) is never mended: when any of it breaks
the connection is closed, and a new session builds all of it anew on the next one.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.adapters.utils.io_services_utils import _AsyncTransportBase
from pika.exceptions import AMQPError, ConnectionClosedByClient

import fer_client.amqp.properties  # noqa: F401 - from here on pika can read all that it is sent
from fer_client.amqp import tls
from fer_client.amqp.channel import Channel, ConnectionLostError
from fer_client.amqp.failures import CONNECT_ERRORS, explain, explain_refusal
from fer_client.backoff import Backoff
from fer_client.config import NO_TLS_FILES, BrokerConfig, mask_password
from fer_client.errors import BrokerRefusedError, FerWorkerError

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 8.0

CONNECT_LIMIT_S = 30.0
"""How long connecting to one node may take, with all addresses that its name has."""

ANSWER_LIMIT_S = 10.0
"""How long the broker may take for an answer, unless an alarm keeps it from reading on."""

CLOSE_LIMIT_S = 2.0
"""How long a connection may take to close. A dead broker, or one in alarm, says nothing."""

READ_BYTES = 256 * 1024
"""Taken from a socket at once. pika's own 4 KiB cost 25 turns of the loop for 100 kB."""

_AsyncTransportBase._MAX_RECV_BYTES = READ_BYTES  # private: a test fails if it is renamed


def node_parameters(config: BrokerConfig, name: str) -> list[pika.URLParameters]:
    """Connection parameters of every node; `name` is what the broker's operator sees.

    Raises:
        FerWorkerError: the query of a URL has something that pika cannot read, or a TLS file is
            not one.
    """
    return [_parameters(url, config, name) for url in config.urls]


def _parameters(url: str, config: BrokerConfig, name: str) -> pika.URLParameters:
    try:
        parameters = pika.URLParameters(url)
    except (TypeError, ValueError, SyntaxError, OSError):
        # What pika says of it may repeat a password.
        raise FerWorkerError(f"not an AMQP URL: {mask_password(url)}") from None
    if parameters.ssl_options is not None and config.tls != NO_TLS_FILES:
        parameters.ssl_options = pika.SSLOptions(tls.client_context(config.tls))
    parameters.heartbeat = config.heartbeat_s
    parameters.connection_attempts = 1
    parameters.socket_timeout = 5
    parameters.stack_timeout = 10
    parameters.blocked_connection_timeout = None  # an alarm is waited out, never a hang-up
    parameters.client_properties = {"connection_name": f"fer-worker {name}"}
    return parameters


def warn_if_exposed(config: BrokerConfig) -> None:
    """Say once where passwords and frames travel in the clear."""
    if config.exposed_hosts:
        hosts = ", ".join(config.exposed_hosts)
        log.warning("password and frames go to %s in the clear; amqps:// would protect them", hosts)


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
        self._raw = raw
        raw.add_on_connection_blocked_callback(
            lambda _, frame: self._set_blocked(frame.method.reason)
        )
        raw.add_on_connection_unblocked_callback(lambda *_: self._set_blocked(None))

    @property
    def user(self) -> str | None:
        """Whom the broker takes us for."""
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
            channel = Channel(raw, self, essential=essential)
            if not opened.done():
                opened.set_result(channel)

        if not self._raw.is_open:
            raise ConnectionLostError("the connection is closed")
        self._raw.channel(on_open_callback=on_open)
        channel: Channel = await self.answer(opened)
        return channel

    async def answer(self, future: "asyncio.Future[Any]") -> Any:
        """Await what the broker is to answer.

        Raises:
            ConnectionLostError: the connection is gone, or the broker does not answer.
        """
        while True:
            await asyncio.wait(
                (future, self.closed),
                timeout=ANSWER_LIMIT_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if future.done():
                return future.result()
            if self.closed.done():
                raise ConnectionLostError(explain(self.closed.result()))
            if self.blocked is None:
                log.warning("no answer within %g s; connecting anew", ANSWER_LIMIT_S)
                self.abandon()
                raise ConnectionLostError(f"no answer within {ANSWER_LIMIT_S:g} s")

    async def wait_closed(self) -> None:
        """Wait until the connection is gone."""
        await asyncio.wait((self.closed,))

    def abandon(self) -> None:
        """Begin to close it: something of it is broken."""
        if self._raw.is_open:
            self._raw.close()

    async def close(self) -> None:
        """Close it, within a limit."""
        self.abandon()
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
    except TimeoutError:
        raise OSError(f"no connection within {CONNECT_LIMIT_S:g} s") from None
    except asyncio.CancelledError:
        if raw.is_open:  # it has opened at the same moment
            raw.close()
        raise
    return Connection(raw, closed)


async def keep_connected(
    config: BrokerConfig,
    name: str,
    session: Callable[[Connection], Awaitable[None]],
    until: asyncio.Event,
) -> None:
    """Run one session after another, each on a connection of its own, until one returns.

    The session of a lost connection is cancelled.

    Args:
        config: where the broker is; its nodes are tried in turn.
        name: what the broker's operator sees.
        session: uses a connection. It may return only once `until` is set.
        until: once it is set no connection is made any more.

    Raises:
        BrokerRefusedError: the broker refuses us.
    """
    nodes = node_parameters(config, name)
    pauses = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
    attempts = 0
    while not until.is_set():
        lived_s = 0.0
        try:
            connection = await _connect_unless(until, nodes[attempts % len(nodes)])
            if connection is None:
                return
            log.info("connected to %s", config)
            attempts, opened = 0, time.monotonic()
            await _run_session(connection, session)
            lived_s = time.monotonic() - opened
        except CONNECT_ERRORS as error:
            if (refusal := explain_refusal(error)) is not None:
                raise BrokerRefusedError(f"{refusal} ({config})") from error
            if attempts == 0:
                log.warning("no broker at %s: %s; trying again", config, explain(error))
            attempts += 1
        pause_s = pauses.next()
        if lived_s > pause_s:
            pauses.reset()
            pause_s = pauses.next()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await until.wait()


async def _run_session(
    connection: Connection, session: Callable[[Connection], Awaitable[None]]
) -> None:
    """Run a session until it returns or its connection is lost.

    Raises:
        BrokerRefusedError: the broker refuses what the session needs.
    """
    running = asyncio.ensure_future(session(connection))
    try:
        await asyncio.wait((running, connection.closed), return_when=asyncio.FIRST_COMPLETED)
    finally:
        lost = connection.closed.result() if connection.closed.done() else None
        running.cancel()
        await asyncio.wait((running,))
        await connection.close()
    error = None if running.cancelled() else running.exception()
    for cause in _causes(error):
        if isinstance(cause, BrokerRefusedError):
            raise cause
        if (refusal := explain_refusal(cause)) is not None:
            raise BrokerRefusedError(refusal) from cause
        if isinstance(cause, AMQPError):
            log.warning("%s; connecting anew", explain(cause))
        elif not isinstance(cause, ConnectionLostError):
            log.error("unexpected fault; connecting anew", exc_info=cause)
    if lost is not None and not isinstance(lost, ConnectionClosedByClient):
        if (refusal := explain_refusal(lost)) is not None:
            raise BrokerRefusedError(refusal) from lost
        log.warning("the connection is lost: %s; connecting anew", explain(lost))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exceptions in a group, and in the groups within it."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    elif error is not None:
        yield error


async def _connect_unless(
    until: asyncio.Event, parameters: pika.ConnectionParameters
) -> Connection | None:
    """Connect, or return None as soon as `until` is set."""
    connecting = asyncio.ensure_future(connect(parameters))
    stopping = asyncio.ensure_future(until.wait())
    try:
        await asyncio.wait((connecting, stopping), return_when=asyncio.FIRST_COMPLETED)
        return connecting.result() if connecting.done() else None
    except asyncio.CancelledError:
        connecting.add_done_callback(_abandon)
        raise
    finally:
        connecting.cancel()
        stopping.cancel()


def _abandon(connecting: "asyncio.Task[Connection]") -> None:
    """Close what was connected when nobody waited for it any more."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().abandon()
