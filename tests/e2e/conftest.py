"""The whole system: `fer-worker run` with its own processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_client.config import BrokerConfig
from tests.serving import RunningWorkers, running
from tests.waiting import wait_until


@pytest.fixture
def workers(broker: BrokerConfig, tmp_path: Path) -> Iterator[RunningWorkers]:
    """Two ready worker processes under a supervisor."""
    with running(tmp_path / "workers.log", broker, "--processes=2") as started:
        wait_until(lambda: len(started.ready_pids()) == 2, 60, "two workers are ready")
        yield started
