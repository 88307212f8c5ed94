"""How a request ends: answered, buried, or set aside as a suspect.

Whatever happens, a delivery is acked only after the broker has confirmed what came of it. Until
then a crash means redelivery, so the requester gets at least one answer, and the first one counts.
Everything here runs on the connection's thread.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pika

from fer_client.amqp.codec import encode_result
from fer_client.amqp.consumer import SET_ASIDE, Delivery
from fer_client.amqp.publisher import Confirmation, Message, Publisher
from fer_client.amqp.topology import Topology
from fer_client.errors import MessageError
from fer_schemas import BatchResult, ContentType, ErrorCode, RequestError, Status
from fer_worker.logging_setup import about
from fer_worker.serving.dead_letter import (
    BURIED_AT,
    BURIED_BY,
    FIRST_QUEUE,
    REASON,
    REASON_TEXT,
    copy_to,
)

log = logging.getLogger(__name__)

REPLY_PATIENCE_S = 10.0
"""How long a full reply queue is tried before results go to `fer.results`. From then on each is
tried once, until the queue takes one: a slow reader may not hold up the others."""

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 2.0


UNREACHED = "x-reply-to"
"""Header of a result without a reader: the queue it should have gone to."""
_LONGEST_NAME = 255


class Outcomes:
    """Ends requests through one publisher; made anew with each connection."""

    def __init__(
        self,
        publisher: Publisher,
        topology: Topology,
        call_later: Callable[[float, Callable[[], None]], None],
        worker: str,
    ) -> None:
        """Store the parts.

        Args:
            publisher: of the same connection as the deliveries that are to end.
            topology: where things go.
            call_later: schedules a retry on the connection's thread, in seconds.
            worker: host/pid, named in results and headers.
        """
        self._publisher = publisher
        self._topology = topology
        self._call_later = call_later
        self._worker = worker
        self.held = 0
        """Requests whose outcome no queue takes at the moment; they stay unacked."""
        self._full_since: dict[str, float] = {}
        """Reply queues that took nothing since a moment on the monotonic clock."""

    def reply(self, delivery: Delivery, result: BatchResult, then: Callable[[], None]) -> None:
        """Publish a result, ack its request, and call `then`.

        The result goes to `reply_to`; without one, or where that queue is gone or stays full, to
        `fer.results`.
        """

        def end() -> None:
            _log_end(delivery, result)
            self._end(delivery, then)

        self._answer(delivery, result, end)

    def bury(self, delivery: Delivery, error: MessageError, then: Callable[[], None]) -> None:
        """Keep a copy of a bad request, answer it with an `error` reply, ack it, call `then`."""
        # The code is not among the arguments: repeated lines are counted for each code by itself.
        log.warning(
            f"buried from %s: {error.code}: %s",
            delivery.queue,
            error.message,
            extra=about(delivery.correlation_id),
        )
        result = BatchResult(
            status=Status.ERROR,
            errors=(RequestError(frame=None, code=error.code, message=error.message),),
            correlation_id=delivery.correlation_id,
            redelivered=delivery.was_delivered_before,
            worker=self._worker,
        )
        end = partial(self._end, delivery, then)
        is_forbidden = error.code is ErrorCode.FORBIDDEN_REPLY_TO
        answer = end if is_forbidden else partial(self._answer, delivery, result, end)
        reason = {
            REASON: error.code.value,
            REASON_TEXT: error.message,
            BURIED_AT: datetime.now(UTC).isoformat(timespec="milliseconds"),
            BURIED_BY: self._worker,
            FIRST_QUEUE: _first_queue(delivery),
        }
        dead = copy_to(delivery, self._topology.dead, reason)
        dead.properties.expiration = None  # kept until an operator has looked
        self._insist(dead, answer)

    def set_aside(self, delivery: Delivery, then: Callable[[], None]) -> None:
        """Move a redelivered request to the suspects, ack it, and call `then`."""
        log.info("redelivered, moved to the suspects", extra=about(delivery.correlation_id))
        suspect = copy_to(delivery, self._topology.suspects, {SET_ASIDE: True})
        self._insist(suspect, partial(self._end, delivery, then))

    def _end(self, delivery: Delivery, then: Callable[[], None]) -> None:
        delivery.ack()
        then()

    def _answer(self, delivery: Delivery, result: BatchResult, done: Callable[[], None]) -> None:
        body = encode_result(result)
        to_results = partial(
            self._insist, _result_message(self._topology.results.name, delivery, body), done
        )
        if delivery.reply_to is None:
            # Among the results of others only the correlation id tells whose this is.
            (to_results if delivery.correlation_id is not None else done)()
        elif self._topology.is_workers_own(delivery.reply_to):
            done()
        else:
            # Each death of its worker counts against a suspect. What has been analysed is innocent,
            # and should not be held for one moment longer.
            is_suspect = delivery.queue == self._topology.suspects.name
            patience_s = 0.0 if is_suspect else REPLY_PATIENCE_S
            reply = _result_message(delivery.reply_to, delivery, body)
            self._try(reply, done, to_results, patience_s)

    def _try(
        self,
        message: Message,
        done: Callable[[], None],
        give_up: Callable[[], None],
        patience_s: float,
        delay_s: float = FIRST_RETRY_S,
    ) -> None:
        """Publish to a requester's queue; if it is full try again for a while."""
        queue = message.routing_key

        def settle(confirmation: Confirmation) -> None:
            if confirmation is Confirmation.CONFIRMED:
                self._full_since.pop(queue, None)
                done()
            elif confirmation is Confirmation.REFUSED and self._is_patient(
                queue, patience_s - delay_s
            ):
                longer_s = min(delay_s * 2, LONGEST_RETRY_S)
                again = partial(self._try, message, done, give_up, patience_s, longer_s)
                self._call_later(delay_s, again)
            else:
                log.warning(
                    "reply queue %s is %s; the result goes to %s",
                    queue,
                    "gone" if confirmation is Confirmation.RETURNED else "full",
                    self._topology.results.name,
                    extra=about(message.correlation_id),
                )
                give_up()

        self._publisher.publish(message, settle)

    def _is_patient(self, queue: str, patience_s: float) -> bool:
        """Whether a full reply queue has not yet been full for so long."""
        now = time.monotonic()
        return now < self._full_since.setdefault(queue, now) + patience_s

    def _insist(
        self, message: Message, done: Callable[[], None], delay_s: float = FIRST_RETRY_S
    ) -> None:
        """Publish to a queue of ours, and try until it takes the message."""

        def settle(confirmation: Confirmation) -> None:
            if confirmation is Confirmation.CONFIRMED:
                done()
                return
            if delay_s == FIRST_RETRY_S:
                log.warning(
                    "%s takes no messages; holding on",
                    message.routing_key,
                    extra=about(message.correlation_id),
                )
            self.held += 1
            self._call_later(delay_s, again)

        def again() -> None:
            self.held -= 1
            self._insist(message, done, min(delay_s * 2, LONGEST_RETRY_S))

        self._publisher.publish(message, settle)


def _log_end(delivery: Delivery, result: BatchResult) -> None:
    known, timings = about(delivery.correlation_id), result.timings_ms
    if timings is None:  # nothing was analysed
        log.info("expired: %s", result.errors[0].message, extra=known)
    elif log.isEnabledFor(logging.DEBUG):
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
        headers[UNREACHED] = delivery.reply_to
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


def _first_queue(delivery: Delivery) -> str:
    """Where the request was first; the header is the broker's, but a sender may forge it."""
    first = delivery.headers.get("x-first-death-queue")
    return first[:_LONGEST_NAME] if isinstance(first, str) else delivery.queue
