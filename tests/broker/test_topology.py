import logging

import pika
import pytest
from pika.adapters.blocking_connection import BlockingConnection

from fer_client.amqp.topology import Topology
from fer_client.config import BrokerConfig
from tests.engines import SizeEngine, plain_jpeg
from tests.loops import declare_queues
from tests.serving import Sender, request, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.broker


def test_declaring_twice_changes_nothing(broker: BrokerConfig) -> None:
    parameters, topology = pika.URLParameters(broker.urls[0]), Topology(broker.namespace)
    for _ in range(2):
        declare_queues(broker.urls[0], broker.namespace)
    with BlockingConnection(parameters) as connection:
        for queue in topology.queues:
            connection.channel().queue_declare(queue, passive=True)


def test_queue_with_other_arguments_is_used_as_it_is_with_one_warning(
    broker: BrokerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    topology = Topology(broker.namespace)
    with BlockingConnection(pika.URLParameters(broker.urls[0])) as connection:
        connection.channel().queue_declare(topology.frames.name, durable=True)
    with caplog.at_level(logging.WARNING), serving(broker, SizeEngine()):
        declare_queues(broker.urls[0], broker.namespace)
        with Sender(broker.urls[0], broker.namespace) as sender:
            sent = sender.send(request(plain_jpeg(30)))
            assert sender.receive(sent).faces_areas == (1200,)
    warnings = [text for text in caplog.messages if "used as it is" in text]
    assert len(warnings) == 1
    assert topology.frames.name in warnings[0]


def look(sender: Sender, queue: str) -> bytes | None:
    method, _, body = sender.channel.basic_get(queue)
    if method is not None:
        sender.channel.basic_nack(method.delivery_tag, requeue=True)
    assert body is None or isinstance(body, bytes)
    return body


@pytest.mark.parametrize("name", ["frames.undeliverable", "frames.dead", "results"])
def test_message_is_kept_however_often_it_is_looked_at(
    broker: BrokerConfig, sender: Sender, name: str
) -> None:
    queue = f"{broker.namespace}.{name}"
    sender.channel.basic_publish("", queue, b"kept")
    for _ in range(50):
        found = wait_until(lambda: look(sender, queue), what="it is back in its queue")
        assert found == b"kept"
    assert sender.take(queue)[1] == b"kept"


@pytest.mark.parametrize("name", ["frames", "frames.dead", "control", "control.abc"])
def test_queues_of_the_workers_are_known(name: str) -> None:
    assert Topology("site-a").is_workers_own(f"site-a.{name}")


@pytest.mark.parametrize("name", ["fer.frames", "site-a.framework", "site-a.replies.1", "mine"])
def test_queues_of_others_are_left_to_them(name: str) -> None:
    assert not Topology("site-a").is_workers_own(name)
