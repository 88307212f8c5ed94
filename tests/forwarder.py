"""A TCP line to the broker that can be cut, stalled and slowed."""

import asyncio
import dataclasses
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from fer_client.config import BrokerConfig

HOST = "127.0.0.1"

CHUNK_BYTES = 4096
"""Passed on at once. Small, so that a slow line is slow all along and not in leaps."""


class Forwarder:
    """Passes bytes between those who connect to it and a server. A context manager.

    Its faults can be made from any thread and are there when the call returns.
    """

    def __init__(self, host: str, port: int) -> None:
        """Store where the server is."""
        self._server_address = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._bytes_per_s: float | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.accepted = 0
        """Connections so far."""

    @classmethod
    def to(cls, broker: BrokerConfig) -> "Forwarder":
        """A line to the first node of a broker."""
        parts = urlsplit(broker.urls[0])
        return cls(parts.hostname or HOST, parts.port or 5672)

    def through(self, broker: BrokerConfig) -> BrokerConfig:
        """The same broker, reached over this line."""
        parts = urlsplit(broker.urls[0])
        login = parts.netloc.rpartition("@")[0]
        url = parts._replace(netloc=f"{login}@{HOST}:{self.port}").geturl()
        return dataclasses.replace(broker, urls=(url,))

    def __enter__(self) -> Self:
        self._thread.start()
        self._listener = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._accept, HOST, limit=CHUNK_BYTES), self._loop
        ).result()
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._listener.close)
        self.cut()
        self.resume()
        self._do(self._loop.stop, wait=False)
        self._thread.join()
        self._loop.close()

    @property
    def open_connections(self) -> int:
        """How many are passed on at the moment."""
        return len(self._writers) // 2

    def cut(self) -> None:
        """End all connections. New ones can be made."""
        self._do(self._abort)

    def stall(self) -> None:
        """Pass nothing on from now on, in either direction, and close nothing.

        Who connects meanwhile is accepted, and hears nothing.
        """
        self._do(self._flowing.clear)

    def slow(self, bytes_per_s: float) -> None:
        """Pass on so many bytes per second in each direction of each connection."""
        self._do(lambda: setattr(self, "_bytes_per_s", bytes_per_s))

    def resume(self) -> None:
        """Be an ordinary line again. What was held is passed on."""
        self._do(lambda: setattr(self, "_bytes_per_s", None))
        self._do(self._flowing.set)

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def _do(self, action: Callable[[], object], wait: bool = True) -> None:
        done = threading.Event()

        def act() -> None:
            action()
            done.set()

        self._loop.call_soon_threadsafe(act)
        if wait:
            done.wait()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            server_reader, server_writer = await asyncio.open_connection(
                *self._server_address, limit=CHUNK_BYTES
            )
        except OSError:  # no server
            writer.transport.abort()
            return
        ends = {writer, server_writer}
        self._writers |= ends
        try:
            await asyncio.gather(
                self._pass_on(reader, server_writer), self._pass_on(server_reader, writer)
            )
        finally:
            self._writers -= ends

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):  # cut
            while data := await reader.read(CHUNK_BYTES):
                if self._bytes_per_s is not None:
                    await asyncio.sleep(len(data) / self._bytes_per_s)
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
