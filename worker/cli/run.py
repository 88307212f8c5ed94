"""`fer-worker run`: the supervisor and its worker processes."""

import logging
import os
import sys
from typing import get_args

import click

from worker.cli.limits import limit_options
from worker.cli.options import broker_options, engine_options
from worker.config import (
    DEFAULT_DRAIN_TIMEOUT_S,
    DEFAULT_HANG_TIMEOUT_S,
    BrokerConfig,
    Limits,
    host_name,
)
from worker.cores import available_cores, plan
from worker.inference.engine import EngineFactory, EngineOptions, create_engine
from worker.logs import LogFormat, setup_logs
from worker.process import WorkerConfig
from worker.supervisor import Supervisor


class _Count(click.ParamType[int | None]):
    """A number, or `auto`, which leaves it to the plan (None)."""

    name = "number"

    def __init__(self, least: int) -> None:
        self._least = least

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        if value in (None, "auto"):
            return None
        text = str(value)
        if not text.isdecimal() or int(text) < self._least:
            self.fail(f"{text!r} is neither auto nor a number from {self._least} on", param, ctx)
        return int(text)


@click.command()
@click.option(
    "--processes",
    type=_Count(0),
    default="auto",
    help="Worker processes; 0 pauses. auto: one a core, or what the threads leave.",
)
@click.option(
    "--threads",
    type=_Count(1),
    default="auto",
    help="Frames analysed at once in each process. auto: one, or what the processes leave.",
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
    "--hang-timeout",
    type=click.FloatRange(2),
    default=DEFAULT_HANG_TIMEOUT_S,
    metavar="SECONDS",
    help="Time that one frame may take at most; then its process is replaced.",
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info"
)
@click.option(
    "--log-format",
    type=click.Choice(get_args(LogFormat)),
    default="text",
    help="Lines for a terminal, or a JSON object each.",
)
@click.pass_obj
@broker_options
@engine_options
@limit_options
def run(
    limits: Limits,
    engine: EngineOptions,
    broker: BrokerConfig,
    engine_factory: EngineFactory | None,  # whoever calls this from Python may hand one in
    processes: int | None,
    threads: int | None,
    prefetch: int | None,
    max_processes: int,
    drain_timeout: float,
    hang_timeout: float,
    log_level: str,
    log_format: LogFormat,
) -> None:
    """Serve: take batches from the queue and answer them, until SIGTERM or Ctrl-C.

    A broker that is not up yet is waited for. The first signal drains: everything taken is
    answered before the processes leave. A second one leaves at once, and the broker delivers the
    rest to other workers. SIGHUP replaces the processes one after the other, each when its
    successor is ready.
    """
    level = logging.getLevelNamesMapping()[log_level.upper()]
    setup_logs(f"{host_name()}/{os.getpid()}", level, log_format)
    cores = plan(available_cores(), processes, threads)
    prefetch = prefetch or 2 * cores.threads
    logging.getLogger(__name__).info(
        "plan for %d cores: processes x threads = %d x %d, prefetch %d",
        cores.cores,
        cores.processes,
        cores.threads,
        prefetch,
    )
    config = WorkerConfig(
        broker=broker,
        engine=engine,
        limits=limits,
        threads=cores.threads,
        prefetch=prefetch,
        drain_timeout_s=drain_timeout,
        hang_timeout_s=hang_timeout,
        log_level=level,
        log_format=log_format,
        create_engine=engine_factory or create_engine,
    )
    sys.exit(Supervisor(config, cores.processes, max_processes).run())
