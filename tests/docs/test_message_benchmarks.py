"""Benchmarks of the way of a message: what they do, not how fast."""

from collections.abc import Iterator

import pytest

from benchmarks import queue_capacity, round_trip
from benchmarks.broker_path import NoEngine, padded_jpeg
from benchmarks.frameworks.contract import Work, no_work
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker

pytestmark = pytest.mark.broker

REQUESTS = 20
CONTESTANTS = round_trip.everyone(Work(padded_jpeg(1_000), 2, no_work, NoEngine))


@pytest.fixture(scope="module")
def node() -> Iterator[EmbeddedBroker]:
    """A broker of our own: Celery leaves queues behind."""
    with EmbeddedBroker() as own:
        yield own


@pytest.mark.parametrize("name", CONTESTANTS)
def test_every_framework_answers_what_waits_and_what_comes_later(
    name: str, node: EmbeddedBroker
) -> None:
    its = round_trip.turn(node.url, REQUESTS, *CONTESTANTS[name])
    assert its.rate > 0
    assert len(its.ms) == REQUESTS // 5
    assert its.memory_mb > 10


def test_a_queue_passes_every_message_on(node: EmbeddedBroker) -> None:
    figures = queue_capacity.turn(node.url, queue_capacity.pids([node]), size=1_000, messages=50)
    assert len(figures) == len(queue_capacity.COLUMNS)
    assert figures[0] > 0
