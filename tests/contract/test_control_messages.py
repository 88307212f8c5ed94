"""What a supervisor makes of control messages that are none, over a real RabbitMQ."""

import pika
import pytest

from schemas import StatusQuery
from tests.contract.test_headers import RawHeaders, nested
from tests.serving import Sender
from tests.waiting import wait_until
from worker.config import BrokerConfig
from worker.control import ControlLink, ControlRequest
from worker.metrics import Meter

pytestmark = pytest.mark.broker

STATUS = b'{"kind":"status"}'


def test_hostile_control_messages_are_ignored(broker: BrokerConfig, sender: Sender) -> None:
    heard: list[ControlRequest] = []
    connected: list[bool] = []
    link = ControlLink(
        broker,
        "test/2",
        Meter(),
        on_command=heard.append,
        on_connected=lambda: connected.append(True),
        on_disconnected=lambda: None,
        on_refused=lambda _: None,
    )
    link.start()
    try:
        wait_until(lambda: connected, what="the supervisor listens")
        for body, properties in (
            (b"[" * 5_000_000, None),
            (b" " * 5_000 + STATUS, None),
            (b'{"kind":"scale","processes":1e999}', None),
            (b"\xff", None),
            (b'{"kind":"scale","change":1,"x":"' + b"\\u001b" * 100 + b'"}', None),
            (b"", RawHeaders(nested(20_000))),
            (STATUS, pika.BasicProperties(reply_to=f"{broker.namespace}.frames")),
        ):
            sender.channel.basic_publish(f"{broker.namespace}.control", "", body, properties)
        wait_until(lambda: heard, what="the last one is heard")
        assert [request.command for request in heard] == [StatusQuery()]
        assert len(connected) == 1
    finally:
        link.close()
