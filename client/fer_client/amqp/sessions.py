"""One session after another, each on a connection of its own."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionClosedByClient

from fer_client.amqp.channel import ConnectionLostError
from fer_client.amqp.connection import Connection, connect
from fer_client.amqp.failures import ACCESS_REFUSED, CONNECT_ERRORS, explain, explain_refusal
from fer_client.amqp.parameters import node_parameters
from fer_client.backoff import Backoff
from fer_client.config import BrokerConfig
from fer_client.errors import BrokerRefusedError

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 8.0


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
    refused = connection.abandoned_for
    if isinstance(refused, ChannelClosedByBroker) and refused.reply_code == ACCESS_REFUSED:
        raise BrokerRefusedError(str(explain_refusal(refused))) from refused
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
