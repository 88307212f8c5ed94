"""Dead letters, in `fer.frames.dead`: look at them, send them to the workers again, remove them."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ConnectionBlockedTimeout, NackError, UnroutableError

from fer_client.amqp.consumer import Delivery
from fer_client.amqp.publisher import Message
from fer_client.amqp.topology import Topology
from fer_client.config import BrokerConfig
from fer_client.errors import (
    BrokerUnavailableError,
    FerWorkerError,
    MessageError,
    NoWorkerQueueError,
    QueueFullError,
)
from fer_schemas import BatchRequest
from fer_worker.admin.queue_browser import QueueBrowser
from fer_worker.limits import DEFAULT_LIMITS
from fer_worker.serving.dead_letter import (
    DEAD_LETTERED_AT,
    DEAD_LETTERED_BY,
    FIRST_QUEUE,
    REASON,
    REASON_TEXT,
    to_request,
)
from fer_worker.serving.request_decoder import decode_request, read_camera_id

ID_BYTES = 6
"""Twelve digits: few enough to type, enough to tell any number of dead letters apart."""


@dataclass(frozen=True)
class DeadLetter:
    """What is known of a dead-lettered request without its body. None where nobody said so."""

    id: str
    dead_lettered_at: str | None
    """ISO 8601."""
    dead_lettered_by: str | None
    """host/pid of the worker or supervisor."""
    first_queue: str | None
    """Where it was taken from."""
    code: str | None
    """An `ErrorCode`, of this version or another."""
    message: str | None
    camera_id: str | None
    correlation_id: str | None
    reply_to: str | None
    content_type: str | None
    body_bytes: int
    deliveries: int
    """From the queue of the dead, this one included: each look is one."""


@dataclass(frozen=True)
class OpenedLetter:
    """A dead letter and what is in it."""

    summary: DeadLetter
    properties: Mapping[str, Any]
    """AMQP properties that are set, without the headers."""
    headers: Mapping[str, Any]
    body: bytes = field(repr=False)
    request: BatchRequest | None
    """The body decoded."""
    fault: MessageError | None
    """Why it cannot be decoded; a worker of this version would dead-letter it again for that."""


class DeadLetters(QueueBrowser):
    """The dead letters of one namespace, for one of the methods below. A context manager."""

    def __init__(self, broker: BrokerConfig, wait_s: float = 10.0) -> None:
        """Connect.

        Raises:
            BrokerRefusedError: the broker refuses us.
            BrokerUnavailableError: no broker within `wait_s` seconds.
        """
        super().__init__(broker, Topology(broker.namespace).dead, wait_s)

    def oldest(self, limit: int) -> tuple[Sequence[DeadLetter], int]:
        """Return the oldest `limit` dead letters in their order, and how many there are in all."""
        letters: dict[str, DeadLetter | None] = {}
        for delivery in self.look():
            id_ = identify(delivery)
            if id_ not in letters:  # a crash may have left a second copy
                letters[id_] = _summary(delivery) if len(letters) < limit else None
        return [letter for letter in letters.values() if letter is not None], len(letters)

    def open(self, id_: str) -> OpenedLetter:
        """Return everything about one dead letter.

        Raises:
            FerWorkerError: there is none of this id.
        """
        found: Delivery | None = None
        for delivery in self.look():
            if found is None and identify(delivery) == id_:
                found = delivery
        if found is None:
            raise self._unknown([id_])
        return _open(found)

    def requeue(self, ids: Collection[str] | None = None) -> Iterator[str]:
        """Publish dead letters to the request exchange again, as their senders sent them.

        Each is acked once the broker has confirmed its new copy: whatever breaks in between leaves
        a duplicate at worst.

        Args:
            ids: which ones; all that are there now without it.

        Yields:
            The id of each that is done.

        Raises:
            NoWorkerQueueError: no queue takes requests. This letter and the rest are kept.
            QueueFullError: the queue of requests is full. This letter and the rest are kept.
            BrokerUnavailableError: the broker takes no messages. This letter and the rest are
                kept; it may pass this one on all the same.
            FerWorkerError: some of the ids are not there; the others are done.
        """
        channel = self.connection.channel()
        channel.confirm_delivery()
        done = set()
        for delivery in self._choose(ids):
            is_first = (id_ := identify(delivery)) not in done  # a crash may have left a copy
            if is_first:
                _publish(channel, to_request(delivery, self.topology))
            delivery.ack()
            if is_first:
                done.add(id_)
                yield id_

    def purge(self, ids: Collection[str] | None = None) -> Iterator[str]:
        """Remove dead letters for good; arguments and errors as of `requeue`."""
        done = set()
        for delivery in self._choose(ids):
            delivery.ack()
            if (id_ := identify(delivery)) not in done:
                done.add(id_)
                yield id_

    def _choose(self, ids: Collection[str] | None) -> Iterator[Delivery]:
        """Yield what is to be acked: everything, or what has one of the ids."""
        if ids is None:
            for group in self.take():
                yield from group
            return
        found = set()
        for delivery in self.look():
            if (id_ := identify(delivery)) in ids:
                found.add(id_)
                yield delivery
        if missing := [id_ for id_ in dict.fromkeys(ids) if id_ not in found]:
            raise self._unknown(missing)

    def _unknown(self, ids: Iterable[str]) -> FerWorkerError:
        return FerWorkerError(f"no dead letter {', '.join(ids)} in {self.queue}")


def identify(delivery: Delivery) -> str:
    """Name a dead letter in a few digits, the same at every look.

    They stand for the `message_id` that it was given when it was dead-lettered; for the body, where
    something else put it into the queue without one.
    """
    name = delivery.message_id
    unique = delivery.body if name is None else name.encode()
    return hashlib.blake2b(unique, digest_size=ID_BYTES).hexdigest()


def _summary(delivery: Delivery) -> DeadLetter:
    headers = delivery.headers
    # Senders may set it too; the broker itself does so only when it delivers again.
    returns = headers.get("x-delivery-count") if delivery.redelivered else None
    return DeadLetter(
        id=identify(delivery),
        dead_lettered_at=_text(headers.get(DEAD_LETTERED_AT)),
        dead_lettered_by=_text(headers.get(DEAD_LETTERED_BY)),
        first_queue=_text(headers.get(FIRST_QUEUE)),
        code=_text(headers.get(REASON)),
        message=_text(headers.get(REASON_TEXT)),
        camera_id=read_camera_id(delivery.body, delivery.content_type, headers),
        correlation_id=delivery.correlation_id,
        reply_to=delivery.reply_to,
        content_type=delivery.content_type,
        body_bytes=len(delivery.body),
        deliveries=1 + (int(returns) if isinstance(returns, int) else 0),
    )


def _open(delivery: Delivery) -> OpenedLetter:
    request, fault = None, None
    try:
        request = decode_request(
            delivery.body, delivery.content_type, delivery.headers, DEFAULT_LIMITS
        )
    except MessageError as error:
        fault = error
    return OpenedLetter(
        summary=_summary(delivery),
        properties={
            name: value
            for name, value in sorted(vars(delivery.properties).items())
            if value is not None and name != "headers"
        },
        headers=delivery.headers,
        body=delivery.body,
        request=request,
        fault=fault,
    )


def _publish(channel: BlockingChannel, message: Message) -> None:
    try:
        channel.basic_publish(
            message.exchange, message.routing_key, message.body, message.properties, mandatory=True
        )
    except UnroutableError as error:
        raise NoWorkerQueueError(f"no queue is bound to {message.exchange}") from error
    except NackError as error:
        raise QueueFullError("the queue of requests is full; try again later") from error
    except ConnectionBlockedTimeout as error:
        raise BrokerUnavailableError(
            "the broker takes no messages: it is low on memory or disk; try again later"
        ) from error


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
