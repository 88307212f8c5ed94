"""Shared by the models: strictness, and times as ISO 8601 strings."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    WithJsonSchema,
)

from fer_schemas.vocabulary import MAX_NAME_LENGTH


def _parse_iso_8601(value: Any) -> Any:
    """Read a time from its ISO 8601 string; leave anything else to be refused by strict mode."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:  # its own text repeats the value, however long
            raise ValueError("not an ISO 8601 time") from None
    return value


Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(_parse_iso_8601),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time with its zone: an ISO 8601 string in every encoding, never a number."""

Name = Annotated[str, StringConstraints(max_length=MAX_NAME_LENGTH)]
"""An id that a controller gives to a camera or a frame."""


def known(*words: str) -> WithJsonSchema:
    """Describe a field whose words may become more; readers take others, too."""
    return WithJsonSchema({"type": "string", "enum": list(words)})


class Message(BaseModel):
    """Of what we send: frozen; fields that a newer sender added are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Command(BaseModel):
    """What operators send: no coercion; fields that a newer operator added are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)


class StrictMessage(BaseModel):
    """Of what we are sent: frozen, no coercion, unknown fields refused.

    `bytes` are base64 in JSON, in the standard or the URL-safe alphabet.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        val_json_bytes="base64",
        ser_json_bytes="base64",
        hide_input_in_errors=True,
    )
