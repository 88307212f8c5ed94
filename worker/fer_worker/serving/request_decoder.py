"""A request in any of its three encodings to the model of the wire contract."""

from collections.abc import Mapping
from typing import Any

import msgpack
from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from fer_client.errors import MessageError
from fer_schemas import MAX_FRAMES, BatchRequest, ContentType, ErrorCode
from fer_worker.limits import MAX_VALUES, Limits

_LONGEST_TEXT = 200
"""Characters of an error's text, some of which the sender may have chosen."""


_MAX_ENTRIES = 1024
"""Of one list or map in msgpack, which makes room for as many as are announced."""


_FRAME_HEADERS = ("id", "captured_at")


_TOO_MANY_FRAMES = f"more than {MAX_FRAMES} frames"


_BATCH_HEADERS = ("version", "camera_id", "faces", "deadline", "sent_at")


def decode_request(
    body: bytes, content_type: str | None, headers: Mapping[str, Any], limits: Limits
) -> BatchRequest:
    """Read a request in any of the three encodings.

    Args:
        body: the message's body.
        content_type: as the sender named it; parameters after `;` are ignored.
        headers: the message's headers; only `image/jpeg` reads them, and ignores those it does
            not know, since brokers and tracers add their own.
        limits: what is accepted.

    Raises:
        MessageError: it is not a request; the code and the text say why.
    """
    if len(body) > limits.max_bytes:
        raise MessageError(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"the message has {len(body)} bytes; {limits.max_bytes} are accepted",
        )
    kind = _kind(content_type)
    try:
        match kind:
            case ContentType.MSGPACK:
                request = BatchRequest.model_validate(_unpack(body))
            case ContentType.JSON:
                _count_json(body)
                request = BatchRequest.model_validate_json(body)
            case ContentType.JPEG:
                request = BatchRequest.model_validate(_from_headers(body, headers))
            case _:
                known = ", ".join(ContentType)
                raise MessageError(
                    ErrorCode.UNKNOWN_CONTENT_TYPE, f"content type {kind[:64]!r} is none of {known}"
                )
    except ValidationError as error:
        raise _explain(error.errors(include_input=False, include_url=False)) from error
    return request


def read_camera_id(body: bytes, content_type: str | None, headers: Mapping[str, Any]) -> str | None:
    """Read the camera id of a request that need not be valid; None where it cannot be read."""
    try:
        match _kind(content_type):
            case ContentType.MSGPACK:
                fields = _unpack(body)
            case ContentType.JSON:
                _count_json(body)
                fields = from_json(body)
            case _:
                fields = headers
    except (MessageError, ValueError):
        return None
    found = fields.get("camera_id") if isinstance(fields, Mapping) else None
    return found if isinstance(found, str) else None


def _kind(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def _unpack(body: bytes) -> Any:
    """Read msgpack, and stop where it would become many objects."""
    left = MAX_VALUES

    def count(container: Any) -> Any:
        nonlocal left
        left -= 1 + len(container)
        if left < 0:
            raise _too_many_values()
        return container

    try:
        return msgpack.unpackb(
            body,
            max_array_len=_MAX_ENTRIES,
            max_map_len=_MAX_ENTRIES,
            list_hook=count,
            object_hook=count,
        )
    except (ValueError, TypeError) as error:  # msgpack's own errors are ValueErrors
        if "max_array_len" in str(error):
            raise MessageError(ErrorCode.TOO_MANY_FRAMES, _TOO_MANY_FRAMES) from error
        if "max_map_len" in str(error):
            raise _too_many_values() from error
        raise MessageError(ErrorCode.MALFORMED_BODY, f"not msgpack: {_brief(error)}") from error


def _count_json(body: bytes) -> None:
    """Refuse JSON of many values before it is read: one of these comes before each but the first.

    Those within strings count too, but base64 has none of them.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise _too_many_values()


def _too_many_values() -> MessageError:
    return MessageError(ErrorCode.INVALID_REQUEST, f"the body has more than {MAX_VALUES} values")


def _from_headers(body: bytes, headers: Mapping[str, Any]) -> Any:
    frame = {name: headers[name] for name in _FRAME_HEADERS if name in headers}
    batch = {name: headers[name] for name in _BATCH_HEADERS if name in headers}
    return {"version": 1, **batch, "frames": [{**frame, "jpeg": body}]}


def _explain(details: list[ErrorDetails]) -> MessageError:
    """Choose the error that helps most: a newer contract may well have other fields."""
    by_place = {(detail["loc"], detail["type"]): detail for detail in details}
    if (("version",), "literal_error") in by_place:
        return MessageError(ErrorCode.UNSUPPORTED_VERSION, "only version 1 is supported")
    if (("frames",), "too_long") in by_place:
        return MessageError(ErrorCode.TOO_MANY_FRAMES, _TOO_MANY_FRAMES)
    first = details[0]
    if first["type"] == "json_invalid":
        return MessageError(ErrorCode.MALFORMED_BODY, f"not JSON: {first['msg']}")
    if first["loc"] == ("frames",) and first["type"] == "too_short":
        return MessageError(ErrorCode.NO_FRAMES, "the batch has no frames")
    # The place is made of our own field names, or of an unknown one that the sender chose.
    place = ".".join(str(part) for part in first["loc"])[:128]
    text = f"{place or 'the body'}: {first['msg']}"
    return MessageError(ErrorCode.INVALID_REQUEST, text[:_LONGEST_TEXT])


def _brief(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:_LONGEST_TEXT]
