"""Messages between a supervisor and a process that it started, over a pair of sockets.

Each message is its length in four bytes and its content. The reading side never waits for the rest
of a message that the other side has not finished: its loop goes on meanwhile.
"""

import asyncio
import contextlib
import socket
from typing import Final

_LENGTH_BYTES: Final = 4
_BUFFER_BYTES: Final = 1024 * 1024
_LAST_WORDS_S: Final = 1.0
"""For reading what a process has said before its exit."""


class MessageStream:
    """One end of the pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Store both directions; see `open`."""
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(
        cls, end: socket.socket, other_exited: "asyncio.Task[None] | None" = None
    ) -> "MessageStream":
        """Take over one end of a socket pair.

        Args:
            end: of the pair.
            other_exited: is done once the process at the other end has exited. The stream ends soon
                after, also where its socket does not: Wine was seen to keep it open.
        """
        reader, writer = await asyncio.open_connection(sock=end, limit=_BUFFER_BYTES)
        writer.transport.set_write_buffer_limits(high=0)  # `flush` waits for all of it
        stream = cls(reader, writer)
        if other_exited is not None:
            loop = asyncio.get_running_loop()
            other_exited.add_done_callback(lambda _: loop.call_later(_LAST_WORDS_S, stream.close))
        return stream

    async def receive(self) -> bytes | None:
        """Return the next message, or None at the end: the other side is gone."""
        try:
            length = await self._reader.readexactly(_LENGTH_BYTES)
            return await self._reader.readexactly(int.from_bytes(length))
        except (asyncio.IncompleteReadError, OSError):
            return None

    def send(self, *parts: bytes) -> None:
        """Send the parts as one message. It is lost where the other side is gone."""
        # Not `writelines`: from Python 3.12 on it fails where the other side is gone, and spins
        # over an empty part (python/cpython#136234).
        for part in (sum(map(len, parts)).to_bytes(_LENGTH_BYTES), *parts):
            self._writer.write(part)

    @property
    def is_idle(self) -> bool:
        """Whether all that was sent is on its way, so that the other side seems to read."""
        return self._writer.transport.get_write_buffer_size() == 0

    async def flush(self) -> None:
        """Wait until what was sent is on its way, or the other side is gone."""
        with contextlib.suppress(OSError):
            await self._writer.drain()

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
