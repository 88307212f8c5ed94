"""The words that the wire contract is made of: versions, limits and enumerations."""

from enum import StrEnum
from typing import Final, Literal, Self

PROTOCOL_VERSION: Final = 1
"""The version of the contract that this package describes. It changes only by addition."""

MAX_FRAMES = 64
"""Frames in one batch."""

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Bytes of one message: what RabbitMQ 4 takes by default (`max_message_size`)."""

MAX_NAME_LENGTH = 128
"""Characters of a camera or frame id."""

FaceSelection = Literal["first", "all"]
"""Which faces of a frame are analysed: the first (largest) one, or every one."""


class ContentType(StrEnum):
    """How the body of a message is encoded."""

    MSGPACK = "application/msgpack"
    """The batch as a msgpack map, `jpeg` as bin. The one to use."""
    JSON = "application/json"
    """The same map as JSON, `jpeg` as base64."""
    JPEG = "image/jpeg"
    """One frame and nothing else; the other fields travel as message headers."""


class Emotion(StrEnum):
    """What the network tells apart, in the order of its outputs."""

    ANGRY = "angry"
    DISGUST = "disgust"
    FEAR = "fear"
    HAPPY = "happy"
    SAD = "sad"
    SURPRISE = "surprise"
    NEUTRAL = "neutral"


class _OpenEnum(StrEnum):
    """Words that may become more: one that is not known yet is kept as it is, not refused.

    It is equal to its text, as the known ones are, and none of them.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        newer = str.__new__(cls, value)
        newer._name_ = newer._value_ = value
        return newer


class Status(_OpenEnum):
    """How a request ended."""

    SUCCESS = "success"
    """Every frame was analysed, whether faces were found or not."""
    PARTIAL = "partial"
    """Some frames failed; `errors` says which and why."""
    ERROR = "error"
    """No frame could be analysed, or the message itself was bad."""
    EXPIRED = "expired"
    """The request was picked up too late; nothing was analysed."""


class ErrorCode(_OpenEnum):
    """Why a message or a frame could not be analysed, and what its sender should do."""

    # The message as a whole (`frame` is null). All but `expired` go to `fer.frames.dead`.
    MISSING_CORRELATION_ID = "missing_correlation_id"
    """The message has no `correlation_id` property. Set one; it ties the reply to the request."""
    UNKNOWN_CONTENT_TYPE = "unknown_content_type"
    """`content_type` is missing or not of the contract. Send one of the three."""
    MALFORMED_BODY = "malformed_body"
    """The body is not what its content type says. Mend the encoder."""
    INVALID_REQUEST = "invalid_request"
    """The body is well-formed but not of the schema; the message names the field. Mend the sender,
    or upgrade the workers before controllers that use newer fields."""
    UNSUPPORTED_VERSION = "unsupported_version"
    """`version` is one this worker does not speak. Upgrade the workers first."""
    NO_FRAMES = "no_frames"
    """The batch is empty. Send at least one frame."""
    TOO_MANY_FRAMES = "too_many_frames"
    """More frames than one batch may hold. Split the batch."""
    TOO_MANY_PIXELS_IN_BATCH = "too_many_pixels_in_batch"
    """More pixels than one batch may have, those of its frames added up (their headers say so).
    Split the batch or scale the frames down."""
    MESSAGE_TOO_LARGE = "message_too_large"
    """More bytes than a worker takes. Split the batch or compress the frames harder."""
    INVALID_HEADERS = "invalid_headers"
    """The message's headers are larger than a worker takes, nest too deep, or cannot be read. Send
    fewer; no field of the contract needs a long one."""
    FORBIDDEN_REPLY_TO = "forbidden_reply_to"
    """`reply_to` names one of the workers' own queues, or one that they are told not to answer to
    (`--reply-pattern`). Use a queue of your own, and send your `user_id`."""
    POISON_MESSAGE = "poison_message"
    """The message was delivered again and again and every worker that took it died. Do not send
    it again; keep it for the maintainers."""
    EXPIRED = "expired"
    """The deadline or the message's `expiration` had passed. Send a newer frame."""

    # One frame of a batch (`frame` is its index).
    EMPTY_FRAME = "empty_frame"
    """The frame has no bytes. Check the camera."""
    NOT_A_JPEG = "not_a_jpeg"
    """The bytes are not a JPEG. Encode frames as JPEG."""
    BROKEN_JPEG = "broken_jpeg"
    """A JPEG whose header cannot be read, or of a kind that is not decoded; the message says which.
    Send a baseline or progressive JPEG of 8 bits."""
    DAMAGED_JPEG = "damaged_jpeg"
    """A part of the picture is lost or displaced. Check the line to the camera; `fer-worker run
    --damaged-frames analyze` analyses what is left, and marks it."""
    FRAME_TOO_LARGE = "frame_too_large"
    """More bytes than one frame may have. Compress it harder."""
    TOO_MANY_PIXELS = "too_many_pixels"
    """More pixels than one frame may have (its header says so). Scale it down."""
    FRAME_TOO_SMALL = "frame_too_small"
    """A side shorter than the smallest face. Send larger frames."""

    # Either.
    INTERNAL_ERROR = "internal_error"
    """A fault of the worker; its log has the details under the correlation id. Report it."""
