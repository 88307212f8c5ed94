import tracemalloc
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_client.amqp.codec import encode_request
from fer_client.errors import MessageError
from fer_schemas import MAX_FRAMES, BatchRequest, ContentType, ErrorCode, Frame
from fer_worker.limits import Limits
from fer_worker.serving.request_decoder import decode_request

HEADERS = {"version", "camera_id", "faces", "deadline", "sent_at", "id", "captured_at"}

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.binary(), inner),
    max_leaves=20,
)
request_like = st.fixed_dictionaries(
    {"version": st.just(1) | anything, "frames": st.lists(st.just({"jpeg": b"x"}) | anything)},
    optional=dict.fromkeys(("camera_id", "faces", "deadline", "sent_at", "other"), anything),
)


def code_of(body: bytes, content_type: str | None, **headers: Any) -> ErrorCode | None:
    """The code a request is refused with; None if it is accepted."""
    try:
        decode(body, content_type, **headers)
    except MessageError as error:
        return error.code
    return None


def decode(body: bytes, content_type: str | None, **headers: Any) -> BatchRequest:
    return decode_request(body, content_type, headers, Limits())


def test_encoded_request_is_decoded_as_it_was() -> None:
    at = datetime(2026, 11, 23, 10, 0, 0, 250_000, tzinfo=UTC)
    frame = Frame(jpeg=bytes(range(256)), id="f-17", captured_at=at)
    request = BatchRequest(
        version=1, frames=(frame,), camera_id="door-1", faces="all", deadline=at, sent_at=at
    )
    assert decode(encode_request(request), ContentType.MSGPACK) == request


@given(st.binary(), st.sampled_from([*ContentType, "text/plain", "", None]))
def test_any_bytes_are_a_request_or_an_error_with_a_code(
    body: bytes, content_type: str | None
) -> None:
    code = code_of(body, content_type)
    assert code is not None or content_type == ContentType.JPEG


@given(request_like)
def test_any_map_is_a_request_or_an_error_with_a_code(fields: dict[str, Any]) -> None:
    assert code_of(msgpack.packb(fields), ContentType.MSGPACK) in {
        None,
        ErrorCode.INVALID_REQUEST,
        ErrorCode.UNSUPPORTED_VERSION,
        ErrorCode.NO_FRAMES,
        ErrorCode.TOO_MANY_FRAMES,
        ErrorCode.MALFORMED_BODY,
    }


@given(st.dictionaries(st.sampled_from(sorted(HEADERS)), anything))
def test_any_headers_are_a_request_or_an_error_with_a_code(headers: dict[str, Any]) -> None:
    code = code_of(b"jpeg", ContentType.JPEG, **headers)
    assert code in {None, ErrorCode.INVALID_REQUEST, ErrorCode.UNSUPPORTED_VERSION}


def test_headers_that_are_not_ours_are_left_alone() -> None:
    request = decode(b"jpeg", ContentType.JPEG, traceparent="00-1", camera_id="door-1")
    assert request.camera_id == "door-1"


def test_bad_frame_is_not_said_to_be_a_missing_one() -> None:
    body = msgpack.packb({"version": 1, "frames": [{"jpeg": "text"}]})
    with pytest.raises(MessageError, match=r"^frames\.0\.jpeg: ") as caught:
        decode(body, ContentType.MSGPACK)
    assert caught.value.code is ErrorCode.INVALID_REQUEST


MIB = 1024 * 1024
BOMBS = {
    "empty lists": (b"[" + b"[]," * (5 * MIB) + b"[]]", ContentType.JSON),
    "empty maps": (b"[" + b"{}," * (5 * MIB) + b"{}]", ContentType.JSON),
    "numbers": (b"[" + b"1," * (7 * MIB) + b"1]", ContentType.JSON),
    "a number": (b'{"version":' + b"1" * (15 * MIB) + b"}", ContentType.JSON),
    "nested lists": (b"[" * 4000, ContentType.JSON),
    "empty lists, packed": (b"\xdd\x00\xf0\x00\x00" + b"\x90" * (15 * MIB), ContentType.MSGPACK),
    "empty lists in lists": (
        b"\xdc\x04\x00" + (b"\x9f" + b"\x90" * 15) * 1024,
        ContentType.MSGPACK,
    ),
    "empty maps, packed": (b"\xdc\x04\x00" + (b"\x9f" + b"\x80" * 15) * 1024, ContentType.MSGPACK),
    "lists that announce more": (b"\xdd\x00\xf0\x00\x00" * (3 * MIB), ContentType.MSGPACK),
    "a map that announces more": (b"\xdf\x00\xf0\x00\x00" + bytes(15 * MIB), ContentType.MSGPACK),
    "nested lists, packed": (b"\x91" * (15 * MIB), ContentType.MSGPACK),
    "unknown fields": (msgpack.packb(dict.fromkeys(map(str, range(100_000)))), ContentType.MSGPACK),
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.timeout(10)
def test_body_that_would_become_many_objects_is_refused_before_it_does(bomb: str) -> None:
    body, content_type = BOMBS[bomb]
    tracemalloc.start()
    try:
        code = code_of(body, content_type)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert code in {
        ErrorCode.INVALID_REQUEST,
        ErrorCode.MALFORMED_BODY,
        ErrorCode.TOO_MANY_FRAMES,
    }
    assert peak < 64 * MIB


def test_largest_batch_of_the_contract_has_room_for_all_its_fields() -> None:
    at = datetime(2026, 11, 23, 10, 0, 0, 250_000, tzinfo=UTC)
    frames = tuple(Frame(jpeg=b"x", id=",[{" * 42, captured_at=at) for _ in range(MAX_FRAMES))
    request = BatchRequest(
        version=1, frames=frames, camera_id="," * 128, faces="all", deadline=at, sent_at=at
    )
    assert decode(encode_request(request), ContentType.MSGPACK) == request
    assert decode(request.model_dump_json().encode(), ContentType.JSON) == request


@pytest.mark.parametrize(
    "fields",
    [
        {"deadline": "1" * MIB},
        {"frames": [{"jpeg": b"", "captured_at": "x" * MIB}]},
        {"faces": "x" * MIB},
        {"x" * MIB: 1},
        {"camera_id": "x" * MIB},
        {"version": "x" * MIB},
    ],
)
def test_text_of_an_error_is_short_whatever_the_sender_wrote(fields: dict[str, Any]) -> None:
    body = msgpack.packb({"version": 1, "frames": [{"jpeg": b"x"}], **fields})
    with pytest.raises(MessageError) as caught:
        decode(body, ContentType.MSGPACK)
    assert len(caught.value.message) <= 200


@pytest.mark.parametrize("body", [b'{"version":1,', b"\xff", b'{"version":1,"frames":[]}' * 2])
def test_error_does_not_repeat_the_body(body: bytes) -> None:
    with pytest.raises(MessageError) as caught:
        decode(body, ContentType.JSON)
    assert "version" not in caught.value.message
