"""A worker process: warm-up, signals, reports to its supervisor, exit codes.

Started by `spawn` with one end of a pipe. It reports over the pipe once a second and at each
change; when the pipe ends, its supervisor is gone and it drains too.
"""

import contextlib
import logging
import os
import signal
import time
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from types import FrameType

from fer_client.config import BrokerConfig, host_name
from fer_client.errors import BrokerRefusedError, EngineError
from fer_worker.inference.factory import create_engine
from fer_worker.inference.types import EngineFactory, EngineOptions
from fer_worker.limits import Limits
from fer_worker.logging_setup import LogFormat, setup_logs
from fer_worker.metrics import Meter, resident_bytes
from fer_worker.supervision.event_queue import Mailbox
from fer_worker.supervision.report import Report

log = logging.getLogger(__name__)

REPORT_INTERVAL_S = 1.0


class ExitCode(IntEnum):
    """How a worker process ends of itself."""

    DRAINED = 0
    DRAIN_TIMED_OUT = 1
    BROKER_REFUSED = BrokerRefusedError.exit_code
    ENGINE_FAILED = EngineError.exit_code
    TOLD_TWICE = 143  # what a shell says of a process ended by SIGTERM


@dataclass(frozen=True)
class WorkerConfig:
    """All that a worker process needs to know; picklable."""

    broker: BrokerConfig
    engine: EngineOptions
    limits: Limits
    threads: int
    prefetch: int
    drain_timeout_s: float
    hang_timeout_s: float
    latest_wins: bool = False
    log_level: int = logging.INFO
    log_format: LogFormat = "text"
    create_engine: EngineFactory = create_engine


class _Event(Enum):
    TERMINATE = auto()
    CONSUMING = auto()
    DRAINED = auto()
    REFUSED = auto()


def run_process(config: WorkerConfig, pipe: Pipe) -> None:
    """Serve until told to stop; the target of a spawned process. Ends the interpreter."""
    worker = f"{host_name()}/{os.getpid()}"
    setup_logs(worker, config.log_level, config.log_format)
    code = _Process(config, pipe, worker).run()
    logging.shutdown()
    # Threads of the pool may still be at work on what another worker will do again.
    os._exit(code)


class _Process:
    """The main thread of a worker process: it waits, and passes on what happens."""

    def __init__(self, config: WorkerConfig, pipe: Pipe, worker: str) -> None:
        self._config = config
        self._pipe = pipe
        self._worker = worker
        self._mailbox: Mailbox[_Event] = Mailbox()
        self._meter = Meter()
        self._drain_deadline: float | None = None

    # The service's supervision, called on its connection's thread.

    def on_consuming(self) -> None:
        self._mailbox.post(_Event.CONSUMING)

    def on_drained(self) -> None:
        self._mailbox.post(_Event.DRAINED)

    def on_refused(self, error: BrokerRefusedError) -> None:
        log.error("%s", error)
        self._mailbox.post(_Event.REFUSED)

    def run(self) -> ExitCode:
        signal.signal(signal.SIGTERM, self._on_sigterm)
        try:
            self._start_service()
        except EngineError as error:
            log.error("%s", error)
            return ExitCode.ENGINE_FAILED
        return self._attend()

    def _on_sigterm(self, _: int, __: FrameType | None) -> None:
        self._mailbox.post(_Event.TERMINATE)

    def _start_service(self) -> None:
        # Model libraries are loaded here and nowhere earlier: supervisors import this module too.
        from fer_worker.inference.factory import warm_up
        from fer_worker.serving.frame_pool import FramePool
        from fer_worker.serving.service import Service

        config = self._config
        started = time.perf_counter()
        engine = config.create_engine(config.engine, config.threads)
        warm_up(engine)
        log.info("engine %s warm in %.1f s", config.engine.name, time.perf_counter() - started)
        pool = FramePool(
            engine,
            config.threads,
            config.limits,
            self._worker,
            self._meter,
            latest_wins=config.latest_wins,
        )
        self._service = Service(
            pool, config.broker, config.prefetch, self._worker, self, self._meter, config.limits
        )
        self._report()  # warm: what ends this process from now on is a message, or from outside
        self._service.start()

    def _attend(self) -> ExitCode:
        waited_for: list[Pipe | Mailbox[_Event]] = [self._pipe, self._mailbox]
        while True:
            ready = wait(waited_for, REPORT_INTERVAL_S)  # type: ignore[arg-type]
            if self._pipe in ready:
                log.warning("the supervisor is gone; leaving too")
                waited_for.remove(self._pipe)
                self._drain()
            for event in self._mailbox.take():
                match event:
                    case _Event.TERMINATE if self._drain_deadline is not None:
                        return ExitCode.TOLD_TWICE
                    case _Event.TERMINATE:
                        self._drain()
                    case _Event.DRAINED:
                        self._report()  # what it did last counts too
                        return ExitCode.DRAINED
                    case _Event.REFUSED:
                        return ExitCode.BROKER_REFUSED
                    case _Event.CONSUMING:
                        log.info(
                            "ready: %d threads, prefetch %d",
                            self._config.threads,
                            self._config.prefetch,
                        )
            if self._drain_deadline is not None and time.monotonic() > self._drain_deadline:
                log.warning("not drained in time; the broker delivers the rest to others")
                return ExitCode.DRAIN_TIMED_OUT
            self._report()

    def _drain(self) -> None:
        if self._drain_deadline is None:
            log.info("draining: %d requests in flight", self._service.progress.in_flight)
            self._drain_deadline = time.monotonic() + self._config.drain_timeout_s
            self._service.drain()

    def _report(self) -> None:
        with contextlib.suppress(OSError):  # the supervisor is gone: `wait` will say so too
            self._pipe.send(
                Report(
                    self._service.progress,
                    self._meter.counts,
                    resident_bytes(),
                    draining=self._drain_deadline is not None,
                )
            )


DEFAULT_DRAIN_TIMEOUT_S = 30.0


DEFAULT_HANG_TIMEOUT_S = 60.0
