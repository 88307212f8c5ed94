"""A broker that goes away and comes back on the same data."""

import threading
from collections.abc import Callable, Iterator

import pika
import pytest

from tests.engines import SizeEngine, plain_jpeg
from tests.serving import serving, supervising
from tests.waiting import wait_until
from worker.broker.embedded import EmbeddedBroker
from worker.broker.topology import Topology, declare
from worker.client import FerClient
from worker.config import BrokerConfig
from worker.operator import Operator

pytestmark = pytest.mark.broker


@pytest.fixture
def node() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as own:
        # RabbitMQ 3.10 syncs what it knows of a new quorum queue only after some seconds: killed
        # sooner, the queue never finds its leader again. A clean restart puts that on disk.
        declare(pika.URLParameters(own.url), Topology())
        own.stop()
        own.start()
        yield own


@pytest.mark.parametrize("end", [EmbeddedBroker.stop, EmbeddedBroker.kill], ids=["stop", "kill"])
def test_every_batch_is_answered_over_a_restart_of_the_broker(
    node: EmbeddedBroker, end: Callable[[EmbeddedBroker], None]
) -> None:
    broker = BrokerConfig((node.url,))
    widths = range(30, 230)
    with serving(broker, SizeEngine()) as service, supervising(broker), FerClient(broker) as client:
        futures = {width: client.submit([plain_jpeg(width)]) for width in widths[:100]}
        wait_until(lambda: service.progress.batches > 10)
        end(node)
        wait_until(lambda: not service.progress.consuming)
        # What is submitted while there is no broker is sent once there is one.
        futures |= {width: client.submit([plain_jpeg(width)]) for width in widths[100:]}
        node.start()
        for width, future in futures.items():
            assert future.result(60).faces_areas == (width * 40,)
        assert service.progress.consuming


def test_commands_wait_for_a_broker_that_is_still_starting(node: EmbeddedBroker) -> None:
    node.stop()
    starting = threading.Thread(target=node.start)
    starting.start()
    with Operator(BrokerConfig((node.url,)), wait_s=60) as operator:
        assert operator.statuses() == []
    starting.join()
