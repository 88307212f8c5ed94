"""A request as a dead letter: its copy with the reason in headers, and the way back."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pika

from fer_client.amqp.consumer import SET_ASIDE, Delivery
from fer_client.amqp.properties import size_of
from fer_client.amqp.publisher import Message
from fer_client.amqp.topology import REQUEST_ROUTING_KEY, Queue, Topology

REASON = "x-reason"


REASON_TEXT = "x-reason-text"


BURIED_AT = "x-buried-at"


BURIED_BY = "x-buried-by"


FIRST_QUEUE = "x-first-queue"


_MAX_COPIED_BYTES = 64 * 1024
"""Of headers. All of a message's properties must fit into one frame of 128 KiB."""


_NOT_COPIED = frozenset({"CC", "BCC", "x-delivery-count"})
"""Headers that would have the broker route a copy to more queues than the one meant, and its own
count, which starts anew in the copy's queue."""


_ADDED = frozenset({SET_ASIDE, REASON, REASON_TEXT, BURIED_AT, BURIED_BY, FIRST_QUEUE})


_ADDED_BY_THE_BROKER = ("x-death", "x-first-death-", "x-last-death-")
"""Headers that a request gathers on its way to the dead, and their beginnings."""


def exhume(delivery: Delivery, topology: Topology) -> Message:
    """Make the request of a dead letter anew, to be judged as if it had never been buried.

    The `message_id` was lost when it was buried, and an `expiration` too.
    """
    message = copy_to(delivery, topology.frames, {})
    message.properties.headers = {
        name: value
        for name, value in message.properties.headers.items()
        if name not in _ADDED and not name.startswith(_ADDED_BY_THE_BROKER)
    }
    return replace(message, exchange=topology.requests, routing_key=REQUEST_ROUTING_KEY)


def _kept(delivery: Delivery) -> Mapping[str, Any]:
    """The headers of a request, or none where a frame would not hold them and ours as well."""
    try:
        return delivery.headers if size_of(delivery.headers) <= _MAX_COPIED_BYTES else {}
    except Exception:  # pika cannot write what it could read
        return {}


def copy_to(delivery: Delivery, queue: Queue, headers: dict[str, Any]) -> Message:
    """Make a copy of a request for one of our own queues."""
    properties = copy.copy(delivery.properties)
    properties.headers = {
        **{name: value for name, value in _kept(delivery).items() if name not in _NOT_COPIED},
        **headers,
    }
    properties.user_id = None  # the broker refuses one that is not our own
    properties.message_id = None  # the publisher's, to tell which message was returned
    properties.delivery_mode = pika.DeliveryMode.Persistent.value
    return Message(routing_key=queue.name, body=delivery.body, properties=properties)
