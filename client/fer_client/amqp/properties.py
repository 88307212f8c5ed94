"""Message properties as anyone may have sent them, read so that none can end a connection.

pika 1.4.4 reads headers by recursion, and raises at a time in the year 300,000 or at a number that
is none. That ends the connection, the broker delivers the message again, and one message has
stopped every worker. Here headers that cannot be read are replaced by a mark, and the message is
refused like any other bad one.
"""

from collections.abc import Mapping
from typing import Any, Self

import pika
from pika import BasicProperties, data

UNREADABLE = "x-unreadable-headers"
"""The only header of a message whose own ones cannot be read."""

MAX_NESTING = 8
"""Tables and lists within each other. The deepest that a broker makes, `x-death`, has four."""


class Properties(BasicProperties):  # type: ignore[misc]  # pika is not typed
    """Properties that can always be read."""

    headers: dict[str, Any] | None

    def decode(self, encoded: bytes, offset: int = 0) -> Self:
        """Read them from a content header frame, as pika calls it."""
        try:
            super().decode(encoded, offset)
            readable = _nests_at_most(MAX_NESTING, self.headers)
        except Exception:  # pika raises whatever it stumbles over
            super().decode(_without_headers(encoded[offset:]))
            readable = False
        if not readable:
            self.headers = {UNREADABLE: True}
        return self


def size_of(headers: Mapping[str, Any]) -> int:
    """Bytes that headers take on the wire.

    Raises:
        Exception: they cannot be written, as whatever pika raises then.
    """
    return int(data.encode_table([], dict(headers))) if headers else 0


def text_of(value: str | bytes | None) -> str | None:
    """Read a short string. AMQP wants UTF-8; pika hands anything else over as bytes."""
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    return value or None


def _nests_at_most(levels: int, value: object) -> bool:
    match value:
        case dict():
            inner = list(value.values())
        case list():
            inner = value
        case _:
            return True
    return levels > 0 and all(_nests_at_most(levels - 1, item) for item in inner)


def _without_headers(encoded: bytes) -> bytes:
    """Cut the table of headers out of encoded properties (AMQP 0-9-1, 4.2.6.1)."""
    flags = int.from_bytes(encoded[:2])
    at = 2
    for flag in (BasicProperties.FLAG_CONTENT_TYPE, BasicProperties.FLAG_CONTENT_ENCODING):
        if flags & flag:
            at += 1 + encoded[at]
    end = at + 4 + int.from_bytes(encoded[at : at + 4])
    flags &= ~BasicProperties.FLAG_HEADERS
    return int(flags).to_bytes(2) + encoded[2:at] + encoded[end:]


# pika looks up here what it reads properties with, for every connection of this process.
pika.spec.props[BasicProperties.INDEX] = Properties
