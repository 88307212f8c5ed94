"""What is fed with bytes: each target raises if a promise about hostile input is broken."""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import pika

from fer_client.amqp.codec import encode_request
from fer_client.amqp.consumer import Delivery
from fer_client.amqp.properties import Properties
from fer_client.amqp.topology import Topology
from fer_client.errors import FrameError, MessageError
from fer_schemas import ContentType, ErrorCode
from fer_worker.inference.jpeg.decoding import count_pixels, decode_frame
from fer_worker.limits import FrameLimits, Limits, ReplyPattern
from fer_worker.serving.dead_letter import dead_letter_copy
from fer_worker.serving.request_checks import RequestChecks
from fer_worker.serving.request_decoder import decode_request

TOPOLOGY = Topology()
LIMITS = Limits(replies=ReplyPattern(r"fer\.replies\.{user_id}\..+"))
FRAME_LIMITS = FrameLimits(max_pixels=65_536, damaged="analyze")

LARGEST_FRAME_BYTES = 131_072
LONGEST_TEXT = 200

BODIES = (ContentType.MSGPACK, ContentType.JSON)


def check_text(error: MessageError | FrameError) -> None:
    """What a sender is told is short, and so are the headers that repeat it."""
    assert len(error.message) <= LONGEST_TEXT


def codec(data: bytes) -> None:
    """A body: the first byte chooses msgpack or JSON."""
    if not data:
        return
    try:
        request = decode_request(data[1:], BODIES[data[0] % 2], {}, LIMITS)
    except MessageError as error:
        check_text(error)
        return
    again = decode_request(encode_request(request), ContentType.MSGPACK, {}, LIMITS)
    assert again == request


def properties(data: bytes) -> None:
    """A table of headers, as it is on the wire within the other properties of a message."""
    delivery = delivered(data)
    assert (delivery.correlation_id, delivery.reply_to) == ("c", "fer.replies.door.1")
    longest = MessageError(ErrorCode.INVALID_REQUEST, "x" * LONGEST_TEXT)
    copy = dead_letter_copy(delivery, longest, TOPOLOGY, "host/1")
    pieces = copy.properties.encode()
    assert sum(map(len, pieces)) < LARGEST_FRAME_BYTES
    try:
        RequestChecks(TOPOLOGY, LIMITS).check(delivery)
        decode_request(b"jpeg", ContentType.JPEG, delivery.headers, LIMITS)
    except MessageError as error:
        check_text(error)


def delivered(table: bytes) -> Delivery:
    """A delivery whose table of headers has these bytes."""
    known = pika.BasicProperties(
        content_type="image/jpeg",
        correlation_id="c",
        reply_to="fer.replies.door.1",
        user_id="door",
    )
    plain = b"".join(known.encode())
    at = 3 + len("image/jpeg")
    flags = int.from_bytes(plain[:2]) | pika.BasicProperties.FLAG_HEADERS
    sized = len(table).to_bytes(4) + table
    read = Properties().decode(flags.to_bytes(2) + plain[2:at] + sized + plain[at:])
    return Delivery(
        queue=TOPOLOGY.frames.name,
        exchange=TOPOLOGY.requests,
        body=b"",
        properties=read,
        redelivered=False,
        tag=1,
        channel=None,
    )


def frames(data: bytes) -> None:
    """A frame. What decodes has the size of a header in it, and no other picture's pixels."""
    try:
        first, damage = decode_frame(data, FRAME_LIMITS)
    except FrameError as error:
        check_text(error)
        return
    assert damage is None or "\n" not in damage
    height, width, channels = first.shape
    sizes = (height.to_bytes(2) + width.to_bytes(2), width.to_bytes(2) + height.to_bytes(2))
    assert channels == 3
    assert first.dtype == np.uint8
    assert any(size in data for size in sizes)
    assert count_pixels(data, FRAME_LIMITS) == height * width
    decode_frame(_another(), FRAME_LIMITS)
    assert np.array_equal(first, decode_frame(data, FRAME_LIMITS).image)


@cache
def _another() -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "codec": codec,
    "properties": properties,
    "frames": frames,
}
