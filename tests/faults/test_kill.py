"""Fault 1: processes that are killed under load."""

import os
import signal
from pathlib import Path

import pytest

from fer_client.config import BrokerConfig
from tests.engines import SLOW_HEIGHT, plain_jpeg
from tests.faults.load import steady_load
from tests.leftovers import is_alive
from tests.serving import running
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

ENGINE = "FaultyEngine"
JPEGS = [plain_jpeg(width, SLOW_HEIGHT) for width in range(30, 80, 5)]
"""They take a tenth of a second each: a process that is killed is at work."""


def test_every_batch_is_answered_though_a_worker_is_killed(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    with (
        running(tmp_path / "workers.log", broker, "--processes=2", engine=ENGINE) as workers,
        steady_load(broker, JPEGS, per_s=10) as load,
    ):
        victim = workers.await_ready(2)[0]
        load.pile_up(40)
        os.kill(victim, signal.SIGKILL)
        load.goes_on()
        assert victim not in workers.await_ready(2)
    assert any(result.redelivered for result in load.results)


def test_every_batch_is_answered_though_all_workers_are_killed(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    with (
        running(tmp_path / "workers.log", broker, "--processes=2", engine=ENGINE) as workers,
        steady_load(broker, JPEGS, per_s=10) as load,
    ):
        victims = workers.await_ready(2)
        load.pile_up(40)
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        load.goes_on()
        assert not set(victims) & set(workers.await_ready(2))
    assert any(result.redelivered for result in load.results)


def test_workers_leave_with_a_killed_supervisor_and_its_successor_answers_the_rest(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    with (
        running(tmp_path / "workers.log", broker, "--processes=2", engine=ENGINE) as workers,
        steady_load(broker, JPEGS, per_s=10) as load,
    ):
        pids = workers.await_ready(2)
        workers.process.kill()
        wait_until(lambda: not any(map(is_alive, pids)), 30, "the workers have left")
        with running(tmp_path / "next.log", broker, "--processes=2", engine=ENGINE):
            load.goes_on()
            load.finish()
    # The workers had finished what they had taken.
    assert load.client.dropped == 0
