"""Connecting on a loop: refusals, silence, pauses, and what ends a session."""

import asyncio
import logging
import time
from itertools import pairwise

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker

from fer_client.amqp.channel import ConnectionLostError
from fer_client.amqp.connection import Connection, connect
from fer_client.amqp.consumer import Consumer, Delivery
from fer_client.amqp.failures import CONNECT_ERRORS, explain
from fer_client.amqp.parameters import node_parameters
from fer_client.amqp.publisher import Message, Publisher
from fer_client.amqp.sessions import FIRST_PAUSE_S, keep_connected
from fer_client.backoff import Backoff
from fer_client.config import BrokerConfig
from fer_client.errors import BrokerRefusedError
from tests.forwarder import Forwarder
from tests.serving import Sender


def test_pauses_grow_to_the_longest_and_begin_anew() -> None:
    pauses = Backoff(1.0, 8.0)
    for expected in (1, 2, 4, 8, 8):
        assert 0.8 * expected <= pauses.next() <= 1.2 * expected
    pauses.reset()
    assert pauses.next() <= 1.2


@pytest.mark.broker
def test_a_login_that_hangs_ends(broker: BrokerConfig, line: Forwarder) -> None:
    async def run() -> None:
        parameters = node_parameters(line.through(broker), "test")[0]
        parameters.stack_timeout = 1
        line.stall()
        with pytest.raises(CONNECT_ERRORS) as error:
            await connect(parameters)
        assert explain(error.value) == "it takes the connection and then says nothing"

    asyncio.run(run())
    line.resume()


@pytest.mark.broker
def test_a_connection_that_opens_too_late_is_closed(broker: BrokerConfig, line: Forwarder) -> None:
    async def run() -> None:
        line.stall()
        connecting = asyncio.create_task(connect(node_parameters(line.through(broker), "late")[0]))
        while line.accepted == 0:
            await asyncio.sleep(0.01)
        connecting.cancel()
        await asyncio.wait((connecting,))
        line.resume()
        async with asyncio.timeout(10):
            while line.open_connections:
                await asyncio.sleep(0.01)

    asyncio.run(run())


@pytest.mark.broker
def test_a_session_that_may_not_do_its_work_is_refused(broker: BrokerConfig) -> None:
    async def session(connection: Connection) -> None:
        channel = await connection.open_channel()
        await channel.declare_queue("amq.ours")  # 403: the broker keeps these names to itself

    with pytest.raises(BrokerRefusedError, match=r"amq\.ours"):
        asyncio.run(keep_connected(broker, "test", session, asyncio.Event()))


@pytest.mark.broker
def test_a_session_that_may_not_publish_where_it_does_is_refused(
    broker: BrokerConfig, sender: Sender
) -> None:
    exchange, until, sessions = f"{broker.namespace}.internal", asyncio.Event(), 0
    sender.channel.exchange_declare(exchange, internal=True)  # 403 for who publishes there

    async def session(connection: Connection) -> None:
        nonlocal sessions
        sessions += 1
        if sessions == 2:
            until.set()
            return
        publisher = await Publisher.open(connection)
        await publisher.publish(Message("any", b"x", pika.BasicProperties(), exchange))

    with pytest.raises(BrokerRefusedError, match=rf"internal exchange '{exchange}'"):
        asyncio.run(keep_connected(broker, "test", session, until))
    sender.channel.exchange_delete(exchange)


@pytest.mark.broker
def test_a_connection_that_lived_begins_with_a_short_pause(broker: BrokerConfig) -> None:
    began: list[float] = []
    until = asyncio.Event()

    async def session(_: Connection) -> None:
        began.append(time.monotonic())
        match len(began):
            case 4:
                await asyncio.sleep(3)  # longer than the pause that would come next
            case 5:
                until.set()
        raise ConnectionLostError("by this test")

    asyncio.run(keep_connected(broker, "test", session, until))
    pauses = [later - earlier for earlier, later in pairwise(began)]
    assert pauses[2] > 3 * FIRST_PAUSE_S
    assert pauses[3] - 3 < pauses[2]


@pytest.mark.broker
def test_a_deleted_queue_ends_the_session_of_its_consumer(
    broker: BrokerConfig, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    queue, until, sessions = f"{broker.namespace}.short", asyncio.Event(), 0

    async def session(connection: Connection) -> None:
        nonlocal sessions
        sessions += 1
        if sessions == 2:
            until.set()
            return
        sender.channel.queue_declare(queue)
        await Consumer.start(connection, queue, 1, lambda _: None)
        sender.channel.queue_delete(queue)
        await asyncio.Future()

    with caplog.at_level(logging.WARNING, "fer_client"):
        asyncio.run(keep_connected(broker, "test", session, until))
    assert sessions == 2
    assert f"the broker ends the consumer of {queue}; connecting anew" in caplog.messages


@pytest.mark.broker
def test_a_fault_of_the_broker_is_logged_with_its_reason(
    broker: BrokerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    until, sessions = asyncio.Event(), 0

    async def session(connection: Connection) -> None:
        nonlocal sessions
        sessions += 1
        if sessions == 2:
            until.set()
            return
        channel = await connection.open_channel()
        with pytest.raises(ChannelClosedByBroker):
            await channel.declare_queue(f"{broker.namespace}.none", passive=True)
        await Consumer.start(connection, f"{broker.namespace}.none", 1, lambda _: None)

    with caplog.at_level(logging.WARNING, "fer_client"):
        asyncio.run(keep_connected(broker, "test", session, until))
    assert sessions == 2


@pytest.mark.broker
def test_acks_are_kept_back_until_the_consumer_has_stopped(
    broker: BrokerConfig, sender: Sender
) -> None:
    """While a consumer stops nothing is acked; afterwards an ack goes straight through."""
    queue = f"{broker.namespace}.stopping"
    sender.channel.queue_declare(queue, auto_delete=False)
    for number in range(6):
        sender.channel.basic_publish("", queue, str(number).encode(), pika.BasicProperties())

    async def run() -> list[bytes]:
        connection = await connect(node_parameters(broker, "test")[0])
        taken: list[Delivery] = []
        consumer = await Consumer.start(connection, queue, 4, taken.append)
        while len(taken) < 4:
            await asyncio.sleep(0.01)
        stopping = asyncio.create_task(consumer.stop())
        await asyncio.sleep(0)
        for delivery in taken[:2]:
            delivery.ack()
        await stopping
        for delivery in taken[2:]:
            delivery.ack()
        await connection.close()
        return [delivery.body for delivery in taken]

    assert asyncio.run(run()) == [b"0", b"1", b"2", b"3"]
    assert [sender.take(queue)[1] for _ in range(2)] == [b"4", b"5"]
    sender.channel.queue_delete(queue)
