"""What one quorum queue carries, on one node and on three, and what limits it.

python -m benchmarks.queue_capacity

A publisher that waits for confirms and a consumer that acks, this project's own, a process each.
CPU is that of the process; for the broker, of all its nodes. Where the three take as much together
as there are cores, the machine is the limit and not the queue.
"""

import asyncio
import multiprocessing
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Final

import click
import pika
from pika.adapters.blocking_connection import BlockingConnection

from benchmarks.broker_path import PREFETCH
from benchmarks.machine import cpu_seconds
from benchmarks.report import Grid
from benchmarks.rounds import take_turns
from benchmarks.tables import grid
from benchmarks.variants import machine
from fer_client.amqp.connection import Connection, connect
from fer_client.amqp.consumer import Consumer, Delivery
from fer_client.amqp.parameters import node_parameters
from fer_client.amqp.publisher import Message, Publisher
from fer_client.config import BrokerConfig
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from tests.cluster import Cluster, Node
from tests.waiting import wait_until

MESSAGES: Final = {10_000: 6_000, 100_000: 3_000, 1_000_000: 300}
"""Of a turn, by their size in bytes."""
ROUNDS: Final = 3
UNCONFIRMED: Final = 256
COLUMNS: Final = ("messages/s", "MB/s", "publisher, % of a core", "consumer, %", "broker, %")


@dataclass(frozen=True)
class Side:
    """What one process did."""

    times: Sequence[float]
    """When each message was handed to the library, or came, in seconds."""
    cpu_s: float


Work = Callable[[Connection, str, int, int], Awaitable[list[float]]]
"""On a connection, with a queue, a size in bytes and a number of messages; returns their times."""


async def publish(connection: Connection, queue: str, size: int, messages: int) -> list[float]:
    """Publish so many messages of a size; return when, once all are confirmed."""
    publisher, body = await Publisher.open(connection), bytes(size)
    free = asyncio.Semaphore(UNCONFIRMED)
    times: list[float] = []
    for _ in range(messages):
        await free.acquire()
        times.append(time.perf_counter())
        persistent = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent.value)
        confirmation = publisher.send(Message(queue, body, persistent))
        confirmation.add_done_callback(lambda _: free.release())
    for _ in range(UNCONFIRMED):
        await free.acquire()
    return times


async def consume(connection: Connection, queue: str, size: int, messages: int) -> list[float]:
    """Take and ack so many messages; return when."""
    times: list[float] = []
    all_came = asyncio.Event()

    def on_delivery(delivery: Delivery) -> None:
        times.append(time.perf_counter())
        delivery.ack()
        if len(times) == messages:
            all_came.set()

    await Consumer.start(connection, queue, PREFETCH, on_delivery)
    await all_came.wait()
    return times


def measure(nodes: Mapping[str, tuple[str, Sequence[int]]], rounds: int = ROUNDS) -> Grid:
    """Measure every size on every broker, in turns.

    Args:
        nodes: by name, the URL of a node and the processes of all nodes.
        rounds: of which a figure is the median.
    """
    turns = take_turns(
        {
            f"{size // 1000} kB, {name}": partial(turn, url, pids, size, messages)
            for size, messages in MESSAGES.items()
            for name, (url, pids) in nodes.items()
        },
        rounds,
    )
    return Grid(
        title="what one quorum queue carries",
        corner="",
        columns=COLUMNS,
        rows=tuple(turns),
        cells=tuple(tuple(map(median, zip(*its, strict=True))) for its in turns.values()),
    )


def turn(url: str, nodes: Sequence[int], size: int, messages: int) -> tuple[float, ...]:
    """Pass messages through a new queue; return the figures of `COLUMNS`."""
    queue = f"capacity-{secrets.token_hex(4)}"
    with BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(max_workers=2, mp_context=spawn) as processes:

            def side(work: Work) -> "Future[Side]":
                return processes.submit(_side, work, url, queue, size, messages)

            def is_consumed() -> bool:
                declared = channel.queue_declare(queue, passive=True)
                return bool(declared.method.consumer_count)

            consumer = side(consume)
            wait_until(is_consumed, 60, "the queue is consumed")
            before = sum(map(cpu_seconds, nodes))
            publisher = side(publish).result()
            took_s = consumer.result().times[-1] - publisher.times[0]
            broker_s = sum(map(cpu_seconds, nodes)) - before
        channel.queue_delete(queue)
    rate = messages / took_s
    cpu_s = (publisher.cpu_s, consumer.result().cpu_s, broker_s)
    return rate, rate * size / 1e6, *(100 * seconds / took_s for seconds in cpu_s)


def _side(work: Work, url: str, queue: str, size: int, messages: int) -> Side:
    """One of the two processes."""

    async def run() -> Side:
        (parameters,) = node_parameters(BrokerConfig((url,)), "benchmark")
        connection = await connect(parameters)
        begun = time.process_time()
        times = await work(connection, queue, size, messages)
        cpu_s = time.process_time() - begun
        await connection.close()
        return Side(times, cpu_s)

    return asyncio.run(run())


def pids(nodes: Iterable[EmbeddedBroker | Node]) -> list[int]:
    """The processes of some nodes, by their own word."""
    return [int(node.rabbitmqctl("eval", "os:getpid().").strip().strip('"')) for node in nodes]


@click.command(help=__doc__)
@click.option("--rounds", default=ROUNDS, show_default=True)
def main(rounds: int) -> None:
    """Print the table."""
    with EmbeddedBroker() as node, Cluster() as cluster:
        table = measure(
            {
                "one node": (node.url, pids([node])),
                "three nodes": (cluster.urls[0], pids(cluster.nodes)),
            },
            rounds,
        )
    click.echo(f"{machine()}\n\n{grid(table).markdown()}")


if __name__ == "__main__":
    main()
