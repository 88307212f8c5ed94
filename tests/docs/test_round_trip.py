"""The round trip that the benchmarks send through this worker and through others' frameworks."""

from collections.abc import Iterator

import pytest

from benchmarks.broker_path import NoEngine, padded_jpeg
from benchmarks.frameworks.contract import Work, no_work
from benchmarks.round_trip import everyone, turn
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker

pytestmark = pytest.mark.broker

REQUESTS = 20
CONTESTANTS = everyone(Work(padded_jpeg(1_000), 2, no_work, NoEngine))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A broker of our own: Celery leaves queues behind."""
    with EmbeddedBroker() as node:
        yield node.url


@pytest.mark.parametrize("name", CONTESTANTS)
def test_every_framework_answers_what_waits_and_what_comes_later(name: str, url: str) -> None:
    its = turn(url, REQUESTS, *CONTESTANTS[name])
    assert its.rate > 0
    assert len(its.ms) == REQUESTS // 5
    assert its.memory_mb > 10
