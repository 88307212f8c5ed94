"""Workers and senders for tests."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pika
from pika.adapters.blocking_connection import BlockingConnection

from fer_client.config import BrokerConfig
from fer_client.errors import BrokerRefusedError
from fer_schemas import BatchResult, SupervisorStatus
from fer_worker.admin.supervisor_client import Operator
from fer_worker.inference.types import Engine
from fer_worker.limits import Limits
from fer_worker.metrics import Meter
from fer_worker.serving.frame_pool import FramePool
from fer_worker.serving.service import Service
from fer_worker.supervision.command_listener import ControlLink, ControlRequest
from tests.waiting import wait_until


class Watcher:
    """Keeps what a service says of itself."""

    def __init__(self) -> None:
        self.drained = False
        self.refused: BrokerRefusedError | None = None

    def on_consuming(self) -> None:
        pass

    def on_drained(self) -> None:
        self.drained = True

    def on_refused(self, error: BrokerRefusedError) -> None:
        self.refused = error


@contextmanager
def serving(
    broker: BrokerConfig,
    engine: Engine,
    threads: int = 2,
    prefetch: int = 4,
    limits: Limits | None = None,
    meter: Meter | None = None,
    latest_wins: bool = False,
) -> Iterator[Service]:
    """Run a service in this process; it drains at the end."""
    watcher, limits, meter = Watcher(), limits or Limits(), meter or Meter()
    pool = FramePool(engine, threads, limits, "test/1", meter, latest_wins=latest_wins)
    service = Service(pool, broker, prefetch, "test/1", watcher, meter, limits)
    service.start()
    try:
        wait_until(lambda: service.progress.consuming, what="the service consumes")
        yield service
    finally:
        service.drain()
        wait_until(lambda: watcher.drained, what="the service has drained")
        pool.shutdown()


@contextmanager
def supervising(
    broker: BrokerConfig,
    limits: Limits | None = None,
    meter: Meter | None = None,
    on_command: Callable[[ControlRequest], None] = lambda _: None,
) -> Iterator[ControlLink]:
    """Run a supervisor's connection, without a supervisor, in this process."""
    connected: list[bool] = []
    link = ControlLink(
        broker,
        "test/2",
        meter or Meter(),
        on_command=on_command,
        on_connected=lambda: connected.append(True),
        on_disconnected=lambda: None,
        on_refused=lambda _: None,
        limits=limits or Limits(),
    )
    link.start()
    try:
        wait_until(lambda: connected, what="the supervisor listens")
        yield link
    finally:
        link.close()


class Sender:
    """A controller that knows pika and the contract, and nothing of ours."""

    def __init__(self, url: str, namespace: str) -> None:
        self.namespace = namespace
        self.connection = BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        self.reply_to = self.channel.queue_declare("", exclusive=True).method.queue

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def send(
        self,
        body: bytes | dict[str, Any],
        content_type: str | None = "application/msgpack",
        *,
        correlation_id: str | None = "generated",
        reply_to: str | None = "own",
        headers: dict[str, Any] | None = None,
        expiration: str | None = None,
    ) -> str:
        """Publish a request as the contract says; return its correlation id."""
        if correlation_id == "generated":
            correlation_id = uuid.uuid4().hex
        self.channel.basic_publish(
            f"{self.namespace}.requests",
            "frames",
            msgpack.packb(body) if isinstance(body, dict) else body,
            pika.BasicProperties(
                content_type=content_type,
                correlation_id=correlation_id,
                reply_to=self.reply_to if reply_to == "own" else reply_to,
                headers=headers,
                expiration=expiration,
                delivery_mode=2,
            ),
            mandatory=True,
        )
        return correlation_id or ""

    def take(
        self, queue: str | None = None, timeout_s: float = 20.0
    ) -> tuple[pika.BasicProperties, bytes]:
        """Wait for the next message of a queue, the reply queue by default, and ack it."""
        taken: list[tuple[pika.BasicProperties, bytes]] = []

        def look() -> bool:
            method, properties, body = self.channel.basic_get(queue or self.reply_to, auto_ack=True)
            if method is not None:
                taken.append((properties, body))
            return bool(taken)

        wait_until(look, timeout_s, what=f"a message in {queue or 'the reply queue'}")
        return taken[0]

    def receive(self, correlation_id: str, queue: str | None = None) -> BatchResult:
        """Wait for the next result, which must be that of the given request."""
        properties, body = self.take(queue)
        result = BatchResult.model_validate_json(body)
        assert properties.correlation_id == correlation_id
        assert result.correlation_id == (correlation_id or None)
        assert properties.content_type == "application/json"
        assert properties.message_id
        return result

    def depth(self, queue: str) -> int:
        """Messages that wait in a queue."""
        count = self.channel.queue_declare(queue, passive=True).method.message_count
        assert isinstance(count, int)
        return count


