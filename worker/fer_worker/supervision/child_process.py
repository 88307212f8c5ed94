"""A process that a supervisor starts, hears of, and ends."""

import asyncio
import multiprocessing
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from typing import Self

from pydantic import ValidationError

from fer_worker.platform import system
from fer_worker.supervision.message_stream import MessageStream
from fer_worker.supervision.messages import CHILD_MESSAGE, Examination, Report
from fer_worker.supervision.worker_config import WorkerConfig

START_LIMIT_S = 300.0
"""How long a process may take to its first report: to load its engine on a slow machine."""

EXIT_GRACE_S = 2.0
"""How long a process may take from the end of its socket to its exit."""

Target = Callable[[WorkerConfig, socket.socket], None]
"""What a process runs. It ends the interpreter."""


class ChildProcess:
    """One process, its socket, and what it reported last."""

    def __init__(
        self, process: SpawnProcess, stream: MessageStream, exited: "asyncio.Task[None]"
    ) -> None:
        """Store the parts; see `start`."""
        assert process.pid is not None
        self.pid: int = process.pid
        self.exit_code: int | None = None
        """None while it lives; negative: minus the signal that ended it."""
        self.report: Report | None = None
        """None until its engine is warm."""
        self.started = time.monotonic()
        self._process = process
        self._stream = stream
        self._exited = exited
        self._reported = self.started

    @classmethod
    async def start(cls, target: Target, config: WorkerConfig) -> Self:
        """Start one: a new interpreter, never a fork beside the threads of OpenCV or TensorFlow.

        Raises:
            OSError: the machine has no room for it: no memory, descriptor or process is left.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = multiprocessing.get_context("spawn").Process(
                    target=target, args=(config, theirs)
                )
                system.start(process)
            exited = asyncio.create_task(system.wait_for_exit(process.sentinel))
            return cls(process, await MessageStream.open(ours, exited), exited)
        except BaseException:
            ours.close()
            raise

    @property
    def stuck_s(self) -> float:
        """Seconds since it last made progress, or that its start takes beyond `START_LIMIT_S`.

        It reports four times per second, and every step of its work (a frame) is to end.
        """
        if self.report is None:
            return max(0.0, time.monotonic() - self.started - START_LIMIT_S)
        working_since = self.report.progress.working_since
        return time.monotonic() - min(self._reported, working_since or self._reported)

    def send(self, *parts: bytes) -> None:
        """Send it one message."""
        self._stream.send(*parts)

    async def receive(self) -> Report | Examination | None:
        """Return its next message, or None once it has ended and `exit_code` is known.

        A report is kept as well. What is no message ends the process.
        """
        while (message := await self._stream.receive()) is not None:
            try:
                said = CHILD_MESSAGE.validate_json(message)
            except ValidationError:
                self.kill()
                continue
            if isinstance(said, Report):
                self.report = said
                self._reported = time.monotonic()
            return said
        await self._reap()
        return None

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self.exit_code is None and self._process.is_alive()

    def kill(self) -> None:
        """End it at once; the broker delivers to others what it had."""
        if self.exit_code is None:
            self._process.kill()

    async def _reap(self) -> None:
        """Wait for its exit. Once it has hung up it has little time for it."""
        if self.exit_code is not None:
            return
        self._stream.close()
        try:
            async with asyncio.timeout(EXIT_GRACE_S):
                await asyncio.shield(self._exited)
        except TimeoutError:
            self._process.kill()
            await self._exited
        self._process.join()
        self.exit_code = self._process.exitcode
        self._process.close()


def explain_exit(code: int | None) -> str:
    """Say how a process ended: by which signal, or with which exit code."""
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal
        return f"killed by signal {-code}"
