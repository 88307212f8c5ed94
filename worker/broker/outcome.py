"""How a request ends: answered, buried, or set aside as a suspect.

Whatever happens, a delivery is acked only after the broker has confirmed what came of it. Until
then a crash means redelivery, so the requester gets at least one answer, and the first one counts.
Everything here runs on the connection's thread.
"""

import copy
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pika

from schemas import BatchResult, ContentType, ErrorCode, RequestError, Status
from worker.broker.codec import encode_result
from worker.broker.consumer import SET_ASIDE, Delivery
from worker.broker.publisher import Confirmation, Message, Publisher
from worker.broker.topology import Queue, Topology
from worker.errors import MessageError

log = logging.getLogger(__name__)

REPLY_PATIENCE_S = 10.0
"""How long a full reply queue is tried before results go to `fer.results`. From then on each is
tried once, until the queue takes one: a slow reader may not hold up the others."""

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 2.0

_NOT_COPIED = frozenset({"CC", "BCC", "x-delivery-count"})
"""Headers that would have the broker route a copy to more queues than the one meant, and its own
count, which starts anew in the copy's queue."""


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
        self._answer(delivery, result, partial(self._end, delivery, then))

    def bury(self, delivery: Delivery, error: MessageError, then: Callable[[], None]) -> None:
        """Keep a copy of a bad request, answer it with an `error` reply, ack it, call `then`."""
        log.warning(
            "buried %s from %s: %s: %s",
            delivery.correlation_id,
            delivery.queue,
            error.code,
            error.message,
        )
        result = BatchResult(
            status=Status.ERROR,
            errors=(RequestError(frame=None, code=error.code, message=error.message),),
            correlation_id=delivery.correlation_id,
            redelivered=delivery.was_delivered_before,
            worker=self._worker,
        )
        end = partial(self._end, delivery, then)
        answer = partial(self._answer, delivery, result, end)
        reason = {
            "x-reason": error.code.value,
            "x-reason-text": error.message,
            "x-buried-at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "x-buried-by": self._worker,
            "x-first-queue": delivery.headers.get("x-first-death-queue", delivery.queue),
        }
        dead = _copy(delivery, self._topology.dead, reason)
        dead.properties.expiration = None  # kept until an operator has looked
        self._insist(dead, answer)

    def set_aside(self, delivery: Delivery, then: Callable[[], None]) -> None:
        """Move a redelivered request to the suspects, ack it, and call `then`."""
        log.info("moved redelivered %s to the suspects", delivery.correlation_id)
        suspect = _copy(delivery, self._topology.suspects, {SET_ASIDE: True})
        self._insist(suspect, partial(self._end, delivery, then))

    def check_address(self, delivery: Delivery) -> None:
        """Refuse a request whose answer could not find its way.

        Raises:
            MessageError: `reply_to` names one of the workers' own queues, or there is no
                correlation id.
        """
        if delivery.reply_to is not None and self._topology.is_workers_own(delivery.reply_to):
            raise MessageError(
                ErrorCode.FORBIDDEN_REPLY_TO, "reply_to names a queue of the workers' own"
            )
        if delivery.correlation_id is None:
            raise MessageError(
                ErrorCode.MISSING_CORRELATION_ID, "the message has no correlation_id property"
            )

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
            self._try(_result_message(delivery.reply_to, delivery, body), done, to_results)

    def _try(
        self,
        message: Message,
        done: Callable[[], None],
        give_up: Callable[[], None],
        delay_s: float = FIRST_RETRY_S,
    ) -> None:
        """Publish to a requester's queue; if it is full try again for a while."""
        queue = message.routing_key

        def settle(confirmation: Confirmation) -> None:
            if confirmation is Confirmation.CONFIRMED:
                self._full_since.pop(queue, None)
                done()
            elif confirmation is Confirmation.REFUSED and self._is_patient(queue, delay_s):
                longer_s = min(delay_s * 2, LONGEST_RETRY_S)
                self._call_later(delay_s, partial(self._try, message, done, give_up, longer_s))
            else:
                log.warning(
                    "reply queue %s is %s; the result goes to %s",
                    queue,
                    "gone" if confirmation is Confirmation.RETURNED else "full",
                    self._topology.results.name,
                )
                give_up()

        self._publisher.publish(message, settle)

    def _is_patient(self, queue: str, delay_s: float) -> bool:
        """Whether a full reply queue is to be tried once more after a delay."""
        now = time.monotonic()
        return now + delay_s < self._full_since.setdefault(queue, now) + REPLY_PATIENCE_S

    def _insist(
        self, message: Message, done: Callable[[], None], delay_s: float = FIRST_RETRY_S
    ) -> None:
        """Publish to a queue of ours, and try until it takes the message."""

        def settle(confirmation: Confirmation) -> None:
            if confirmation is Confirmation.CONFIRMED:
                done()
                return
            if delay_s == FIRST_RETRY_S:
                log.warning("%s takes no messages; holding on", message.routing_key)
            self.held += 1
            self._call_later(delay_s, again)

        def again() -> None:
            self.held -= 1
            self._insist(message, done, min(delay_s * 2, LONGEST_RETRY_S))

        self._publisher.publish(message, settle)


def _result_message(queue: str, delivery: Delivery, body: bytes) -> Message:
    headers = {}
    if delivery.reply_to is not None and delivery.reply_to != queue:
        headers["x-reply-to"] = delivery.reply_to
    return Message(
        routing_key=queue,
        body=body,
        properties=pika.BasicProperties(
            content_type=ContentType.JSON.value,
            correlation_id=delivery.properties.correlation_id,
            delivery_mode=pika.DeliveryMode.Persistent.value,
            headers=headers or None,
            type="result",
        ),
    )


def _copy(delivery: Delivery, queue: Queue, headers: dict[str, Any]) -> Message:
    """Make a copy of a request for one of our own queues."""
    properties = copy.copy(delivery.properties)
    properties.headers = {
        **{name: value for name, value in delivery.headers.items() if name not in _NOT_COPIED},
        **headers,
    }
    properties.user_id = None  # the broker refuses one that is not our own
    properties.message_id = None  # the publisher's, to tell which message was returned
    properties.delivery_mode = pika.DeliveryMode.Persistent.value
    return Message(routing_key=queue.name, body=delivery.body, properties=properties)
