"""The life of a request in a worker process: delivery, analysis, reply, ack.

One loop moves the messages and never blocks; the threads of the frame pool read and analyse.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

from fer_client.amqp.connection import Connection
from fer_client.amqp.consumer import Consumer, Delivery, in_tasks
from fer_client.amqp.sessions import keep_connected
from fer_client.amqp.topology import Topology
from fer_client.config import BrokerConfig
from fer_client.errors import MessageError
from fer_schemas import BatchResult
from fer_worker.limits import Limits
from fer_worker.logging_setup import log_context
from fer_worker.metrics import MetricsRecorder
from fer_worker.serving.frame_pool import FramePool
from fer_worker.serving.progress import Progress
from fer_worker.serving.request_checks import RequestChecks
from fer_worker.serving.responder import Responder

log = logging.getLogger(__name__)


class Service:
    """Serves requests with one frame pool, from `run` until it is drained."""

    def __init__(
        self,
        pool: FramePool,
        broker: BrokerConfig,
        prefetch: int,
        worker: str,
        meter: MetricsRecorder,
        limits: Limits,
        on_change: Callable[[], None],
    ) -> None:
        """Store the parts.

        Args:
            pool: does the work.
            broker: where requests come from.
            prefetch: batches taken and not yet answered.
            worker: host/pid, named in results and to the broker.
            meter: counts the requests.
            limits: what is accepted.
            on_change: called when requests begin, or cease, to be taken.
        """
        self._pool = pool
        self._broker = broker
        self._prefetch = prefetch
        self._worker = worker
        self._meter = meter
        self._on_change = on_change
        self._topology = Topology(broker.namespace)
        self._checks = RequestChecks(self._topology, limits)
        self._draining = asyncio.Event()
        self._responder: Responder | None = None
        self._consuming = False
        self._in_flight = 0
        self._was_connected = False

    async def run(self) -> None:
        """Serve until `drain` was called and everything taken is answered.

        Raises:
            BrokerRefusedError: the broker refuses us; nothing will come.
        """
        await keep_connected(self._broker, f"worker {self._worker}", self._serve, self._draining)

    def drain(self) -> None:
        """Take nothing more; `run` returns when everything taken is answered."""
        self._draining.set()

    @property
    def progress(self) -> Progress:
        """What the service is at."""
        return Progress(
            consuming=self._consuming,
            in_flight=self._in_flight,
            unroutable=0 if self._responder is None else self._responder.unroutable,
            working_since=self._pool.working_since,
        )

    async def _serve(self, connection: Connection) -> None:
        """Serve over one connection.

        A lost one cancels this and every request under way; the broker delivers them again.
        """
        if self._was_connected:
            self._meter.add("reconnects")
        self._was_connected = True
        responder = await Responder.open(connection, self._topology, self._worker)
        self._responder = responder
        try:
            async with asyncio.TaskGroup() as requests:
                on_delivery = in_tasks(requests, partial(self._handle, responder))
                consumer = await Consumer.start(
                    connection, self._topology.frames.name, self._prefetch, on_delivery
                )
                self._consuming = True
                self._on_change()
                log.info("ready: prefetch %d", self._prefetch)
                await self._draining.wait()
                await consumer.stop()
            # The group is left when every request in it has ended.
        finally:
            self._consuming = False
            self._responder = None
            self._on_change()

    async def _handle(self, responder: Responder, delivery: Delivery) -> None:
        """Bring one request to its end: a reply, quarantine or a dead letter; then the ack."""
        self._in_flight += 1
        taken = time.perf_counter()
        known = log_context(delivery.correlation_id)
        log.debug("taken from %s: %d bytes", delivery.queue, len(delivery.body), extra=known)
        try:
            self._checks.check(delivery)
            if delivery.redelivered:  # did it end the worker that had it before?
                self._meter.add("redeliveries")
                await responder.quarantine(delivery)
            else:
                result = await self._pool.analyse(delivery)
                analysed = time.perf_counter()
                await responder.reply(delivery, result)
                self._count(result, taken, analysed)
        except MessageError as error:
            await responder.dead_letter(delivery, error)
            self._meter.dead_lettered(error.code.value)
        finally:
            self._in_flight -= 1
        delivery.ack()

    def _count(self, result: BatchResult, taken: float, analysed: float) -> None:
        now, timings = time.perf_counter(), result.timings_ms
        queued_ms = None if timings is None else timings.queued
        self._meter.answered(
            result.status.value,
            queued_s=None if queued_ms is None else queued_ms / 1000,
            publish_s=now - analysed,
            took_s=now - taken,
        )
