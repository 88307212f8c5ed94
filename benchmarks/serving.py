"""`fer-worker run` as its users start it, and a client of it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_worker.cli.options import engine_arguments
from fer_worker.inference.types import EngineOptions
from tests.serving import RunningWorkers, running
from tests.waiting import wait_until


@dataclass(frozen=True)
class Served:
    """Workers that are ready, and a client."""

    workers: RunningWorkers
    client: FerClient


def run_arguments(options: EngineOptions, threads: int, processes: int) -> list[str]:
    """Arguments of `fer-worker run`."""
    return [f"--processes={processes}", f"--threads={threads}", *engine_arguments(options)]


@contextmanager
def started(
    broker: BrokerConfig,
    options: EngineOptions,
    threads: int,
    processes: int = 1,
    engine: str | None = None,
) -> Iterator[RunningWorkers]:
    """Run worker processes until the block ends; does not wait for them to be ready.

    `engine` is the name of one of the tests'; None is the one of the options.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "worker.log"
        arguments = run_arguments(options, threads, processes)
        with running(log, broker, *arguments, engine=engine) as workers:
            yield workers


@contextmanager
def served(
    broker: BrokerConfig,
    options: EngineOptions,
    threads: int,
    processes: int = 1,
    engine: str | None = None,
) -> Iterator[Served]:
    """Run worker processes as `started` does, ready, with a client connected."""
    with (
        started(broker, options, threads, processes, engine) as workers,
        FerClient(broker) as client,
    ):
        wait_until(
            lambda: len(workers.ready_pids()) == processes, timeout_s=60, what="workers are ready"
        )
        yield Served(workers, client)
