"""Queues of version 0.1.0: nobody reads them any more, and so nobody starts beside them."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping

import pika
import pytest
from pika.adapters.blocking_connection import BlockingConnection

from fer_client.amqp.connection import connect
from fer_client.amqp.parameters import node_parameters
from fer_client.amqp.topology import Topology, declare, redeclare
from fer_client.config import BrokerConfig
from fer_client.errors import BrokerRefusedError
from tests.loops import declare_queues

pytestmark = pytest.mark.broker


MakeQueue = Callable[[str, Mapping[str, str | int]], None]


@pytest.fixture
def make_queue(broker: BrokerConfig) -> Iterator[MakeQueue]:
    """Makes queues of the namespace, which are deleted afterwards."""
    with BlockingConnection(pika.URLParameters(broker.urls[0])) as connection:
        channel, made = connection.channel(), []

        def make(name: str, arguments: Mapping[str, str | int]) -> None:
            made.append(name)
            channel.queue_declare(name, durable=True, arguments=dict(arguments))

        yield make
        for name in made:
            channel.queue_delete(name)


def arguments_of_0_1(broker: BrokerConfig) -> dict[str, str | int]:
    """What `fer.frames` was declared with; its dead letters went to a queue by its name."""
    return {
        **Topology(broker.namespace).frames.arguments,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": f"{broker.namespace}.frames.obituaries",
    }


def queues_there(broker: BrokerConfig) -> set[str]:
    there = set()
    with BlockingConnection(pika.URLParameters(broker.urls[0])) as connection:
        for queue in Topology(broker.namespace).queues:
            channel = connection.channel()
            try:
                channel.queue_declare(queue, passive=True)
            except pika.exceptions.ChannelClosedByBroker:
                continue
            there.add(queue)
    return there


def test_frames_that_dead_letter_elsewhere_are_refused(
    broker: BrokerConfig, make_queue: MakeQueue
) -> None:
    make_queue(f"{broker.namespace}.frames", arguments_of_0_1(broker))
    with pytest.raises(BrokerRefusedError) as refusal:
        declare_queues(broker.urls[0], broker.namespace)
    assert refusal.value.exit_code == 3
    assert f"{broker.namespace}.frames is of version 0.1.0" in str(refusal.value)
    assert "rabbitmqctl delete_queue" in str(refusal.value)


@pytest.mark.parametrize("name", ["frames.suspects", "frames.obituaries"])
def test_a_renamed_queue_left_over_is_refused(
    broker: BrokerConfig, make_queue: MakeQueue, name: str
) -> None:
    queue = f"{broker.namespace}.{name}"
    make_queue(queue, {"x-queue-type": "quorum"})
    with pytest.raises(BrokerRefusedError, match=f"{queue} is of version 0.1.0"):
        declare_queues(broker.urls[0], broker.namespace)
    assert not queues_there(broker)  # nothing new was made beside it


def test_old_queues_are_looked_for_once_per_connection(
    broker: BrokerConfig, make_queue: MakeQueue
) -> None:
    topology = Topology(broker.namespace)

    async def declare_before_and_after() -> None:
        connection = await connect(node_parameters(broker, "test")[0])
        await declare(connection, topology)
        make_queue(f"{broker.namespace}.frames.suspects", {"x-queue-type": "quorum"})
        await redeclare(connection, topology)
        await connection.close()

    asyncio.run(declare_before_and_after())
    with pytest.raises(BrokerRefusedError):
        declare_queues(broker.urls[0], broker.namespace)


@pytest.mark.parametrize(
    "changes",
    [{"x-max-length-bytes": 1_000_000}, {"x-delivery-limit": 7}],
    ids=["another bound", "another delivery limit"],
)
def test_other_arguments_are_used_with_a_warning(
    broker: BrokerConfig,
    make_queue: MakeQueue,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, int],
) -> None:
    frames = Topology(broker.namespace).frames
    make_queue(frames.name, {**frames.arguments, **changes})
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            declare_queues(broker.urls[0], broker.namespace)
    warnings = [text for text in caplog.messages if f"queue {frames.name} is used as it is" in text]
    assert len(warnings) == 1


def test_a_queue_without_dead_letters_is_used_as_it_is(
    broker: BrokerConfig, make_queue: MakeQueue
) -> None:
    make_queue(f"{broker.namespace}.frames", {"x-queue-type": "quorum"})
    declare_queues(broker.urls[0], broker.namespace)
    assert queues_there(broker) == set(Topology(broker.namespace).queues)
