"""A consumer that stops under load gives nothing back to its queue."""

import asyncio
import contextlib

import pika
import pytest

from fer_client.amqp.connection import connect
from fer_client.amqp.consumer import Consumer, Delivery
from fer_client.amqp.parameters import node_parameters
from fer_client.amqp.publisher import Message, Publisher
from fer_client.amqp.topology import Topology
from fer_client.config import BrokerConfig
from tests.loops import declare_queues

pytestmark = pytest.mark.broker

DRAINS = 40
PREFETCH = 4


def test_40_drains_under_load_redeliver_nothing(broker: BrokerConfig) -> None:
    declare_queues(broker.urls[0], broker.namespace)
    redelivered, taken = asyncio.run(drain_again_and_again(broker))
    assert taken > DRAINS * PREFETCH
    assert redelivered == 0


async def drain_again_and_again(broker: BrokerConfig) -> tuple[int, int]:
    queue = Topology(broker.namespace).frames.name
    deliveries: list[bool] = []
    loading = asyncio.create_task(load(broker, queue))
    for _ in range(DRAINS):
        connection = await connect(node_parameters(broker, "test")[0])
        async with asyncio.TaskGroup() as tasks:

            def on_delivery(delivery: Delivery, tasks: asyncio.TaskGroup = tasks) -> None:
                deliveries.append(delivery.redelivered)
                tasks.create_task(work(delivery))

            before = len(deliveries)
            consumer = await Consumer.start(connection, queue, PREFETCH, on_delivery)
            while len(deliveries) < before + 2 * PREFETCH:
                await asyncio.sleep(0.001)
            await consumer.stop()
        await connection.close()
    loading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await loading
    return sum(deliveries), len(deliveries)


async def work(delivery: Delivery) -> None:
    await asyncio.sleep(0.002)
    delivery.ack()


async def load(broker: BrokerConfig, queue: str) -> None:
    """Keep some messages waiting."""
    connection = await connect(node_parameters(broker, "load")[0])
    publisher = await Publisher.open(connection)
    while True:
        message = Message(queue, bytes(1000), pika.BasicProperties(delivery_mode=2))
        await asyncio.gather(*(publisher.publish(message) for _ in range(20)))
        await asyncio.sleep(0.01)
