"""`fer-worker run`: the supervisor and its worker processes."""

import logging
import os
import sys

import click

from fer_client.config import BrokerConfig, host_name
from fer_worker.cli.limits import limit_options
from fer_worker.cli.options import broker_options, engine_options, log_options
from fer_worker.cli.types import DAY_S, SECONDS, SECONDS_OR_NONE, Bounds, Count, NumberRange
from fer_worker.inference.factory import create_engine
from fer_worker.inference.native.kernels import choose_kernel
from fer_worker.inference.types import EngineFactory, EngineOptions
from fer_worker.limits import Limits
from fer_worker.logging_setup import LogFormat, setup_logs
from fer_worker.supervision.autoscaler import Autoscaler
from fer_worker.supervision.cpu_plan import available_cores, plan
from fer_worker.supervision.supervisor import Supervisor
from fer_worker.supervision.worker_config import (
    DEFAULT_DRAIN_TIMEOUT_S,
    DEFAULT_HANG_TIMEOUT_S,
    WorkerConfig,
)

log = logging.getLogger(__name__)


@click.command()
@click.option(
    "--processes",
    type=Count(0),
    default="auto",
    help="Worker processes; 0 pauses. auto: one per core, or what the threads leave.",
)
@click.option(
    "--threads",
    type=Count(1),
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
    type=SECONDS_OR_NONE,
    default=DEFAULT_DRAIN_TIMEOUT_S,
    metavar="SECONDS",
    help="Time to finish what was taken when told to stop; then the exit code is 1.",
)
@click.option(
    "--hang-timeout",
    type=NumberRange(2, DAY_S),
    default=DEFAULT_HANG_TIMEOUT_S,
    metavar="SECONDS",
    help="Time that one frame may take at most; then its process is replaced.",
)
@click.option(
    "--autoscale",
    type=Bounds(),
    metavar="MIN:MAX",
    help="Let the supervisor decide how many processes, by the queue; instead of --processes. For "
    "one supervisor per queue.",
)
@click.option(
    "--target-wait",
    type=SECONDS,
    default=1.0,
    metavar="SECONDS",
    help="With --autoscale: more processes when batches are expected to wait longer.",
)
@click.option(
    "--quiet-time",
    type=SECONDS_OR_NONE,
    default=30.0,
    metavar="SECONDS",
    help="With --autoscale: one process fewer when fewer have been enough for so long.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    help="Serve /metrics, /livez and /readyz over HTTP; 0 takes any free port. Off without it.",
)
@click.option(
    "--metrics-host",
    default="127.0.0.1",
    help="Address to serve them on; 0.0.0.0 for all of this machine's.",
)
@log_options
@click.pass_obj
@broker_options
@engine_options
@limit_options
def run(
    limits: Limits,
    engine: EngineOptions,
    broker: BrokerConfig,
    engine_factory: EngineFactory | None,  # a caller from Python may hand one in
    processes: int | None,
    threads: int | None,
    prefetch: int | None,
    max_processes: int,
    drain_timeout: float,
    hang_timeout: float,
    autoscale: tuple[int, int] | None,
    target_wait: float,
    quiet_time: float,
    metrics_port: int | None,
    metrics_host: str,
    log_level: str,
    log_format: LogFormat,
) -> None:
    """Serve: take batches from the queue and answer them, until SIGTERM or Ctrl-C.

    A broker that is not up yet is waited for. The first signal drains: everything taken is
    answered before the processes leave. A second one leaves at once, and the broker delivers the
    rest to other workers. SIGHUP replaces the processes one after the other, each when its
    successor is ready; SIGTTIN adds one, SIGTTOU takes one away.
    """
    if autoscale is not None and processes is not None:
        raise click.UsageError("--processes and --autoscale exclude each other")
    setup_logs(f"{host_name()}/{os.getpid()}", log_level, log_format)
    most = processes if autoscale is None else autoscale[1]
    cores = plan(available_cores(), most, threads)
    prefetch = prefetch or 2 * cores.threads
    health = None
    if metrics_port is not None:
        from fer_worker.supervision.health_server import HealthServer

        health = HealthServer(metrics_host, metrics_port)
    log.info(
        "plan for %d cores: processes x threads = %d x %d, prefetch %d",
        cores.cores,
        cores.processes,
        cores.threads,
        prefetch,
    )
    kernel = None
    if engine.name == "native" and engine_factory is None:
        kernel = choose_kernel()
        log.info("kernel %s", kernel)
    config = WorkerConfig(
        broker=broker,
        engine=engine,
        limits=limits,
        threads=cores.threads,
        prefetch=prefetch,
        drain_timeout_s=drain_timeout,
        hang_timeout_s=hang_timeout,
        log_level=log_level,
        log_format=log_format,
        kernel=kernel,
        create_engine=engine_factory or create_engine,
    )
    autoscaler = None
    if autoscale is not None:
        autoscaler = Autoscaler(*autoscale, cores.threads, target_wait, quiet_time)
        if cores.processes * cores.threads > cores.cores:
            log.warning("up to %d processes are more than the cores carry", cores.processes)
    if health is not None:
        health.start()
        log.info("metrics at http://%s:%d/metrics", metrics_host, health.port)
    first = cores.processes if autoscale is None else autoscale[0]
    most_ever = max(max_processes, first)
    sys.exit(Supervisor(config, first, most_ever, autoscaler, health).run())
