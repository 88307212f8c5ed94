"""`fer-worker run`: the supervisor and its worker processes."""

import logging
import os
import sys

import click

from worker.cli.options import broker_options, engine_options
from worker.config import DEFAULT_DRAIN_TIMEOUT_S, BrokerConfig, Limits, host_name
from worker.cores import available_cores
from worker.inference.engine import EngineOptions
from worker.logs import setup_logs
from worker.process import WorkerConfig
from worker.supervisor import Supervisor


@click.command()
@click.option("--processes", type=click.IntRange(0), default=1, help="Worker processes; 0 pauses.")
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=available_cores,
    show_default="cores",
    help="Frames analysed at once in each process.",
)
@click.option(
    "--prefetch",
    type=click.IntRange(1),
    show_default="2 x threads",
    help="Batches that each process takes ahead.",
)
@click.option(
    "--max-processes", type=click.IntRange(1), default=64, help="What `scale` may ask for at most."
)
@click.option(
    "--drain-timeout",
    type=click.FloatRange(0),
    default=DEFAULT_DRAIN_TIMEOUT_S,
    metavar="SECONDS",
    help="Time to finish what was taken when told to stop.",
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info"
)
@broker_options
@engine_options
def run(
    engine: EngineOptions,
    broker: BrokerConfig,
    processes: int,
    threads: int,
    prefetch: int | None,
    max_processes: int,
    drain_timeout: float,
    log_level: str,
) -> None:
    """Serve: take batches from the queue and answer them, until SIGTERM or Ctrl-C.

    A broker that is not up yet is waited for. The first signal drains: everything taken is
    answered before the processes leave. A second one leaves at once, and the broker delivers the
    rest to other workers.
    """
    level = logging.getLevelNamesMapping()[log_level.upper()]
    setup_logs(f"{host_name()}/{os.getpid()}", level)
    config = WorkerConfig(
        broker=broker,
        engine=engine,
        limits=Limits(),
        threads=threads,
        prefetch=prefetch or 2 * threads,
        drain_timeout_s=drain_timeout,
        log_level=level,
    )
    sys.exit(Supervisor(config, processes, max_processes).run())
