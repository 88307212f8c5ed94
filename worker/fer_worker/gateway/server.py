"""The HTTP server: its socket, and its end."""

import asyncio
import logging
import math
import socket
from typing import Final

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from fer_client import AsyncFerClient
from fer_client.errors import FerWorkerError

log = logging.getLogger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """Take a port; 0 is any that is free.

    Raises:
        FerWorkerError: it is taken, or the address is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = str(error.strerror or error).partition(" (")[0]  # without what Python adds
        raise FerWorkerError(f"cannot listen on {host}:{port}: {reason}") from error
    # Inherited by each connection. asyncio sees to it only for sockets whose protocol is given,
    # which this one's is not. Without it Nagle's algorithm holds the body of an answer back until
    # the client has acknowledged the headers: with keep-alive 44 ms instead of 1.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


HEADERS_LIMIT_S: Final = 10.0
"""How long a connection may take to its first request, and up to twice as long to the next."""

MAX_CONNECTIONS: Final = 256
"""Others get a 503 at once."""


class _Protocol(H11Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; one that sends no request in time is closed."""
        super().connection_made(transport)
        self._look_later()

    def _look_later(self) -> None:
        self.loop.call_later(HEADERS_LIMIT_S, self._close_without_request, self.cycle)

    def _close_without_request(self, last: object) -> None:
        """Close where no request has come since the `last` one, and none is being answered.

        uvicorn closes what is silent after an answer, but not what sends half a request.
        """
        if self.transport.is_closing():
            return
        if self.cycle is last and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()
        else:
            self._look_later()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, unless it comes after the answer, as the rest of a body may."""
        try:
            super().send_400_response(msg)
        except h11.LocalProtocolError:
            self.transport.close()


class Server(uvicorn.Server):
    """Serves until it is told to stop, or the broker refuses us."""

    def __init__(self, app: FastAPI, client: AsyncFerClient, timeout_s: float) -> None:
        """Store what is needed.

        Args:
            app: what to serve.
            client: started and closed here.
            timeout_s: how long requests under way may take after the first signal.
        """
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio:SelectorEventLoop",  # pika's one on Windows
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                server_header=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_graceful_shutdown=math.ceil(timeout_s),
            )
        )
        self._client = client

    def serve_until_told(self, listener: socket.socket, pages: str) -> None:
        """Serve until told to stop, finish what is under way, and return.

        uvicorn takes SIGINT and SIGTERM itself meanwhile, and raises them once more at the end.

        Args:
            listener: where requests come in.
            pages: which pages there are to look at, for the log.

        Raises:
            BrokerRefusedError: the broker refuses the credentials or the virtual host.
        """
        host, port = listener.getsockname()[:2]
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        log.info("listening at http://%s, %s", place, pages)
        self.run([listener])
        if self._client.refusal is not None:
            raise self._client.refusal

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve, with the client connected meanwhile."""
        self._client.start()
        try:
            await super().serve(sockets)
        finally:
            await self._client.close()

    async def on_tick(self, counter: int) -> bool:
        """Say whether to stop; called ten times per second."""
        return await super().on_tick(counter) or self._client.refusal is not None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening and finish what is under way."""
        log.info("stopping: %d requests under way", len(self.server_state.tasks))
        await super().shutdown(sockets)

    def stop(self) -> None:
        """Tell it to stop; may be called in a signal handler."""
        self.should_exit = True
