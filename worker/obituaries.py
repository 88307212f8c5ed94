"""What the broker dead-lettered, answered and buried by a supervisor.

The broker gives up on a request that expired in its queue, or that was delivered from the suspects
three times and never acked: each time its worker died. No worker is left to answer it.
"""

from collections.abc import Callable

from schemas import BatchRequest, ErrorCode
from worker.broker.admission import Admission
from worker.broker.codec import decode_request
from worker.broker.consumer import Delivery
from worker.broker.outcome import Outcomes
from worker.config import Limits
from worker.errors import MessageError
from worker.results import expired


def attend(
    delivery: Delivery,
    outcomes: Outcomes,
    admission: Admission,
    worker: str,
    then: Callable[[], None],
) -> None:
    """End one dead-lettered request: `expired` is answered, anything else buried as poison."""
    try:
        admission.check(delivery)
    except MessageError as error:
        outcomes.bury(delivery, error, then)
        return
    if delivery.last_death is not None and delivery.last_death.get("reason") == "expired":
        result = expired(
            _read(delivery, admission.limits),
            correlation_id=delivery.correlation_id,
            redelivered=delivery.was_delivered_before,
            worker=worker,
        )
        outcomes.reply(delivery, result, then)
        return
    poison = MessageError(
        ErrorCode.POISON_MESSAGE, "every worker that took this request died of it"
    )
    outcomes.bury(delivery, poison, then)


def _read(delivery: Delivery, limits: Limits) -> BatchRequest | None:
    try:
        return decode_request(delivery.body, delivery.content_type, delivery.headers, limits)
    except MessageError:
        return None
