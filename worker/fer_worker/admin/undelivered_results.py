"""Results without a reader, in `fer.results`: look at them, or take them out."""

import base64
import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fer_client.amqp.codec import decode_result
from fer_client.amqp.consumer import Delivery
from fer_client.amqp.topology import Topology
from fer_client.config import BrokerConfig
from fer_worker.admin.queue_browser import QueueBrowser
from fer_worker.serving.responder import INTENDED_QUEUE


@dataclass(frozen=True)
class UndeliveredResult:
    """What is known of a result nobody reads. None where nobody said so."""

    published_at: str | None
    """ISO 8601, whole seconds."""
    correlation_id: str | None
    camera_id: str | None
    status: str | None
    x_reply_to: str | None
    """The queue it could not reach; None where the request named none."""


class UndeliveredResults(QueueBrowser):
    """The unread results of one namespace, for one of the methods below. A context manager."""

    def __init__(self, broker: BrokerConfig, wait_s: float = 10.0) -> None:
        """Connect.

        Raises:
            BrokerRefusedError: the broker refuses us.
            BrokerUnavailableError: no broker within `wait_s` seconds.
        """
        super().__init__(broker, Topology(broker.namespace).results, wait_s)

    def oldest(self, limit: int) -> tuple[Sequence[UndeliveredResult], int]:
        """Return the oldest `limit` results in their order, and how many there are in all."""
        return self.survey(limit, _summary)

    def drain(self, write: Callable[[list[str]], None], limit: int | None = None) -> int:
        """Take results out of the queue, oldest first, and return how many.

        Args:
            write: called with some lines of JSON, without line ends; they are acked when it
                returns. What it raises ends this, and those lines are in the queue again.
            limit: how many at most; all that are there now without it.
        """
        taken = 0
        for group in self.take(limit):
            write([_line(delivery) for delivery in group])
            for delivery in group:
                delivery.ack()
            taken += len(group)
        return taken


def _summary(delivery: Delivery) -> UndeliveredResult:
    camera_id, status = None, None
    with contextlib.suppress(ValueError):
        result = decode_result(delivery.body)
        camera_id, status = result.camera_id, result.status.value
    return UndeliveredResult(
        published_at=_iso_8601(delivery.properties.timestamp),
        correlation_id=delivery.correlation_id,
        camera_id=camera_id,
        status=status,
        x_reply_to=_reply_to(delivery),
    )


def _iso_8601(timestamp: int | None) -> str | None:
    if timestamp is None:
        return None
    try:
        return datetime.fromtimestamp(timestamp, UTC).isoformat()
    except (ValueError, OverflowError, OSError):  # not a time of any calendar
        return None


def _line(delivery: Delivery) -> str:
    """Write a message as one line: the result as it is, and the queue it could not reach.

    What is no JSON object is kept whole, as base64.
    """
    try:
        fields = json.loads(delivery.body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        fields = {
            "correlation_id": delivery.correlation_id,
            "body_base64": base64.b64encode(delivery.body).decode(),
        }
    return json.dumps({**fields, INTENDED_QUEUE: _reply_to(delivery)})


def _reply_to(delivery: Delivery) -> str | None:
    found = delivery.headers.get(INTENDED_QUEUE)
    return found if isinstance(found, str) else None
