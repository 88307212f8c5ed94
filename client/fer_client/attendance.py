"""Whether anybody takes batches. The broker is asked while answers stay away, and only then.

Nobody may mean that workers start or are restarted: the queue keeps the batches for them. A
supervisor tells: each one reads a queue of its own from its start to its end, also while its
workers start, drain or are paused.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from fer_client.amqp.channel import ConnectionLostError
from fer_client.amqp.connection import Connection
from fer_client.amqp.topology import Topology, consumers_of

log = logging.getLogger(__name__)

SILENCE_S = 1.5
"""How long answers have to stay away. With the interval: what is missing is said within 3 s."""

LOOK_INTERVAL_S = 1.0

LOOK_LIMIT_S = 5.0
"""On a slow line a question may be behind megabytes of frames, and its answer is not worth a new
connection."""


class Attendance:
    """What is known of those who take batches."""

    def __init__(self, topology: Topology, on_nobody: Callable[[str], None]) -> None:
        """Store what is needed.

        Args:
            topology: of the namespace.
            on_nobody: called with the reason as often as there is neither worker nor supervisor.
        """
        self.absence: str | None = None
        """That nobody takes batches, as last heard, and what to do."""
        self._topology = topology
        self._on_nobody = on_nobody
        self._quiet_since = 0.0
        """Since when answers stay away, on the monotonic clock."""

    def expect(self) -> None:
        """Begin to wait for an answer."""
        self._quiet_since = max(self._quiet_since, time.monotonic())

    def confirm(self) -> None:
        """Take note that there was an answer."""
        self.expect()
        self._note(None)

    async def watch(
        self, connection: Connection, is_waiting: Callable[[], bool], grace_s: float
    ) -> None:
        """Ask over a connection, until it is lost.

        Args:
            connection: an open one.
            is_waiting: whether answers are expected; nobody is asked for otherwise.
            grace_s: how long answers may stay away at first, on top.
        """
        self._quiet_since = time.monotonic() + grace_s
        with contextlib.suppress(ConnectionLostError):
            while True:
                await asyncio.sleep(LOOK_INTERVAL_S)
                if is_waiting() and time.monotonic() >= self._quiet_since + SILENCE_S:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_LIMIT_S):
                            await self._look(connection)

    async def _look(self, connection: Connection) -> None:
        frames = self._topology.frames.name
        if await consumers_of(connection, frames) != 0:  # where it is not told, somebody may be
            self._note(None)
            return
        nobody = f"nobody takes batches from {frames} (consumers 0)"
        if await consumers_of(connection, self._topology.undeliverable.name) != 0:
            self._note(f"{nobody}; `fer-worker status` says what its workers do")
            return
        absence = f"{nobody}; `fer-worker run` starts workers"
        self._note(absence)
        self._on_nobody(absence)

    def _note(self, absence: str | None) -> None:
        if absence == self.absence:
            return
        self.absence = absence
        if absence is not None:
            log.warning("%s", absence)
        else:
            log.info("somebody takes batches from %s", self._topology.frames.name)
