"""What the broker dead-lettered, answered and buried by a supervisor.

The broker gives up on a request that expired in its queue, or that was delivered from the suspects
three times and never acked: each time its worker died. No worker is left to answer it.
"""

import time

from fer_client.amqp.consumer import Delivery
from fer_client.errors import MessageError
from fer_schemas import BatchRequest, ErrorCode
from fer_worker.limits import Limits
from fer_worker.metrics import Meter
from fer_worker.serving.request_checks import Admission
from fer_worker.serving.request_decoder import decode_request
from fer_worker.serving.responder import Outcomes
from fer_worker.serving.result_builder import expired


def attend(
    delivery: Delivery, outcomes: Outcomes, admission: Admission, supervisor: str, meter: Meter
) -> None:
    """End one dead-lettered request: `expired` is answered, anything else buried as poison."""
    taken = time.perf_counter()
    try:
        admission.check(delivery)
        if delivery.last_death is None or delivery.last_death.get("reason") != "expired":
            raise MessageError(
                ErrorCode.POISON_MESSAGE, "every worker that took this request died of it"
            )
    except MessageError as error:
        reason = error.code.value
        outcomes.bury(delivery, error, then=lambda: meter.buried(reason))
        return
    result = expired(
        _read(delivery, admission.limits),
        "expired in the queue",
        correlation_id=delivery.correlation_id,
        redelivered=delivery.was_delivered_before,
        worker=supervisor,
    )

    def count() -> None:
        took_s = time.perf_counter() - taken
        meter.answered(result.status.value, queued_s=None, publish_s=took_s, took_s=took_s)

    outcomes.reply(delivery, result, then=count)


def _read(delivery: Delivery, limits: Limits) -> BatchRequest | None:
    try:
        return decode_request(delivery.body, delivery.content_type, delivery.headers, limits)
    except MessageError:
        return None
