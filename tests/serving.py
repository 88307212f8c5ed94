"""Workers and senders for tests."""

import asyncio
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import pika
from click.testing import CliRunner
from pika.adapters.blocking_connection import BlockingConnection

from fer_client.amqp.connection import Connection
from fer_client.amqp.sessions import keep_connected
from fer_client.amqp.topology import Topology
from fer_client.config import BrokerConfig
from fer_schemas import BatchResult, SupervisorStatus
from fer_worker.admin.supervisor_client import SupervisorClient
from fer_worker.cli import main
from fer_worker.inference.types import Engine, EngineOptions
from fer_worker.limits import Limits
from fer_worker.metrics import MetricsRecorder
from fer_worker.serving.dead_letter_consumer import DeadLetterConsumer
from fer_worker.serving.frame_pool import FramePool
from fer_worker.serving.request_checks import RequestChecks
from fer_worker.serving.responder import Responder
from fer_worker.serving.service import Service
from fer_worker.supervision.command_listener import Command, CommandListener, Reply
from fer_worker.supervision.quarantine import Quarantine
from fer_worker.supervision.worker_config import WorkerConfig
from tests.loops import LoopThread
from tests.waiting import wait_until
from tests.workers import create


@contextmanager
def serving(
    broker: BrokerConfig,
    engine: Engine,
    threads: int = 2,
    prefetch: int = 4,
    limits: Limits | None = None,
    meter: MetricsRecorder | None = None,
) -> Iterator[Service]:
    """Run a service in this process; it drains at the end."""
    limits, meter = limits or Limits(), meter or MetricsRecorder()
    pool = FramePool(engine, threads, limits, "test/1", meter)
    service = Service(pool, broker, prefetch, "test/1", meter, limits, on_change=lambda: None)
    with LoopThread() as loop:
        serving = loop.start(service.run())
        try:
            wait_until(lambda: service.progress.consuming, what="the service consumes")
            yield service
        finally:
            loop.loop.call_soon_threadsafe(service.drain)
            serving.result(30)
            pool.close()


@contextmanager
def supervising(
    broker: BrokerConfig,
    limits: Limits | None = None,
    meter: MetricsRecorder | None = None,
    execute: Callable[[Command], AsyncIterator[Reply]] | None = None,
    examine_with: str | None = None,
) -> Iterator[None]:
    """Do in this process what a supervisor does over the broker, without worker processes.

    Args:
        broker: and the namespace.
        limits: of requests.
        meter: counts the requests.
        execute: carries out commands; they are ignored without it.
        examine_with: name of the engine of the tests that examiners have; without it nothing is
            examined.
    """
    meter, topology = meter or MetricsRecorder(), Topology(broker.namespace)
    checks = RequestChecks(topology, limits or Limits())
    over, listening = asyncio.Event(), threading.Event()

    async def serve(connection: Connection) -> None:
        responder = await Responder.open(connection, topology, "test/2")
        queue = topology.undeliverable.name
        commands = CommandListener(topology, responder.publisher, execute or ignore)
        async with asyncio.TaskGroup() as duties:
            running = [
                duties.create_task(
                    DeadLetterConsumer(queue, responder, checks, "test/2", meter).run(connection)
                ),
                duties.create_task(commands.run(connection, listening.set)),
            ]
            if examine_with is not None:
                quarantine = Quarantine(
                    topology.quarantine.name,
                    worker_config(broker, examine_with, checks.limits),
                    responder,
                    checks,
                    meter,
                )
                running.append(duties.create_task(quarantine.run(connection)))
            await over.wait()
            for duty in running:
                duty.cancel()

    with LoopThread() as loop:
        link = loop.start(keep_connected(broker, "test", serve, until=over))
        try:
            wait_until(listening.is_set, what="the supervisor listens")
            yield
        finally:
            loop.loop.call_soon_threadsafe(over.set)
            link.result(30)


def worker_config(
    broker: BrokerConfig, engine: str, limits: Limits, hang_timeout_s: float = 60.0
) -> WorkerConfig:
    """What a supervisor hands to processes with an engine of the tests."""
    return WorkerConfig(
        broker=broker,
        engine=EngineOptions(),
        limits=limits,
        threads=1,
        prefetch=2,
        drain_timeout_s=30.0,
        hang_timeout_s=hang_timeout_s,
        create_engine=partial(create, engine),
    )


