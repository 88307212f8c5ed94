"""What the broker gave up on, answered by a supervisor.

The broker dead-letters a request that expired in its queue. It would do so too with one that came
back to quarantine a hundred times; that limit is a bound only.
"""

import asyncio
import time

from fer_client.amqp.connection import Connection
from fer_client.amqp.consumer import Consumer, Delivery, in_tasks
from fer_client.errors import MessageError
from fer_schemas import BatchRequest, BatchResult, ErrorCode
from fer_worker.limits import Limits
from fer_worker.metrics import MetricsRecorder
from fer_worker.serving.request_checks import RequestChecks
from fer_worker.serving.request_decoder import decode_request
from fer_worker.serving.responder import Responder
from fer_worker.serving.result_builder import expired

PREFETCH = 8


class DeadLetterConsumer:
    """Answers requests that the broker dead-lettered."""

    def __init__(
        self,
        queue: str,
        responder: Responder,
        checks: RequestChecks,
        supervisor: str,
        meter: MetricsRecorder,
    ) -> None:
        """Store the parts.

        Args:
            queue: where the broker puts what it gave up on.
            responder: of the connection that is consumed on.
            checks: those of a worker.
            supervisor: host/pid, named in results.
            meter: counts the requests.
        """
        self._queue = queue
        self._responder = responder
        self._checks = checks
        self._supervisor = supervisor
        self._meter = meter

    async def run(self, connection: Connection) -> None:
        """Answer what comes, until cancelled."""
        async with asyncio.TaskGroup() as requests:
            on_delivery = in_tasks(requests, self._handle)
            await Consumer.start(connection, self._queue, PREFETCH, on_delivery)
            await connection.wait_closed()

    async def _handle(self, delivery: Delivery) -> None:
        taken = time.perf_counter()
        try:
            self._checks.check(delivery)
            result = await self._result(delivery)
            await self._responder.reply(delivery, result)
            took_s = time.perf_counter() - taken
            self._meter.answered(
                result.status.value, queued_s=None, publish_s=took_s, took_s=took_s
            )
        except MessageError as error:
            await self._responder.dead_letter(delivery, error)
            self._meter.dead_lettered(error.code.value)
        delivery.ack()

    async def _result(self, delivery: Delivery) -> BatchResult:
        """Answer `expired`.

        Raises:
            MessageError: it did not expire; the broker gave it up for another reason.
        """
        death = delivery.last_death
        if death is None or death.get("reason") != "expired":
            raise MessageError(
                ErrorCode.POISON_MESSAGE, "every process that took this request died of it"
            )
        # In a thread: of 16 MiB the loop would hear nothing for a while.
        request = await asyncio.to_thread(_read, delivery, self._checks.limits)
        return expired(
            request,
            "expired in the queue",
            correlation_id=delivery.correlation_id,
            redelivered=delivery.was_delivered_before,
            worker=self._supervisor,
        )


def _read(delivery: Delivery, limits: Limits) -> BatchRequest | None:
    try:
        return decode_request(delivery.body, delivery.content_type, delivery.headers, limits)
    except MessageError:
        return None
