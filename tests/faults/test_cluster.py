"""Fault 8: one of three nodes is killed, the one that leads the queue of requests.

There are two namespaces, each with workers of its own, as where one queue is not enough.
"""

from contextlib import ExitStack
from pathlib import Path

import pytest

from fer_client.config import BrokerConfig
from tests.cluster import Cluster
from tests.faults.load import steady_load
from tests.serving import running

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

NAMESPACES = ("fer", "fer-2")
PROCESSES = (2, 1)
"""Of each."""


def test_both_namespaces_answer_every_batch_though_a_node_that_leads_is_killed(
    tmp_path: Path,
) -> None:
    with Cluster() as cluster, ExitStack() as held:
        brokers = [BrokerConfig(cluster.urls, namespace=name) for name in NAMESPACES]
        workers = [
            held.enter_context(
                running(
                    tmp_path / broker.namespace,
                    broker,
                    f"--processes={processes}",
                    "--threads=1",
                    engine="FaultyEngine",
                )
            )
            for broker, processes in zip(brokers, PROCESSES, strict=True)
        ]
        for each, processes in zip(workers, PROCESSES, strict=True):
            each.await_ready(processes)
        loads = [held.enter_context(steady_load(broker)) for broker in brokers]
        leader = cluster.leader(f"{NAMESPACES[0]}.frames")
        for load in loads:
            load.pile_up(100)
        leader.kill()
        for load in loads:
            load.goes_on(timeout_s=100)
        for each, processes in zip(workers, PROCESSES, strict=True):
            each.await_ready(processes)
            assert each.status().restarts == 0