async def ignore(_: Command) -> AsyncIterator[Reply]:
    """Answer nothing."""
    nothing: tuple[Reply, ...] = ()
    for reply in nothing:
        yield reply


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
    *arguments: str,
    broker: BrokerConfig,
    module: str = "fer_worker",
    python: str = sys.executable,
) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment of a `fer-worker` command.

    Without URLs in the configuration the arguments say where the broker is.
    """
    environment = {name: value for name, value in os.environ.items() if "FER_WORKER" not in name}
    return [python, "-m", module, *arguments], environment | variables(broker)


def variables(broker: BrokerConfig) -> dict[str, str]:
    """The environment variables that say where the broker is."""
    url = {"FER_WORKER_AMQP_URL": ",".join(broker.urls)} if broker.urls else {}
    return url | {"FER_WORKER_NAMESPACE": broker.namespace}


def fer_worker(*arguments: str, broker: BrokerConfig) -> subprocess.CompletedProcess[str]:
    """Run a `fer-worker` command to its end, in this process: a new one takes a second to start.

    Only for commands that set up no logging and start no processes of ours: `run` would leave this
    process deaf to signals, and with it all that it starts.
    """
    assert arguments[0] != "run"
    nothing: dict[str, str | None] = {name: None for name in os.environ if "FER_WORKER" in name}
    runner = CliRunner(env=nothing | {"COLUMNS": "80"} | variables(broker))
    done = runner.invoke(main, arguments, prog_name="fer-worker", catch_exceptions=False)
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def fer_worker_process(
    *arguments: str,
    broker: BrokerConfig,
    timeout_s: float = 90.0,
    prefix: Sequence[str] = (),
    python: str = sys.executable,
) -> subprocess.CompletedProcess[str]:
    """Run a `fer-worker` command as a process; `prefix` is a command that runs it elsewhere."""
    line, environment = command(*arguments, broker=broker, python=python)
    return subprocess.run(
        [*prefix, *line], env=environment, capture_output=True, text=True, timeout=timeout_s
    )


ASK_AGAIN_S = 0.1
"""Between two questions to a supervisor: each is a connection."""


class RunningWorkers:
    """`fer-worker run` as a process."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, broker: BrokerConfig) -> None:
        self.process = process
        self.log = log
        self.broker = broker

    def status(self) -> SupervisorStatus:
        """What the supervisor says of itself, once it answers."""
        return wait_until(self._status, 60, "the supervisor answers", ASK_AGAIN_S)

    def ready_pids(self) -> list[int]:
        """Worker processes that are ready, by the supervisor's own word."""
        status = self._status()
        processes = status.processes if status else ()
        return [process.pid for process in processes if process.state == "ready"]

    def await_ready(self, processes: int) -> list[int]:
        """Wait until exactly so many worker processes are ready; return their pids."""
        pids: list[int] = []

        def look() -> bool:
            pids[:] = self.ready_pids()
            return len(pids) == processes

        wait_until(look, 60, f"ready processes: {processes}", ASK_AGAIN_S)
        return pids

    def _status(self) -> SupervisorStatus | None:
        """None while it does not answer."""
        with SupervisorClient(self.broker) as operator:
            answers = operator.each_status()
            return next((answer for answer in answers if answer.pid == self.process.pid), None)


@contextmanager
def running(
    log: Path,
    broker: BrokerConfig,
    *arguments: str,
    engine: str | None = None,
    prefix: Sequence[str] = (),
    python: str = sys.executable,
) -> Iterator[RunningWorkers]:
    """Run `fer-worker run` until the block ends; its log goes to a file.

    Args:
        log: the file; it is appended to.
        broker: where requests come from.
        arguments: options of `run`.
        engine: the name of one in `tests.engines`, or None for the one that is the default.
        prefix: a command that becomes this one elsewhere, such as in another namespace.
        python: the interpreter, which may be another machine's.
    """
    name, module = ("run", "fer_worker") if engine is None else (engine, "tests.workers")
    line, environment = command(name, *arguments, broker=broker, module=module, python=python)
    with log.open("ab") as output:
        # Ctrl-C is for us; in a session of its own it ends when the block does, and has no
        # terminal.
        process = subprocess.Popen(
            [*prefix, *line], env=environment, stderr=output, stdout=output, start_new_session=True
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
