"""What each module here has: a worker and a requester, made as its framework's documentation says.

Requests and replies are persistent and confirmed, and a request is acked after its reply.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from benchmarks.bare_loop import REPLY
from fer_worker.inference.types import Engine

IN_FLIGHT: Final = 64
"""Requests without an answer; as many are taken ahead by workers that can say so."""

Answer = Callable[[bytes], bytes]
"""Makes the reply to a JPEG file. Called from several threads at once."""

Reply = Callable[[float], object]
"""Waits for it, so many seconds at most."""

Ask = Callable[[], Reply]
"""Sends a request."""


@dataclass(frozen=True)
class Work:
    """What a worker does with a request. Picklable."""

    jpeg: bytes
    threads: int
    """Of a framework's worker."""
    load: Callable[[int], Answer]
    """Called in the worker's process with its threads."""
    engine: Callable[[], Engine]
    """The same work for this project's worker."""


class Framework(Protocol):
    """A module of this package."""

    def serve(self, url: str, queue: str, work: Work) -> None:
        """Take requests from a queue and answer them, until the process is killed."""

    def requester(self, url: str, queue: str, jpeg: bytes) -> AbstractContextManager[Ask]:
        """Connect who sends a file as often as it is asked to."""


def no_work(threads: int) -> Answer:
    """Answer at once, with as many bytes as a result has."""

    def reply(jpeg: bytes) -> bytes:
        return REPLY

    return reply
