"""Configuration: small frozen values, built at the edge and handed down."""

import re
import socket
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from schemas import MAX_FRAMES, MAX_MESSAGE_BYTES
from worker.errors import FerWorkerError

DEFAULT_URL = "amqp://guest:guest@127.0.0.1:5672/"
DEFAULT_NAMESPACE = "fer"
DEFAULT_DRAIN_TIMEOUT_S = 30.0
DEFAULT_HANG_TIMEOUT_S = 60.0


def mask_password(url: str) -> str:
    """Return a broker URL as it may be shown: the password as `***`."""
    return re.sub(r"(//[^/:@]*):.*@", r"\1:***@", url)


def _is_amqp(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("amqp", "amqps") and (parts.port or 1) > 0
    except ValueError:  # the port is no number
        return False


@dataclass(frozen=True)
class BrokerConfig:
    """Where the broker is, and under which namespace its queues are."""

    urls: tuple[str, ...] = field(default=(DEFAULT_URL,), repr=False)
    """AMQP URLs of the nodes, tried in turn."""
    namespace: str = DEFAULT_NAMESPACE
    heartbeat_s: int = 8
    """RabbitMQ gives a silent connection up after two to three of these: what a stalled worker
    holds is delivered to others within 24 s."""

    @classmethod
    def from_url(cls, urls: str, namespace: str = DEFAULT_NAMESPACE) -> "BrokerConfig":
        """Read one URL or several, separated by commas.

        Raises:
            FerWorkerError: one of them is not an AMQP URL.
        """
        found = tuple(url.strip() for url in urls.split(",") if url.strip())
        if not found or not all(map(_is_amqp, found)):
            # What was given may hold a password at any place; it is not repeated.
            raise FerWorkerError("not an AMQP URL, amqp://user:password@host:port/vhost")
        return cls(found, namespace)

    def __str__(self) -> str:
        return ", ".join(mask_password(url) for url in self.urls)


@dataclass(frozen=True)
class FrameLimits:
    """What one frame may be. Each limit has an error code of its own."""

    max_bytes: int = 8 * 1024 * 1024
    max_pixels: int = 40_000_000
    """Read from the header before decoding: a JPEG of 4 MB can hold 730 MB of pixels."""
    min_side: int = 20
    """Pixels of the shorter side; MTCNN finds nothing in less."""


@dataclass(frozen=True)
class Limits:
    """What a worker accepts. Each limit has an error code of its own."""

    max_bytes: int = MAX_MESSAGE_BYTES
    """Of a whole message."""
    max_frames: int = MAX_FRAMES
    frame: FrameLimits = FrameLimits()


def host_name() -> str:
    """Name of this machine, as operators know it."""
    return socket.gethostname()
