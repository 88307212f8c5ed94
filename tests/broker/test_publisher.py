import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pika
import pytest
from pika.adapters.blocking_connection import BlockingConnection

from fer_client.amqp.channel import ConnectionLostError
from fer_client.amqp.connection import connect
from fer_client.amqp.parameters import node_parameters
from fer_client.amqp.publisher import Confirmation, Message, Publisher
from fer_client.config import BrokerConfig
from tests.forwarder import Forwarder

pytestmark = pytest.mark.broker


def publish(broker: BrokerConfig, queue: str, count: int = 1) -> list[Confirmation]:
    """Publish messages all at once, and return what became of them, in their order."""

    async def run() -> list[Confirmation]:
        connection = await connect(node_parameters(broker, "test")[0])
        publisher = await Publisher.open(connection)
        messages = [Message(queue, b"x", pika.BasicProperties()) for _ in range(count)]
        confirmations = await asyncio.gather(*map(publisher.publish, messages))
        await connection.close()
        return confirmations

    return asyncio.run(run())


@contextmanager
def queue(broker: BrokerConfig, **arguments: object) -> Iterator[str]:
    with BlockingConnection(pika.URLParameters(broker.urls[0])) as connection:
        channel = connection.channel()
        name = channel.queue_declare("", exclusive=True, arguments=arguments).method.queue
        yield name


def test_message_in_a_queue_is_confirmed(broker: BrokerConfig) -> None:
    with queue(broker) as name:
        assert publish(broker, name, 500) == [Confirmation.CONFIRMED] * 500


def test_message_for_a_missing_queue_is_returned(broker: BrokerConfig) -> None:
    assert publish(broker, "nowhere", 50) == [Confirmation.RETURNED] * 50


def test_message_for_a_full_queue_is_refused(broker: BrokerConfig) -> None:
    limits = {"x-max-length": 3, "x-overflow": "reject-publish"}
    with queue(broker, **limits) as name:
        assert publish(broker, name, 3) == [Confirmation.CONFIRMED] * 3
        assert publish(broker, name) == [Confirmation.REFUSED]


def test_message_on_a_lost_line_is_neither(broker: BrokerConfig) -> None:
    async def run(line: Forwarder) -> None:
        connection = await connect(node_parameters(line.through(broker), "test")[0])
        publisher = await Publisher.open(connection)
        line.stall()
        confirmation = publisher.send(Message("nowhere", b"x", pika.BasicProperties()))
        line.cut()
        with pytest.raises(ConnectionLostError):
            await confirmation
        with pytest.raises(ConnectionLostError):
            await publisher.publish(Message("nowhere", b"x", pika.BasicProperties()))

    with Forwarder.to(broker) as line:
        asyncio.run(run(line))
