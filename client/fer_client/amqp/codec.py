"""The models of the wire contract as bytes."""

from datetime import datetime

import msgpack
from pydantic import BaseModel

from fer_schemas import BatchRequest, BatchResult


def encode_request(request: BatchRequest) -> bytes:
    """Write a request as msgpack."""
    fields = request.model_dump(mode="python", exclude_none=True)
    return bytes(msgpack.packb(fields, default=_iso_8601))


def encode_json(message: BaseModel) -> bytes:
    """Write a result, or a control message, as JSON."""
    return message.model_dump_json().encode()


def decode_result(body: bytes) -> BatchResult:
    """Read a result.

    Raises:
        ValueError: it is not one.
    """
    return BatchResult.model_validate_json(body)


def _iso_8601(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a request")
