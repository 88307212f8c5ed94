"""An asyncio loop on a thread, for tests that look at it from outside."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from fer_client.amqp.connection import connect
from fer_client.amqp.parameters import node_parameters
from fer_client.amqp.topology import Topology, declare
from fer_client.config import BrokerConfig

Value = TypeVar("Value")


class LoopThread:
    """Runs coroutines on a loop of its own. A context manager."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> "LoopThread":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def start(self, coroutine: Coroutine[Any, Any, Value]) -> "Future[Value]":
        """Run a coroutine, and return a future of what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def run(self, coroutine: Coroutine[Any, Any, Value], timeout_s: float = 30.0) -> Value:
        """Run a coroutine to its end."""
        return self.start(coroutine).result(timeout_s)


def declare_queues(url: str, namespace: str = "fer") -> None:
    """Declare all that a namespace has."""

    async def connect_and_declare() -> None:
        (parameters,) = node_parameters(BrokerConfig((url,)), "test")
        connection = await connect(parameters)
        await declare(connection, Topology(namespace))
        await connection.close()

    asyncio.run(connect_and_declare())
