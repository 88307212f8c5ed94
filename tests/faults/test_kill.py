"""Worker processes that die, under load whose right answers are known."""

import os
import signal
from pathlib import Path

import pytest

from schemas import BatchResult
from tests.frames import sample
from tests.serving import running
from tests.waiting import wait_until
from worker.client import FerClient
from worker.config import BrokerConfig

pytestmark = pytest.mark.broker

SAMPLES = ("astronaut", "burst-1", "burst-4", "grace_hopper", "no_face", "broken")


def measured(result: BatchResult) -> object:
    """What a result says of the frames, without who said it and when."""
    return (result.status, result.emotions, result.faces_areas, result.frames, result.errors)


def test_200_batches_get_200_right_results_though_a_worker_is_killed(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    with (
        running(tmp_path / "workers.log", broker, "--processes=2") as workers,
        FerClient(broker) as client,
    ):
        right = {name: measured(client.analyze([sample(name)], timeout_s=60)) for name in SAMPLES}
        names = [SAMPLES[number % len(SAMPLES)] for number in range(200)]
        futures = [client.submit([sample(name)]) for name in names]
        futures[10].result(60)
        victim = workers.ready_pids()[0]
        os.kill(victim, signal.SIGKILL)
        results = [future.result(60) for future in futures]
        wait_until(lambda: len(workers.ready_pids()) == 2, 60, "the dead worker is replaced")
    assert [measured(result) for result in results] == [right[name] for name in names]
    assert any(result.redelivered for result in results)


def test_workers_leave_when_their_supervisor_is_killed(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    with running(tmp_path / "workers.log", broker, "--processes=2") as workers:
        wait_until(lambda: len(workers.ready_pids()) == 2, 60, "two workers are ready")
        pids = workers.ready_pids()
        workers.process.kill()
        wait_until(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids),
            30,
            "the workers have left",
        )
