"""What the broker dead-lettered, answered and buried by a supervisor.

The broker gives up on a request that expired in its queue, or that was delivered from the suspects
three times and never acked: each time its worker died. No worker is left to answer it.
"""

from collections.abc import Callable

from schemas import BatchRequest, ErrorCode
from worker.broker.codec import decode_request
from worker.broker.consumer import Delivery
from worker.broker.outcome import Outcomes
from worker.config import Limits
from worker.errors import MessageError
from worker.results import expired


def attend(
    delivery: Delivery,
    outcomes: Outcomes,
    worker: str,
    then: Callable[[], None],
    limits: Limits,
) -> None:
    """End one dead-lettered request: `expired` is answered, anything else buried as poison."""
    if death_reason(delivery) == "expired":
        result = expired(
            _read(delivery, limits),
            correlation_id=delivery.correlation_id,
            redelivered=delivery.was_delivered_before,
            worker=worker,
        )
        outcomes.reply(delivery, result, then)
        return
    error = MessageError(ErrorCode.POISON_MESSAGE, "every worker that took this request died of it")
    outcomes.bury(delivery, error, then)


def death_reason(delivery: Delivery) -> str | None:
    """Why the broker dead-lettered a message (`x-death`, newest first), None if it did not."""
    deaths = delivery.headers.get("x-death")
    if not isinstance(deaths, list) or not deaths or not isinstance(deaths[0], dict):
        return None
    reason = deaths[0].get("reason")
    return reason if isinstance(reason, str) else None


def _read(delivery: Delivery, limits: Limits) -> BatchRequest | None:
    try:
        return decode_request(delivery.body, delivery.content_type, delivery.headers, limits)
    except MessageError:
        return None
