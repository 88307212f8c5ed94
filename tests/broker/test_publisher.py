import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pika
import pytest
from pika.adapters.blocking_connection import BlockingConnection
from pika.adapters.select_connection import SelectConnection

from fer_client.amqp.connection import Connection
from fer_client.amqp.publisher import Confirmation, Message, Publisher
from fer_client.config import BrokerConfig
from fer_client.errors import BrokerRefusedError
from tests.waiting import wait_until

pytestmark = pytest.mark.broker


class Publishing:
    """A connection with nothing but a publisher."""

    def __init__(self, broker: BrokerConfig) -> None:
        self.connection = Connection(broker, "test", self, prepare=lambda _: None)
        self.publisher: Publisher | None = None
        self.ready = threading.Event()
        self.refused: BrokerRefusedError | None = None
        self.lost = 0

    def on_open(self, connection: SelectConnection) -> None:
        self.publisher = Publisher(connection, on_ready=self.ready.set)

    def on_lost(self) -> None:
        self.ready.clear()
        self.lost += 1

    def on_refused(self, error: BrokerRefusedError) -> None:
        self.refused = error

    def publish(self, queue: str, count: int = 1) -> list[Confirmation]:
        """Publish messages all at once and wait for what became of them, in their order."""
        confirmations: dict[int, Confirmation] = {}

        def send() -> None:
            assert self.publisher is not None
            for number in range(count):
                message = Message(queue, b"x", pika.BasicProperties())
                self.publisher.publish(message, partial(confirmations.__setitem__, number))

        self.connection.call(send)
        wait_until(lambda: len(confirmations) == count, what="every message is confirmed")
        return [confirmations[number] for number in range(count)]


@contextmanager
def publishing(broker: BrokerConfig) -> Iterator[Publishing]:
    it = Publishing(broker)
    it.connection.start()
    try:
        assert it.ready.wait(20)
        yield it
    finally:
        it.connection.close()
        it.connection.join()


@contextmanager
def queue(broker: BrokerConfig, **arguments: object) -> Iterator[str]:
    with BlockingConnection(pika.URLParameters(broker.urls[0])) as connection:
        channel = connection.channel()
        name = channel.queue_declare("", exclusive=True, arguments=arguments).method.queue
        yield name


def test_message_in_a_queue_is_confirmed(broker: BrokerConfig) -> None:
    with publishing(broker) as it, queue(broker) as name:
        assert it.publish(name, 500) == [Confirmation.CONFIRMED] * 500


def test_message_for_a_missing_queue_is_returned(broker: BrokerConfig) -> None:
    with publishing(broker) as it, queue(broker) as name:
        assert it.publish("nowhere", 50) == [Confirmation.RETURNED] * 50
        assert it.publish(name) == [Confirmation.CONFIRMED]


def test_message_for_a_full_queue_is_refused(broker: BrokerConfig) -> None:
    limits = {"x-max-length": 3, "x-overflow": "reject-publish"}
    with publishing(broker) as it, queue(broker, **limits) as name:
        for _ in range(3):
            assert it.publish(name) == [Confirmation.CONFIRMED]
        assert it.publish(name) == [Confirmation.REFUSED]


def test_fault_of_a_callback_builds_the_connection_anew(broker: BrokerConfig) -> None:
    def fail() -> None:
        raise ValueError("a fault of ours")

    with publishing(broker) as it, queue(broker) as name:
        it.connection.call(fail)
        wait_until(lambda: it.lost == 1)
        assert it.ready.wait(20)
        assert it.publish(name) == [Confirmation.CONFIRMED]


def test_fault_of_the_library_builds_the_connection_anew(broker: BrokerConfig) -> None:
    def fail() -> None:
        raise AssertionError("a fault of pika's own")

    with publishing(broker) as it, queue(broker) as name:
        it.connection._loop.add_callback_threadsafe(fail)
        wait_until(lambda: it.lost == 1)
        assert it.ready.wait(20)
        assert it.publish(name) == [Confirmation.CONFIRMED]


def test_closing_while_the_broker_keeps_silent_ends_the_thread() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        it = Publishing(BrokerConfig((f"amqp://127.0.0.1:{silent.getsockname()[1]}/",)))
        it.connection.start()
        line, _ = silent.accept()
        it.connection.close()
        line.close()
        it.connection.join(20)
        assert not it.connection._thread.is_alive()


def test_connection_to_a_node_that_is_away_goes_on_to_the_next_one(broker: BrokerConfig) -> None:
    nodes = BrokerConfig(("amqp://127.0.0.1:1/", *broker.urls), broker.namespace)
    with publishing(nodes) as it, queue(broker) as name:
        assert it.publish(name) == [Confirmation.CONFIRMED]


def test_wrong_password_is_refused_and_not_tried_again(broker: BrokerConfig) -> None:
    wrong = broker.urls[0].replace(":guest@", ":wrong@")
    it = Publishing(BrokerConfig((wrong,)))
    it.connection.start()
    wait_until(lambda: it.refused, what="the refusal")
    it.connection.close()
    it.connection.join()
    assert "wrong" not in str(it.refused)
