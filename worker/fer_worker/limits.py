"""What a worker accepts: constants of the contract, and what `fer-worker run` has options for."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from fer_schemas import MAX_MESSAGE_BYTES

MAX_HEADER_BYTES: Final = 16 * 1024
"""Of a message's headers, as they are on the wire."""

MAX_VALUES: Final = 16_384
"""In a body; a batch of 64 has some 270. Unbounded, a JSON of 16 MB becomes 9 GB of objects."""

MIN_FRAME_SIDE: Final = 20
"""Pixels of a frame's shorter side; MTCNN finds nothing in less."""

DamagedFrames = Literal["refuse", "analyze"]

USER_ID: Final = "{user_id}"


@dataclass(frozen=True)
class ReplyPattern:
    """Which queues results may go to.

    Args:
        text: a regular expression for a whole name. `{user_id}` stands for the user who sent the
            request; the broker has checked that he is who he says.

    Raises:
        ValueError: it is no regular expression.
    """

    text: str

    def __post_init__(self) -> None:
        try:
            self._compile("user")
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"not a regular expression: {error}") from error

    def allows(self, queue: str, user_id: str | None) -> bool:
        """Whether a queue may be sent results for a request of this user, or of one unnamed."""
        if user_id is None and USER_ID in self.text:
            return False
        try:
            return self._compile(user_id or "").fullmatch(queue) is not None
        except re.error:  # with this name in it, as in the name of a group
            return False

    def _compile(self, user_id: str) -> re.Pattern[str]:
        return re.compile(self.text.replace(USER_ID, re.escape(user_id)))


@dataclass(frozen=True)
class FrameLimits:
    """What one frame may be. Each limit has an error code of its own."""

    max_bytes: int = 8 * 1024 * 1024
    max_pixels: int = 40_000_000
    """Read from the header before decoding: a JPEG of 4 MB can hold 730 MB of pixels."""
    damaged: DamagedFrames = "refuse"
    """What becomes of a frame of which a part is lost or displaced."""


@dataclass(frozen=True)
class Limits:
    """What a worker accepts. Each limit has an error code of its own."""

    max_bytes: int = MAX_MESSAGE_BYTES
    """Of a message's body."""
    max_pixels: int = 160_000_000
    """Of a batch, those of its frames added up. 64 frames at 1080p have 133 million. A core needs
    two to seven seconds for 160 million; for 64 frames of 40 million each, which fit into a
    message, it would need a minute or two."""
    frame: FrameLimits = FrameLimits()
    replies: ReplyPattern | None = None
    """Queues that results may go to; None: all but the workers' own."""


DEFAULT_LIMITS = Limits()
