"""Until when a request is worth an analysis."""

from contextlib import suppress
from datetime import datetime, timedelta

from fer_schemas import BatchRequest


def deadline_of(
    request: BatchRequest, expiration: str | None, delivered_at: datetime
) -> datetime | None:
    """Until when a request is to be picked up; None: forever.

    The broker drops what expires in its queue, but nothing that has been delivered and waits in a
    worker. So its `expiration` is counted once more from delivery: from `sent_at` would need
    clocks in step, which a sender who gives no `deadline` may not have.

    Args:
        request: its `deadline` counts.
        expiration: the AMQP property, in milliseconds.
        delivered_at: when it came here, with a time zone.
    """
    deadlines = [] if request.deadline is None else [request.deadline]
    if expiration is not None and expiration.isdecimal():
        with suppress(OverflowError):  # in a million years
            deadlines.append(delivered_at + timedelta(milliseconds=int(expiration)))
    return min(deadlines, default=None)
