"""Content types to and from the models of the wire contract."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgpack
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from schemas import MAX_FRAMES, BatchRequest, BatchResult, ContentType, ErrorCode
from worker.config import Limits
from worker.errors import MessageError

_FRAME_HEADERS = ("id", "captured_at")
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
    if len(request.frames) > limits.max_frames:
        raise MessageError(
            ErrorCode.TOO_MANY_FRAMES,
            f"the batch has {len(request.frames)} frames; {limits.max_frames} are accepted",
        )
    return request


def read_camera_id(body: bytes, content_type: str | None, headers: Mapping[str, Any]) -> str | None:
    """Read the camera id of a request that need not be valid; None where it cannot be read."""
    try:
        match _kind(content_type):
            case ContentType.MSGPACK:
                fields = _unpack(body)
            case ContentType.JSON:
                fields = from_json(body)
            case _:
                fields = headers
    except (MessageError, ValueError):
        return None
    found = fields.get("camera_id") if isinstance(fields, Mapping) else None
    return found if isinstance(found, str) else None


def encode_request(request: BatchRequest) -> bytes:
    """Write a request as msgpack."""
    fields = request.model_dump(mode="python", exclude_none=True)
    return bytes(msgpack.packb(fields, default=_iso_8601))


def encode_result(result: BaseModel) -> bytes:
    """Write a result, or a control message, as JSON."""
    return result.model_dump_json().encode()


def decode_result(body: bytes) -> BatchResult:
    """Read a result.

    Raises:
        ValueError: it is not one.
    """
    return BatchResult.model_validate_json(body)


def _kind(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()


def _iso_8601(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a request")


def _unpack(body: bytes) -> Any:
    try:
        return msgpack.unpackb(body)
    except (ValueError, TypeError) as error:  # msgpack's own errors are ValueErrors
        raise MessageError(ErrorCode.MALFORMED_BODY, f"not msgpack: {_brief(error)}") from error


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
        return MessageError(ErrorCode.TOO_MANY_FRAMES, f"more than {MAX_FRAMES} frames")
    first = details[0]
    if first["type"] == "json_invalid":
        return MessageError(ErrorCode.MALFORMED_BODY, f"not JSON: {first['msg']}")
    if first["loc"] == ("frames",) and first["type"] == "too_short":
        return MessageError(ErrorCode.NO_FRAMES, "the batch has no frames")
    # The place is made of our own field names, or of an unknown one that the sender chose.
    place = ".".join(str(part) for part in first["loc"])[:128]
    return MessageError(ErrorCode.INVALID_REQUEST, f"{place or 'the body'}: {first['msg']}")


def _brief(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200]
