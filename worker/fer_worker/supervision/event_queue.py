"""Events for one loop, posted by threads and signal handlers."""

import contextlib
import socket
from collections import deque
from typing import Generic, TypeVar

Event = TypeVar("Event")


class Mailbox(Generic[Event]):
    """A queue that a loop can wait for beside pipes and processes.

    `post` only appends and wakes the loop, so it is safe in a signal handler. The mailbox has a
    `fileno`, readable while there may be events, for `multiprocessing.connection.wait`.
    """

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def post(self, event: Event) -> None:
        """Add an event and wake the loop."""
        self._events.append(event)
        with contextlib.suppress(BlockingIOError):  # full: the loop will wake anyway
            self._writer.send(b"\0")

    def take(self) -> list[Event]:
        """Remove and return the events posted so far, oldest first."""
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass
        taken = []
        while self._events:
            taken.append(self._events.popleft())
        return taken

    def fileno(self) -> int:
        """Descriptor to wait for."""
        return self._reader.fileno()

    def close(self) -> None:
        """Release the descriptors."""
        self._reader.close()
        self._writer.close()
