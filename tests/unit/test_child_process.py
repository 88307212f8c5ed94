"""A process that says what is no message."""

import asyncio
import signal
import socket

from fer_client.config import BrokerConfig
from fer_worker.limits import DEFAULT_LIMITS
from fer_worker.supervision.child_process import ChildProcess
from fer_worker.supervision.worker_config import WorkerConfig
from tests.serving import worker_config

NO_MESSAGE = (1).to_bytes(4) + b"x"


def flood(_: WorkerConfig, end: socket.socket) -> None:
    """Say much that is no message, and then wait for the end."""
    end.sendall(NO_MESSAGE * 2000)
    end.recv(1)


def test_process_that_floods_its_supervisor_with_what_is_no_message_is_ended() -> None:
    config = worker_config(BrokerConfig(("amqp://127.0.0.1:1/",)), "SizeEngine", DEFAULT_LIMITS)

    async def run() -> None:
        process = await ChildProcess.start(flood, config)
        try:
            async with asyncio.timeout(60):
                assert await process.receive() is None
            assert process.exit_code == -signal.SIGKILL
            assert not process.is_alive
        finally:
            process.kill()

    asyncio.run(run())
