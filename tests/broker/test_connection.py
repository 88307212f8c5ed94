"""Connections: one after another, their end, and what of them ends with them."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable

import pika
import pytest
from pika.adapters.utils import io_services_utils
from pika.exceptions import ChannelClosedByBroker

from fer_client.amqp.channel import ConnectionLostError
from fer_client.amqp.connection import CLOSE_LIMIT_S, READ_BYTES, Connection, connect
from fer_client.amqp.consumer import Consumer, Delivery
from fer_client.amqp.parameters import node_parameters
from fer_client.amqp.sessions import keep_connected
from fer_client.config import BrokerConfig
from fer_client.errors import BrokerRefusedError
from tests.forwarder import Forwarder
from tests.serving import Sender

Session = Callable[[Connection], Awaitable[None]]


async def in_sessions(broker: BrokerConfig, session: Session, until: asyncio.Event) -> None:
    async with asyncio.timeout(30):
        await keep_connected(broker, "test", session, until)


def test_pika_reads_as_much_as_we_say() -> None:
    (transport,) = io_services_utils._AsyncPlaintextTransport.__mro__[
        1:2
    ]  # where pika keeps the number
    assert transport._MAX_RECV_BYTES == READ_BYTES


@pytest.mark.broker
def test_a_lost_line_cancels_the_session_and_the_next_one_begins(
    broker: BrokerConfig, line: Forwarder
) -> None:
    ends: list[str] = []
    until = asyncio.Event()

    async def session(_: Connection) -> None:
        if ends:
            until.set()
            return
        line.cut()
        try:
            await asyncio.Future()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    asyncio.run(in_sessions(line.through(broker), session, until))
    assert ends == ["cancelled"]


@pytest.mark.broker
def test_a_fault_of_ours_builds_the_connection_anew(
    broker: BrokerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    until, sessions = asyncio.Event(), []

    async def session(connection: Connection) -> None:
        sessions.append(connection)
        if len(sessions) == 1:
            raise ValueError("a fault of ours")
        until.set()

    asyncio.run(in_sessions(broker, session, until))
    assert len(sessions) == 2
    assert "unexpected fault; connecting anew" in caplog.messages


@pytest.mark.broker
def test_a_fault_in_a_delivery_callback_builds_the_connection_anew(
    broker: BrokerConfig, sender: Sender
) -> None:
    until, sessions = asyncio.Event(), []

    def fail(_: Delivery) -> None:
        raise ValueError("a fault of ours")

    async def session(connection: Connection) -> None:
        sessions.append(connection)
        if len(sessions) == 2:
            until.set()
            return
        await Consumer.start(connection, f"{broker.namespace}.dead.x", 1, fail)
        await asyncio.Future()

    queue = f"{broker.namespace}.dead.x"
    sender.channel.queue_declare(queue)
    sender.channel.basic_publish("", queue, b"x")
    asyncio.run(in_sessions(broker, session, until))
    sender.channel.queue_delete(queue)
    assert len(sessions) == 2


@pytest.mark.broker
def test_a_node_that_is_away_leads_to_the_next_one(broker: BrokerConfig) -> None:
    nodes = BrokerConfig(("amqp://127.0.0.1:1/", *broker.urls), broker.namespace)
    until = asyncio.Event()

    async def session(_: Connection) -> None:
        until.set()

    asyncio.run(in_sessions(nodes, session, until))


@pytest.mark.broker
def test_a_wrong_password_is_refused_and_not_tried_again(broker: BrokerConfig) -> None:
    async def session(_: Connection) -> None:
        raise AssertionError("never")

    wrong = BrokerConfig((broker.urls[0].replace(":guest@", ":wrong@"),))
    with pytest.raises(BrokerRefusedError) as refusal:
        asyncio.run(in_sessions(wrong, session, asyncio.Event()))
    assert "wrong" not in str(refusal.value)


def test_what_is_told_to_end_does_not_wait_for_a_silent_broker() -> None:
    async def session(_: Connection) -> None:
        raise AssertionError("never")

    async def run(config: BrokerConfig) -> None:
        until = asyncio.Event()
        kept = asyncio.create_task(keep_connected(config, "test", session, until))
        await asyncio.sleep(0)
        until.set()
        async with asyncio.timeout(5):
            await kept

    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = BrokerConfig((f"amqp://127.0.0.1:{silent.getsockname()[1]}/",))
        asyncio.run(run(config))


@pytest.mark.broker
def test_closing_towards_a_silent_broker_ends_within_its_limit(
    broker: BrokerConfig, line: Forwarder
) -> None:
    async def run() -> float:
        connection = await connect(node_parameters(line.through(broker), "test")[0])
        line.stall()
        began = time.monotonic()
        await connection.close()
        return time.monotonic() - began

    assert asyncio.run(run()) < CLOSE_LIMIT_S + 1
    line.resume()


@pytest.mark.broker
def test_closing_hangs_up_on_a_silent_broker(broker: BrokerConfig, line: Forwarder) -> None:
    async def run() -> bool:
        connection = await connect(node_parameters(line.through(broker), "test")[0])
        line.stall()
        await connection.close()
        return connection.closed.done()

    assert asyncio.run(run())
    line.resume()


@pytest.mark.broker
def test_a_channel_that_the_broker_closes_says_why(broker: BrokerConfig) -> None:
    async def run() -> None:
        connection = await connect(node_parameters(broker, "test")[0])
        channel = await connection.open_channel(essential=False)
        with pytest.raises(ChannelClosedByBroker, match="no queue"):
            await channel.declare_queue("nowhere", passive=True)
        with pytest.raises(ConnectionLostError):
            await channel.declare_queue("nowhere", passive=True)
        await connection.close()
        with pytest.raises(ConnectionLostError):
            await connection.open_channel()

    asyncio.run(run())


@pytest.mark.broker
def test_an_ack_after_its_connection_reaches_no_other(broker: BrokerConfig, sender: Sender) -> None:
    queue = f"{broker.namespace}.kept"
    sender.channel.queue_declare(queue)
    sender.channel.basic_publish("", queue, b"x", pika.BasicProperties())

    async def take() -> Delivery:
        connection = await connect(node_parameters(broker, "test")[0])
        deliveries: asyncio.Queue[Delivery] = asyncio.Queue()
        await Consumer.start(connection, queue, 1, deliveries.put_nowait)
        delivery = await deliveries.get()
        await connection.close()
        delivery.ack()
        return delivery

    assert asyncio.run(take()).body == b"x"
    assert sender.take(queue)[1] == b"x"
    sender.channel.queue_delete(queue)
