"""A line of log for each request, with the correlation id of its batch."""

import asyncio
import logging
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fer_worker.logging_setup import log_context

log = logging.getLogger(__name__)

LONGEST_PATH: Final = 100


class AccessLog:
    """ASGI middleware. Health is asked often, and not told: the connection has lines of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and tell how it ended."""
        if scope["type"] != "http" or scope["path"] == "/":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500  # unless something else is answered

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except asyncio.CancelledError:
            pass  # by a server that waits no longer; it would log a traceback
        finally:
            log.log(
                logging.WARNING if status >= 500 else logging.INFO,
                "%s %s: %d in %.0f ms",
                scope["method"],
                scope["path"][:LONGEST_PATH],
                status,
                1000 * (time.perf_counter() - began),
                extra=log_context(scope.get("state", {}).get("correlation_id")),
            )
