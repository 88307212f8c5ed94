"""A frame to send, and frames in batches."""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from fer_schemas import MAX_MESSAGE_BYTES, MAX_NAME_LENGTH

if TYPE_CHECKING:
    from cv2.typing import MatLike

JPEG_QUALITY: Final = 95
"""Of what is no JPEG yet: its faces should lose nothing."""

FRAME_OVERHEAD_BYTES: Final = 1024
"""More than the names, times and lengths around a frame's pixels take in a message."""


@dataclass(frozen=True, slots=True)
class MediaFrame:
    """One frame to send."""

    jpeg: bytes = field(repr=False)
    id: str
    """Its source, and `#` with its position in a clip or camera; cut from the left to what a frame
    id may have."""
    source: str
    """The path it came from, or the address, without its password."""
    position: int | None = None
    """Its number in its clip or camera, from 0."""
    position_s: float | None = None
    """Seconds from the start of its clip."""
    captured_at: datetime | None = None
    """When a camera's frame was read, in UTC."""
    rate: float | None = None
    """Frames per second that are read of its clip or camera; None for a picture."""


def sendable(text: str) -> str:
    """Replace what is no Unicode: bytes of a name that is not UTF-8, as Python keeps them."""
    return text.encode(errors="replace").decode()


def frame_id(source: str, position: int | None = None) -> str:
    """Name a frame by where it came from."""
    name = source if position is None else f"{source}#{position}"
    return name[-MAX_NAME_LENGTH:]


def encode_jpeg(image: "MatLike", quality: int = JPEG_QUALITY) -> bytes:
    """Encode a picture: (height, width, 3) uint8, BGR.

    Raises:
        cv2.error: a side is longer than a JPEG can be.
    """
    import cv2  # not before it is needed: `--help` loads no OpenCV

    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return jpeg.tobytes()


def batches(
    frames: Iterable[MediaFrame | None],
    size: int,
    max_bytes: int = MAX_MESSAGE_BYTES,
    hold_s: float = math.inf,
) -> Iterator[list[MediaFrame]]:
    """Group frames into batches of `size`, or fewer where the message would get too large.

    Args:
        frames: pulled one at a time, as batches are asked for. None stands for a moment without a
            frame, in which a batch is given that has been held long enough, or an empty one.
        size: frames in a batch, at least 1.
        max_bytes: of the whole message. A frame larger than that is a batch by itself, for the
            client to refuse.
        hold_s: how long the first frame of a batch may be held for others to come, in seconds.
    """
    capacity = max_bytes - FRAME_OVERHEAD_BYTES
    batch: list[MediaFrame] = []
    used = 0
    since = 0.0
    for frame in frames:
        if frame is not None:
            needed = len(frame.jpeg) + FRAME_OVERHEAD_BYTES
            if batch and used + needed > capacity:
                yield batch
                batch, used = [], 0
            if not batch:
                since = time.monotonic()
            batch.append(frame)
            used += needed
        if len(batch) == size or (batch and time.monotonic() - since >= hold_s):
            yield batch
            batch, used = [], 0
        elif frame is None:
            yield []
    if batch:
        yield batch
