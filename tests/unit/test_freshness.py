from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from fer_schemas import BatchRequest, Frame
from fer_worker.serving.deadlines import LatestBatches, deadline_of

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@dataclass(eq=False)
class Batch:
    camera_id: str | None
    moment: datetime


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


def test_an_older_batch_has_a_newer_one_whichever_came_first() -> None:
    latest: LatestBatches[Batch] = LatestBatches()
    new, old, other = Batch("a", after(1)), Batch("a", after(0)), Batch("b", after(0))
    for batch in (new, old, other):
        latest.add(batch)
    assert [latest.has_newer(batch) for batch in (new, old, other)] == [False, True, False]


def test_of_batches_of_one_moment_the_last_to_come_is_the_newest() -> None:
    latest: LatestBatches[Batch] = LatestBatches()
    first, second = Batch("a", NOON), Batch("a", NOON)
    latest.add(first)
    latest.add(second)
    assert latest.has_newer(first)
    assert not latest.has_newer(second)


def test_a_batch_without_a_camera_is_never_too_old() -> None:
    latest: LatestBatches[Batch] = LatestBatches()
    first, second = Batch(None, after(0)), Batch(None, after(1))
    latest.add(first)
    latest.add(second)
    assert not latest.has_newer(first)


def test_a_batch_that_has_ended_stands_in_nobodys_way() -> None:
    latest: LatestBatches[Batch] = LatestBatches()
    old, new = Batch("a", after(0)), Batch("a", after(1))
    latest.add(old)
    latest.add(new)
    del new
    assert not latest.has_newer(old)