def request(*jpegs: bytes, **fields: Any) -> dict[str, Any]:
    """A request of the contract as a plain map."""
    return {"version": 1, "frames": [{"jpeg": jpeg} for jpeg in jpegs], **fields}


def command(
    *arguments: str, broker: BrokerConfig, module: str = "fer_worker"
) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment of a `fer-worker` command.

    Without URLs in the configuration the arguments say where the broker is.
    """
    environment = {name: value for name, value in os.environ.items() if "FER_WORKER" not in name}
    if broker.urls:
        environment["FER_WORKER_AMQP_URL"] = ",".join(broker.urls)
    environment["FER_WORKER_NAMESPACE"] = broker.namespace
    return [sys.executable, "-m", module, *arguments], environment


def fer_worker(
    *arguments: str, broker: BrokerConfig, timeout_s: float = 90.0, prefix: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a `fer-worker` command to its end; `prefix` is a command that runs it elsewhere."""
    line, environment = command(*arguments, broker=broker)
    return subprocess.run(
        [*prefix, *line], env=environment, capture_output=True, text=True, timeout=timeout_s
    )


class RunningWorkers:
    """`fer-worker run` as a process."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, broker: BrokerConfig) -> None:
        self.process = process
        self.log = log
        self.broker = broker

    def statuses(self) -> list[SupervisorStatus]:
        """What the supervisor says of itself; empty while it does not answer."""
        with Operator(self.broker) as operator:
            return [status for status in operator.statuses() if status.pid == self.process.pid]

    def status(self) -> SupervisorStatus:
        """What the supervisor says of itself, once it answers."""
        return wait_until(self.statuses, 60, "the supervisor answers")[0]

    def ready_pids(self) -> list[int]:
        """Worker processes that are ready, by the supervisor's own word."""
        return [
            process.pid
            for status in self.statuses()
            for process in status.processes
            if process.state == "ready"
        ]


@contextmanager
def running(
    log: Path,
    broker: BrokerConfig,
    *arguments: str,
    engine: str | None = None,
    prefix: Sequence[str] = (),
) -> Iterator[RunningWorkers]:
    """Run `fer-worker run` until the block ends; its log goes to a file.

    Args:
        log: the file; it is appended to.
        broker: where requests come from.
        arguments: options of `run`.
        engine: the name of one in `tests.engines`, or None for the one that is the default.
        prefix: a command that becomes this one elsewhere, such as in another namespace.
    """
    if engine is None:
        line, environment = command("run", *arguments, broker=broker)
    else:
        line, environment = command(engine, *arguments, broker=broker, module="tests.workers")
    with log.open("ab") as output:
        # Ctrl-C is for us; in a group of its own it ends when the block does.
        process = subprocess.Popen(
            [*prefix, *line], env=environment, stderr=output, stdout=output, process_group=0
        )
    try:
        yield RunningWorkers(process, log, broker)
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()
            process.wait()
