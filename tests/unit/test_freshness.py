from datetime import UTC, datetime, timedelta

import pytest

from fer_schemas import BatchRequest, Frame
from fer_worker.serving.deadlines import deadline_of

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("deadline", "expiration", "found"),
    [
        (None, None, None),
        (after(1), None, after(1)),
        (None, "250", after(0.25)),
        (after(1), "250", after(0.25)),
        (after(0.1), "250", after(0.1)),
        (None, "soon", None),
        (None, "9" * 30, None),
    ],
)
def test_deadline_is_the_first_of_what_the_sender_says(
    deadline: datetime | None, expiration: str | None, found: datetime | None
) -> None:
    request = BatchRequest(version=1, frames=(Frame(jpeg=b"x"),), deadline=deadline)
    assert deadline_of(request, expiration, delivered_at=NOON) == found
