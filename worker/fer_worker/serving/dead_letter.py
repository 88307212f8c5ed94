"""Copies of requests for queues of ours: in quarantine, as dead letters, and back again."""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import pika

from fer_client.amqp.consumer import QUARANTINED, Delivery
from fer_client.amqp.properties import size_of
from fer_client.amqp.publisher import Message
from fer_client.amqp.topology import REQUEST_ROUTING_KEY, Queue, Topology
from fer_client.errors import MessageError

REASON: Final = "x-reason"
REASON_TEXT: Final = "x-reason-text"
DEAD_LETTERED_AT: Final = "x-dead-lettered-at"
DEAD_LETTERED_BY: Final = "x-dead-lettered-by"
FIRST_QUEUE: Final = "x-first-queue"

_LONGEST_NAME = 255
_MAX_COPIED_BYTES = 64 * 1024
"""Of headers. All of a message's properties must fit into one frame of 128 KiB."""

_NOT_COPIED = frozenset({"CC", "BCC", "x-delivery-count"})
"""Headers that would have the broker route a copy to more queues than the one meant, and its own
count, which starts anew in the copy's queue."""

_ADDED = frozenset(
    {QUARANTINED, REASON, REASON_TEXT, DEAD_LETTERED_AT, DEAD_LETTERED_BY, FIRST_QUEUE}
)
_ADDED_BY_THE_BROKER = ("x-death", "x-first-death-", "x-last-death-")
"""Headers that a request gathers on its way, and their beginnings."""


def quarantine_copy(delivery: Delivery, topology: Topology) -> Message:
    """Make the copy of a request that is examined apart from the others."""
    return _copy(delivery, topology.quarantine, {QUARANTINED: True})


def dead_letter_copy(
    delivery: Delivery, error: MessageError, topology: Topology, worker: str
) -> Message:
    """Make the copy of a request that an operator is to look at, with the reason in its headers.

    Its `message_id` is the same for each copy of one request: a crash between the broker's confirm
    and our ack leaves two of them.
    """
    first_queue = delivery.headers.get("x-first-death-queue")  # a sender may forge it
    reason = {
        REASON: error.code.value,
        REASON_TEXT: error.message,
        DEAD_LETTERED_AT: datetime.now(UTC).isoformat(timespec="milliseconds"),
        DEAD_LETTERED_BY: worker,
        FIRST_QUEUE: first_queue[:_LONGEST_NAME]
        if isinstance(first_queue, str)
        else delivery.queue,
    }
    message = _copy(delivery, topology.dead, reason)
    message.properties.message_id = _stable_id(delivery)
    message.properties.expiration = None  # kept until an operator has looked
    return message


def to_request(delivery: Delivery, topology: Topology) -> Message:
    """Make the request of a dead letter anew, to be judged as if for the first time.

    Its own `message_id` and `expiration` are lost.
    """
    message = _copy(delivery, topology.frames, {})
    message.properties.headers = {
        name: value
        for name, value in message.properties.headers.items()
        if name not in _ADDED
        # A name that is not UTF-8 comes as bytes.
        and not (isinstance(name, str) and name.startswith(_ADDED_BY_THE_BROKER))
    }
    return replace(message, exchange=topology.requests, routing_key=REQUEST_ROUTING_KEY)


def _stable_id(delivery: Delivery) -> str:
    """Name a request by what its sender made of it, the same at every delivery."""
    properties = delivery.properties
    parts = (properties.message_id, properties.correlation_id, properties.reply_to)
    name = hashlib.blake2b(repr((*parts, properties.timestamp)).encode(), digest_size=16)
    name.update(delivery.body)
    return name.hexdigest()


def _copy(delivery: Delivery, queue: Queue, headers: dict[str, Any]) -> Message:
    properties = copy.copy(delivery.properties)
    properties.headers = {
        **{name: value for name, value in _kept(delivery).items() if name not in _NOT_COPIED},
        **headers,
    }
    properties.user_id = None  # the broker refuses one that is not our own
    properties.message_id = None  # the publisher's, to tell which message was returned
    properties.delivery_mode = pika.DeliveryMode.Persistent.value
    return Message(routing_key=queue.name, body=delivery.body, properties=properties)


def _kept(delivery: Delivery) -> Mapping[str, Any]:
    """The headers of a request, or none where a frame would not hold them and ours as well."""
    try:
        return delivery.headers if size_of(delivery.headers) <= _MAX_COPIED_BYTES else {}
    except Exception:  # pika cannot write what it could read
        return {}
