"""A broker, and a line to one, that a test may break."""

from collections.abc import Iterator

import pytest

from fer_client.amqp.blocking import connect
from fer_client.amqp.topology import Topology
from fer_client.config import BrokerConfig
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from tests.loops import declare_queues


@pytest.fixture(scope="module")
def node() -> Iterator[EmbeddedBroker]:
    """A node for one module, with the queues of the default namespace. Tests leave it at work."""
    with EmbeddedBroker() as own:
        # RabbitMQ 3.10 syncs what it knows of a new quorum queue only after some seconds: killed
        # sooner, the queue never finds its leader again. A clean restart puts that on disk.
        declare_queues(own.url)
        own.stop()
        own.start()
        yield own


@pytest.fixture
def own_broker(node: EmbeddedBroker) -> BrokerConfig:
    """That node as a worker knows it. Its queues are empty, whatever other tests left there."""
    broker = BrokerConfig((node.url,))
    if node.wait(timeout_s=0):  # a test has failed while it was away
        node.start()
    with connect(broker, "test", wait_s=10) as connection:
        channel = connection.channel()
        for queue in Topology(broker.namespace).declared:
            channel.queue_purge(queue.name)
    return broker
