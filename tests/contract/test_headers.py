"""Headers that were made to end a connection: refused like any other bad message."""

import struct
from typing import Any

import msgpack
import pika
import pytest

from fer_client.amqp.properties import UNREADABLE, Properties
from fer_client.config import BrokerConfig
from fer_schemas import ErrorCode, Status
from tests.engines import SizeEngine, plain_jpeg
from tests.serving import Sender, request, serving, supervising

CONTENT_TYPE = "application/msgpack"
REQUEST = request(plain_jpeg(60))


class RawHeaders(pika.BasicProperties):  # type: ignore[misc]  # pika is not typed
    """Properties with a table of headers that pika itself would not write."""

    def __init__(self, table: bytes, **properties: Any) -> None:
        super().__init__(content_type=CONTENT_TYPE, **properties)
        self._table = len(table).to_bytes(4) + table

    def encode(self) -> list[bytes]:
        plain = b"".join(super().encode())
        flags = int.from_bytes(plain[:2]) | self.FLAG_HEADERS
        at = 3 + len(CONTENT_TYPE)
        return [flags.to_bytes(2) + plain[2:at] + self._table + plain[at:]]


def entry(kind: bytes, value: bytes, key: bytes = b"key") -> bytes:
    return bytes([len(key)]) + key + kind + value


def nested(levels: int) -> bytes:
    table = b""
    for _ in range(levels):
        table = entry(b"F", len(table).to_bytes(4) + table, key=b"")
    return table


def in_lists(levels: int) -> bytes:
    value = b"V"
    for _ in range(levels):
        value = b"A" + len(value).to_bytes(4) + value
    return b"\x03key" + value


HOSTILE = {
    "tables nested 20,000 deep": nested(20_000),
    "tables nested 9 deep": nested(9),
    "lists nested 20,000 deep": in_lists(20_000),
    "a time beyond the calendar": entry(b"T", b"\x7f" + b"\xff" * 7),
    "nearly a whole frame": entry(b"S", (130_000).to_bytes(4) + b"x" * 130_000),
    "more than a worker takes": entry(b"x", (17_000).to_bytes(4) + b"x" * 17_000),
}


@pytest.mark.broker
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers_are_answered_with_their_code_and_the_body_is_kept(
    broker: BrokerConfig, sender: Sender, name: str
) -> None:
    properties = RawHeaders(HOSTILE[name], correlation_id="c", reply_to=sender.reply_to)
    body = msgpack.packb(REQUEST)
    with serving(broker, SizeEngine()) as service:
        sender.channel.basic_publish(
            f"{broker.namespace}.requests", "frames", body, properties, mandatory=True
        )
        result = sender.receive("c")
        kept, kept_body = sender.take(f"{broker.namespace}.frames.dead")
        assert sender.receive(sender.send(REQUEST)).status is Status.SUCCESS
        assert service.progress.consuming
    assert [error.code for error in result.errors] == [ErrorCode.INVALID_HEADERS]
    assert not result.redelivered
    assert kept.headers is not None
    assert kept.headers["x-reason"] == "invalid_headers"
    assert kept_body == body


@pytest.mark.broker
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers_of_an_expired_request_do_not_stop_a_supervisor(
    broker: BrokerConfig, sender: Sender, name: str
) -> None:
    properties = RawHeaders(
        HOSTILE[name], correlation_id="c", reply_to=sender.reply_to, expiration="1"
    )
    with supervising(broker):
        sender.channel.basic_publish(
            f"{broker.namespace}.requests", "frames", msgpack.packb(REQUEST), properties
        )
        assert sender.receive("c").status in {Status.EXPIRED, Status.ERROR}


@pytest.mark.broker
def test_headers_within_the_limit_are_kept(broker: BrokerConfig, sender: Sender) -> None:
    headers = {"traceparent": "00-1", "long": "x" * 16_000, "nested": {"list": [1, {"deep": True}]}}
    with serving(broker, SizeEngine()):
        sender.receive(sender.send(b"\xc1", headers=headers))
        kept, _ = sender.take(f"{broker.namespace}.frames.dead")
    assert kept.headers is not None
    assert {name: kept.headers[name] for name in headers} == headers


@pytest.mark.parametrize(
    "table",
    [
        entry(b"d", struct.pack(">d", float("nan"))),  # RabbitMQ refuses these two by itself
        entry(b"f", struct.pack(">f", float("inf"))),
        entry(b"?", b""),
        entry(b"S", (99).to_bytes(4)),
        b"\xff",
    ],
)
def test_headers_that_are_none_are_marked(table: bytes) -> None:
    written = b"".join(RawHeaders(table, correlation_id="c").encode())
    read = Properties().decode(written)
    assert read.headers == {UNREADABLE: True}
    assert read.correlation_id == "c"


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_other_properties_are_read_where_headers_cannot_be(encoding: str | None) -> None:
    properties = RawHeaders(nested(5000), correlation_id="c", reply_to="r", timestamp=7)
    written = b"".join(properties.encode())
    if encoding is not None:
        at = 3 + len(CONTENT_TYPE)
        flags = int.from_bytes(written[:2]) | pika.BasicProperties.FLAG_CONTENT_ENCODING
        text = bytes([len(encoding)]) + encoding.encode()
        written = flags.to_bytes(2) + written[2:at] + text + written[at:]
    read = Properties().decode(b"before" + written, 6)
    assert read.headers == {UNREADABLE: True}
    assert (read.content_type, read.content_encoding) == (CONTENT_TYPE, encoding)
    assert (read.correlation_id, read.reply_to, read.timestamp) == ("c", "r", 7)
