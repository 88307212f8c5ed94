"""What becomes of a request: a reply, a dead letter, or a place in quarantine.

Each method returns when the broker has confirmed it; only then is the request acked. Until then a
crash means redelivery: the requester gets at least one answer, and the first one counts.
"""

import asyncio
import logging
import time

import pika

from fer_client.amqp.codec import encode_json
from fer_client.amqp.connection import Connection
from fer_client.amqp.consumer import Delivery
from fer_client.amqp.publisher import Confirmation, Message, Publisher
from fer_client.amqp.topology import Topology, declare, redeclare
from fer_client.backoff import Backoff
from fer_client.errors import MessageError
from fer_schemas import BatchResult, ContentType, ErrorCode, RequestError, Status
from fer_worker.logging_setup import log_context
from fer_worker.serving.dead_letter import dead_letter_copy, quarantine_copy

log = logging.getLogger(__name__)

REPLY_PATIENCE_S = 10.0
"""How long a full reply queue is tried before results go to `fer.results`. From then on each is
tried once, until the queue takes one: a slow reader may not hold up the others."""

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 2.0

INTENDED_QUEUE = "x-reply-to"
"""Header of a result in `fer.results`: the queue it should have gone to."""


class Responder:
    """Publishes what becomes of requests; made anew with each connection."""

    def __init__(
        self, connection: Connection, publisher: Publisher, topology: Topology, worker: str
    ) -> None:
        """Store the parts; see `open`."""
        self.publisher = publisher
        self._connection = connection
        self._topology = topology
        self._worker = worker
        self._full_since: dict[str, float] = {}
        """Reply queues that took nothing since a moment on the monotonic clock."""
        self.unroutable = 0
        """Messages that no queue of ours takes at the moment; their requests stay unacked."""

    @classmethod
    async def open(cls, connection: Connection, topology: Topology, worker: str) -> "Responder":
        """Declare our queues, and open a channel to publish on.

        Args:
            connection: the deliveries that are answered come by it.
            topology: where things go.
            worker: host/pid, named in results and headers.

        Raises:
            ConnectionLostError: the connection is gone.
            BrokerRefusedError: there are queues of an older version.
        """
        await declare(connection, topology)
        return cls(connection, await Publisher.open(connection), topology, worker)

    async def reply(self, delivery: Delivery, result: BatchResult) -> None:
        """Publish a result to `reply_to`.

        It goes to `fer.results` without a `reply_to`, and where that queue is gone or stays full.
        """
        body = encode_json(result)
        reply_to, results = delivery.reply_to, self._topology.results.name
        if reply_to is None:
            # Among the results of others only the correlation id tells whose this is.
            if delivery.correlation_id is not None:
                await self._publish(_result_message(results, delivery, body))
        elif not self._topology.is_workers_own(reply_to):
            # One that was delivered before is tried once: nothing else is examined meanwhile.
            patience_s = 0.0 if delivery.was_delivered_before else REPLY_PATIENCE_S
            reply = _result_message(reply_to, delivery, body)
            if not await self._publish_patiently(reply, patience_s):
                await self._publish(_result_message(results, delivery, body))
        _log(delivery, result)

    async def dead_letter(self, delivery: Delivery, error: MessageError) -> None:
        """Keep a copy of a bad request, and answer it with an `error` result."""
        # The code is not among the arguments: repeated lines are counted for each code by itself.
        log.warning(
            f"dead-lettered from %s: {error.code}: %s",
            delivery.queue,
            error.message,
            extra=log_context(delivery.correlation_id),
        )
        await self._publish(dead_letter_copy(delivery, error, self._topology, self._worker))
        if error.code is not ErrorCode.FORBIDDEN_REPLY_TO:
            await self.reply(delivery, self._error_result(delivery, error))

    async def quarantine(self, delivery: Delivery) -> None:
        """Move a request aside that a worker had before and did not answer: it may be deadly."""
        log.info("redelivered, moved to quarantine", extra=log_context(delivery.correlation_id))
        await self._publish(quarantine_copy(delivery, self._topology))

    def _error_result(self, delivery: Delivery, error: MessageError) -> BatchResult:
        return BatchResult(
            status=Status.ERROR,
            errors=(RequestError(frame=None, code=error.code, message=error.message),),
            correlation_id=delivery.correlation_id,
            redelivered=delivery.was_delivered_before,
            worker=self._worker,
        )

    async def _publish(self, message: Message) -> None:
        """Publish to a queue of ours until it takes the message."""
        if await self.publisher.publish(message) is Confirmation.CONFIRMED:
            return
        log.warning(
            "%s takes no messages; declaring it again",
            message.routing_key,
            extra=log_context(message.correlation_id),
        )
        pauses = Backoff(FIRST_RETRY_S, LONGEST_RETRY_S)
        self.unroutable += 1
        try:
            while True:
                await redeclare(self._connection, self._topology)
                if await self.publisher.publish(message) is Confirmation.CONFIRMED:
                    return
                await asyncio.sleep(pauses.next())
        finally:
            self.unroutable -= 1

    async def _publish_patiently(self, reply: Message, patience_s: float) -> bool:
        """Publish to a requester's queue; try a full one for a while. Say whether it took it."""
        queue = reply.routing_key
        pauses = Backoff(FIRST_RETRY_S, LONGEST_RETRY_S)
        while True:
            confirmation = await self.publisher.publish(reply)
            if confirmation is not Confirmation.REFUSED:
                self._full_since.pop(queue, None)
            if confirmation is Confirmation.CONFIRMED:
                return True
            now, pause_s = time.monotonic(), pauses.next()
            if (
                confirmation is Confirmation.RETURNED
                or now + pause_s >= self._full_since.setdefault(queue, now) + patience_s
            ):
                log.warning(
                    "reply queue %s is %s; the result goes to %s",
                    queue,
                    "gone" if confirmation is Confirmation.RETURNED else "full",
                    self._topology.results.name,
                    extra=log_context(reply.correlation_id),
                )
                return False
            await asyncio.sleep(pause_s)


def _log(delivery: Delivery, result: BatchResult) -> None:
    known, timings = log_context(delivery.correlation_id), result.timings_ms
    if result.status is Status.EXPIRED:
        log.info("expired: %s", result.errors[0].message, extra=known)
    elif timings is not None:
        log.debug(
            "ended: %s, %d frames, %d faces, %s ms",
            result.status,
            len(result.frames),
            sum(len(frame.faces) for frame in result.frames),
            timings.total,
            extra=known,
        )


def _result_message(queue: str, delivery: Delivery, body: bytes) -> Message:
    headers = {}
    if delivery.reply_to is not None and delivery.reply_to != queue:
        headers[INTENDED_QUEUE] = delivery.reply_to
    return Message(
        routing_key=queue,
        body=body,
        properties=pika.BasicProperties(
            content_type=ContentType.JSON.value,
            correlation_id=delivery.properties.correlation_id,
            delivery_mode=pika.DeliveryMode.Persistent.value,
            headers=headers or None,
            timestamp=int(time.time()),
            type="result",
        ),
    )
