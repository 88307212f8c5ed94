"""A worker process: engine, service, reports to its supervisor, exit codes.

It reports over its socket four times per second and at each change. Told to leave, by an order over
the socket or by SIGTERM, it drains; so it does when the socket ends, since its supervisor is gone.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import socket
import time
from typing import TYPE_CHECKING

from fer_client.config import host_name
from fer_client.errors import BrokerRefusedError, EngineError
from fer_worker.errors import explain
from fer_worker.inference.factory import warm_up
from fer_worker.inference.types import Engine
from fer_worker.logging_setup import setup_logs
from fer_worker.metrics import MetricsRecorder
from fer_worker.platform import run_loop, system
from fer_worker.supervision.message_stream import MessageStream
from fer_worker.supervision.messages import CHILD_MESSAGE, DRAIN, Report
from fer_worker.supervision.worker_config import ExitCode, WorkerConfig

if TYPE_CHECKING:
    from fer_worker.serving.service import Service

log = logging.getLogger(__name__)

REPORT_INTERVAL_S = 0.25


def run_worker(config: WorkerConfig, end: socket.socket) -> None:
    """Serve until told to leave; what a worker process runs. Ends the interpreter.

    Args:
        config: as the supervisor says.
        end: of the socket pair that leads to the supervisor.
    """
    worker = f"{host_name()}/{os.getpid()}"
    setup_logs(worker, config.log_level, config.log_format)

    async def run() -> None:
        code = await _Worker(config, worker).run(end)
        logging.shutdown()
        # The end of the loop would wait for threads: one may still load the engine, or be at work
        # on what another worker will do again.
        os._exit(code)

    run_loop(run())


def load_engine(config: WorkerConfig) -> Engine:
    """Create the engine and warm it up.

    Raises:
        EngineError: it cannot start.
    """
    started = time.perf_counter()
    try:
        engine = config.create_engine(config.engine, config.kernel)
        warm_up(engine)
    except (ImportError, AttributeError) as error:
        if (failure := explain(error)) is None:
            raise
        raise failure from error
    log.info("engine %s warm in %.1f s", config.engine.name, time.perf_counter() - started)
    return engine


async def open_stream(end: socket.socket) -> MessageStream:
    """Take over the end that leads to the supervisor; the stream ends when that is gone."""
    supervisor = multiprocessing.parent_process()
    assert supervisor is not None
    exited = asyncio.create_task(system.wait_for_exit(supervisor.sentinel))
    return await MessageStream.open(end, exited)


class _Worker:
    """A worker process from its start to its exit code."""

    def __init__(self, config: WorkerConfig, worker: str) -> None:
        self._config = config
        self._worker = worker
        self._meter = MetricsRecorder()
        self._leaving = asyncio.Event()
        self._told_again = asyncio.Event()
        self._changed = asyncio.Event()
        self._service: Service | None = None

    async def run(self, end: socket.socket) -> ExitCode:
        system.listen_in_child(self._on_sigterm)
        stream = await open_stream(end)
        async with asyncio.TaskGroup() as tasks:
            orders = tasks.create_task(self._follow_orders(stream))
            reports = tasks.create_task(self._report_always(stream))
            serving = tasks.create_task(self._serve(stream))
            limit = tasks.create_task(self._limit_drain())
            done, _ = await asyncio.wait((serving, limit), return_when=asyncio.FIRST_COMPLETED)
            for task in (orders, reports, serving, limit):
                task.cancel()
        return done.pop().result()

    async def _serve(self, stream: MessageStream) -> ExitCode:
        loading = asyncio.create_task(asyncio.to_thread(load_engine, self._config))
        leaving = asyncio.create_task(self._leaving.wait())
        await asyncio.wait((loading, leaving), return_when=asyncio.FIRST_COMPLETED)
        if self._leaving.is_set():
            return ExitCode.DRAINED  # nothing was taken yet
        try:
            engine = loading.result()
        except EngineError as error:
            log.error("%s", error)
            return ExitCode.ENGINE_FAILED
        # Not at the top: a supervisor that starts this imports no OpenCV.
        from fer_worker.serving.frame_pool import FramePool
        from fer_worker.serving.service import Service

        config = self._config
        pool = FramePool(engine, config.threads, config.limits, self._worker, self._meter)
        self._service = Service(
            pool,
            config.broker,
            config.prefetch,
            self._worker,
            self._meter,
            config.limits,
            on_change=self._changed.set,
        )
        self._report(stream)  # warm: what ends this process from now on comes from outside
        try:
            await self._service.run()
        except BrokerRefusedError as error:
            log.error("%s", error)
            return ExitCode.BROKER_REFUSED
        self._report(stream)  # what it did last counts too
        await stream.flush()
        return ExitCode.DRAINED

    async def _follow_orders(self, stream: MessageStream) -> None:
        while (order := await stream.receive()) is not None:
            if order == DRAIN:
                self._leaving.set()
        log.warning("the supervisor is gone; leaving too")
        self._leaving.set()

    async def _limit_drain(self) -> ExitCode:
        """Return once a drain is to be cut short."""
        await self._leaving.wait()
        if self._service is not None:
            log.info("draining: %d requests in flight", self._service.progress.in_flight)
            self._service.drain()
        try:
            async with asyncio.timeout(self._config.drain_timeout_s):
                await self._told_again.wait()
        except TimeoutError:
            log.warning("not drained in time; the broker delivers the rest to others")
            return ExitCode.DRAIN_TIMED_OUT
        return ExitCode.TOLD_TWICE

    def _on_sigterm(self) -> None:
        (self._told_again if self._leaving.is_set() else self._leaving).set()

    async def _report_always(self, stream: MessageStream) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPORT_INTERVAL_S):
                    await self._changed.wait()
            self._changed.clear()
            if stream.is_idle:  # else the supervisor does not read: it is frozen, say
                self._report(stream)

    def _report(self, stream: MessageStream) -> None:
        if self._service is not None:
            report = Report(
                self._service.progress,
                self._meter.counts,
                system.resident_bytes(),
                draining=self._leaving.is_set(),
            )
            stream.send(CHILD_MESSAGE.dump_json(report))
