"""A broker, and a line to one, that a test may break."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fer_client.config import BrokerConfig
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from tests.loops import declare_queues


@contextmanager
def node_with_queues() -> Iterator[EmbeddedBroker]:
    """A node of one's own, with the queues of the default namespace."""
    with EmbeddedBroker() as own:
        # RabbitMQ 3.10 syncs what it knows of a new quorum queue only after some seconds: killed
        # sooner, the queue never finds its leader again. A clean restart puts that on disk.
        declare_queues(own.url)
        own.stop()
        own.start()
        yield own


@pytest.fixture
def node() -> Iterator[EmbeddedBroker]:
    """A node of a test's own."""
    with node_with_queues() as own:
        yield own


@pytest.fixture
def own_broker(node: EmbeddedBroker) -> BrokerConfig:
    """That node as a worker knows it."""
    return BrokerConfig((node.url,))
