"""Fault 8: one of three nodes is killed, the one that leads the queue of requests."""

from pathlib import Path

import pytest

from fer_client.config import BrokerConfig
from tests.cluster import Cluster
from tests.faults.load import steady_load
from tests.serving import running

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]


def test_every_batch_is_answered_though_the_node_that_leads_is_killed(tmp_path: Path) -> None:
    with Cluster() as cluster:
        broker = BrokerConfig(cluster.urls)
        options = ("--processes=2", "--threads=1")
        with (
            running(tmp_path / "log", broker, *options, engine="FaultyEngine") as workers,
            steady_load(broker) as load,
        ):
            workers.await_ready(2)
            leader = cluster.leader("fer.frames")
            load.pile_up(100)
            leader.kill()
            load.goes_on(timeout_s=100)
            workers.await_ready(2)
            assert workers.status().restarts == 0
