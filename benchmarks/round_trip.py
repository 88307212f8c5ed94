"""Request to confirmed reply through this worker, Celery, Dramatiq and FastStream.

Every turn has a fresh worker process, a fresh requester and queues of its own. Requests wait in the
queue beforehand, so that the rate is the worker's and not the requester's; latencies are those of
requests one at a time.

python -m benchmarks.round_trip
"""

import logging
import multiprocessing
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from statistics import median
from time import perf_counter
from typing import Final

import click

from benchmarks import fer_library
from benchmarks.broker_path import FRAME_BYTES, NoEngine, padded_jpeg, rate_of
from benchmarks.effort import FULL, QUICK, Effort
from benchmarks.frameworks import celery, dramatiq, faststream, own
from benchmarks.frameworks.contract import Answer, Framework, Reply, Work, no_work
from benchmarks.latency import milliseconds
from benchmarks.machine import cores, memory_of
from benchmarks.report import Grid
from benchmarks.rounds import Rounds, take_turns
from benchmarks.tables import grid
from benchmarks.variants import machine
from fer_worker.inference.factory import create_engine
from fer_worker.inference.types import EngineName, EngineOptions
from fer_worker.quantiles import percentile
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from tests.frames import sample

OTHERS: Final[Mapping[str, Framework]] = {
    "Celery": celery,
    "Dramatiq": dramatiq,
    "FastStream": faststream,
}
OWN: Final = "fer-worker"
THREADS: Final = 8
"""Of others' workers where there is no work: Dramatiq's default."""
ONE_BY_ONE: Final = 5
"""One request by itself for so many out of the queue."""
TIMEOUT_S: Final = 300.0
"""Of a reply that never comes."""
COLUMNS: Final = ("requests/s", "p50, ms", "p99, ms", "memory, MB")

Contestants = Mapping[str, tuple[Framework, Work]]


@dataclass(frozen=True)
class Turn:
    """What one worker did in one round."""

    rate: float
    """Requests per second."""
    ms: Sequence[float]
    """From request to reply."""
    memory_mb: float
    """Resident, of the worker's process."""


def measure(url: str, effort: Effort) -> tuple[tuple[Grid, ...], dict[str, Rounds]]:
    """Measure the way of a request without work, and with fer's own answer where fer is installed.

    Returns:
        A table of each, and the rates of every round.
    """

    def race(contestants: Contestants, requests: int, rounds: int) -> dict[str, list[Turn]]:
        return take_turns(
            {name: partial(turn, url, requests, *one) for name, one in contestants.items()}, rounds
        )

    turns = {
        f"round trip of {FRAME_BYTES // 1000} kB without an engine, one process": race(
            everyone(Work(padded_jpeg(FRAME_BYTES), THREADS, no_work, NoEngine)),
            effort.requests,
            effort.starts,
        )
    }
    if find_spec("fer"):
        turns[f"the same with fer's answer to a frame, {cores()} threads"] = race(
            with_fer(), effort.fer_requests, effort.fer_rounds
        )
    return tuple(_table(title, its) for title, its in turns.items()), {
        f"requests/s, {title}": {name: [turn.rate for turn in one] for name, one in its.items()}
        for title, its in turns.items()
    }


def with_fer() -> Contestants:
    """All of them with the fer library, and this worker with its own engine as well."""
    frame = sample("grace_hopper")

    def work(engine: EngineName) -> Work:
        options = EngineOptions.as_fer(engine, faces="all")
        return Work(frame, cores(), fer_answer, partial(create_engine, options))

    return {f"{OWN}, --compat fer": (own, work("native")), **everyone(work("fer"))}


def everyone(work: Work) -> Contestants:
    """All of them, with the same work."""
    return {name: (framework, work) for name, framework in {OWN: own, **OTHERS}.items()}


def fer_answer(threads: int) -> Answer:
    """Answer with the heights of the faces that the fer library finds."""
    analyze = fer_library.load(threads)
    logging.getLogger().setLevel(logging.WARNING)  # the library has everybody log everything

    def answer(jpeg: bytes) -> bytes:
        return repr(analyze(jpeg)).encode()

    return answer


def turn(url: str, requests: int, framework: Framework, work: Work) -> Turn:
    """Let a worker answer requests that wait, and then some one at a time."""
    queue = f"round-trip-{secrets.token_hex(4)}"
    spawn = multiprocessing.get_context("spawn")
    worker = spawn.Process(target=framework.serve, args=(url, queue, work), daemon=True)
    with framework.requester(url, queue, work.jpeg) as ask:
        replies = [ask() for _ in range(requests)]
        worker.start()
        try:
            rate = rate_of([_when(reply) for reply in replies])
            ms = [milliseconds(lambda: ask()(TIMEOUT_S)) for _ in range(requests // ONE_BY_ONE)]
            assert worker.pid is not None
            return Turn(rate, ms, memory_of([worker.pid]).rss)
        finally:
            worker.kill()
            worker.join()


def _when(reply: Reply) -> float:
    reply(TIMEOUT_S)
    return perf_counter()


def _table(title: str, turns: Mapping[str, Sequence[Turn]]) -> Grid:
    return Grid(
        title=title,
        corner="",
        columns=COLUMNS,
        rows=tuple(turns),
        cells=tuple(_figures(its) for its in turns.values()),
    )


def _figures(turns: Sequence[Turn]) -> tuple[float, ...]:
    ms = [one for turn in turns for one in turn.ms]
    return (
        median(turn.rate for turn in turns),
        *(percentile(ms, percent) or 0.0 for percent in (50, 99)),
        median(turn.memory_mb for turn in turns),
    )


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="A round or two only: a look.")
def main(quick: bool) -> None:
    """Print the tables."""
    with EmbeddedBroker() as node:
        tables, _ = measure(node.url, QUICK if quick else FULL)
    click.echo(machine())
    for table in tables:
        click.echo(f"\n{table.title}\n\n{grid(table).markdown()}")


if __name__ == "__main__":
    main()
