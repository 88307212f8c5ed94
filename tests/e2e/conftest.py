"""The whole system: `fer-worker run` with its own processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_client.config import BrokerConfig
from fer_worker.admin.temporary_namespace import temporary_namespace
from tests.gateways import RunningGateway, gateway
from tests.serving import RunningWorkers, fer_worker, running


@pytest.fixture
def workers(broker: BrokerConfig, tmp_path: Path) -> Iterator[RunningWorkers]:
    """Two ready worker processes under a supervisor, which the test may end."""
    with running(tmp_path / "workers.log", broker, "--processes=2") as started:
        started.await_ready(2)
        yield started


@pytest.fixture(scope="module")
def own(broker_url: str) -> Iterator[BrokerConfig]:
    """A namespace for this module."""
    with temporary_namespace(broker_url, "t") as config:
        yield config


@pytest.fixture(scope="module")
def _pair(own: BrokerConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorkers]:
    log = tmp_path_factory.mktemp("workers") / "log"
    with running(log, own, "--processes=2") as started:
        yield started


@pytest.fixture
def pair(_pair: RunningWorkers) -> RunningWorkers:
    """Two ready worker processes for all tests of a module, which may scale them."""
    if _pair.status().desired != 2:
        fer_worker("scale", "2", broker=_pair.broker)
    _pair.await_ready(2)
    return _pair


@pytest.fixture(scope="module")
def served(own: BrokerConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway in front of a real worker process."""
    folder = tmp_path_factory.mktemp("gateway")
    with (
        running(folder / "workers.log", own, "--processes=1") as workers,
        gateway(folder / "gateway.log", own) as started,
    ):
        started.wait_until_connected()
        workers.await_ready(1)
        yield started
