"""Inputs to start from, and words to make others of: what a fuzzer would take long to guess."""

import struct
from collections.abc import Iterable
from typing import Any

import cv2
import msgpack
import numpy as np
from pika import data

from fer_client.amqp.codec import encode_request
from fer_schemas import BatchRequest, Frame
from tests import jpegs

NAMES = (
    "version",
    "frames",
    "jpeg",
    "id",
    "captured_at",
    "camera_id",
    "faces",
    "sent_at",
    "deadline",
)
TIME = "2026-11-23T10:00:00.250+01:00"


def _codec() -> Iterable[bytes]:
    fields = {"camera_id": "c", "faces": "all", "sent_at": TIME, "deadline": TIME}
    frame = {"jpeg": b"x", "id": "f", "captured_at": TIME}
    bodies: list[Any] = [
        {"version": 1, "frames": [{"jpeg": b""}]},
        {"version": 1, "frames": [frame, frame], **fields},
        {"version": 2, "frames": []},
        [1, -1, 2**40, 1.5, None, True, "text", b"bytes", {}, [[[[]]]]],
    ]
    for body in bodies:
        yield b"\x00" + msgpack.packb(body)
    request = BatchRequest(version=1, frames=(Frame(jpeg=b"xyz", id="f"),), camera_id="c")
    yield b"\x00" + encode_request(request)
    yield b"\x01" + request.model_dump_json().encode()
    yield b"\x01" + b'{"version":1,"frames":[{"jpeg":"_-=="}],"deadline":"%s"}' % TIME.encode()
    yield b'\x01[1e9,-0.5,null,true,"\\ud83d\\ude00",{"a":[{}]}]'


def _properties() -> Iterable[bytes]:
    for headers in (
        {},
        dict.fromkeys(NAMES, TIME),
        {"version": 1, "faces": "first", "id": "f", "nested": {"a": [1, {"b": [True, None]}]}},
        {"x-death": [{"queue": "fer.frames.quarantine", "reason": "expired", "count": 1}]},
        {"CC": ["fer.control"], "BCC": ["x"], "x-delivery-count": 2**40, "long": "x" * 300},
    ):
        pieces: list[bytes] = []
        data.encode_table(pieces, headers)
        yield b"".join(pieces)[4:]
    for kind, size in ((b"T", 8), (b"d", 8), (b"f", 4), (b"D", 5), (b"x", 4), (b"F", 4), (b"A", 4)):
        yield b"\x01k" + kind + b"\x7f" * size
        yield b"\x01k" + kind + bytes(size)


def _frames() -> Iterable[bytes]:
    noise = np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8)
    for parameters in (
        [],
        [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
        [cv2.IMWRITE_JPEG_RST_INTERVAL, 1],
        [cv2.IMWRITE_JPEG_QUALITY, 10, cv2.IMWRITE_JPEG_OPTIMIZE, 1],
    ):
        jpeg = cv2.imencode(".jpg", noise, parameters)[1].tobytes()
        yield jpeg
        yield jpeg[:2] + jpegs.exif(jpegs.tiff(jpegs.ROTATE_90)) + jpeg[2:]
    yield cv2.imencode(".jpg", noise[:, :, 0])[1].tobytes()
    for kind in (jpegs.BASELINE, jpegs.EXTENDED, jpegs.PROGRESSIVE, jpegs.ARITHMETIC):
        for components in (1, 3, 4):
            yield jpegs.flat_jpeg(kind, components=components)


SEEDS = {"codec": _codec, "properties": _properties, "frames": _frames}

WORDS: dict[str, list[bytes]] = {
    "codec": [
        *[name.encode() for name in NAMES],
        *[msgpack.packb(name) for name in NAMES],
        *[f'"{name}":'.encode() for name in NAMES],
        TIME.encode(),
        b"\xdd\x7f\xff\xff\xff",
        b"\xdf\x7f\xff\xff\xff",
        b"\xc6\x7f\xff\xff\xff",
        b"\xd7\xff",
        b"[{",
        b"}]",
    ],
    "properties": [
        *[bytes([len(name)]) + name.encode() + b"S" for name in NAMES],
        *[b"\x01k" + kind for kind in (b"F", b"A", b"S", b"T", b"d", b"D", b"x", b"V", b"l")],
        struct.pack(">d", float("nan")),
    ],
    "frames": [
        *[bytes([0xFF, marker]) for marker in range(0xC0, 0xF0)],
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08",
        b"Adobe\x00",
        b"\xff\xff",
    ],
}
