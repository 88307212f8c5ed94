"""The health check of a container, against what a supervisor answers."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_worker.supervision.health_server import HealthServer
from tests.unit.test_monitoring import overview

SCRIPT = Path(__file__).parents[2] / "deploy" / "healthcheck.py"


@pytest.fixture
def monitor() -> Iterator[HealthServer]:
    monitor = HealthServer("127.0.0.1", 0)
    monitor.start()
    yield monitor
    monitor.close()


def check(port: int) -> tuple[int, str]:
    """Exit code and what was said, started as the Dockerfile does."""
    command = [sys.executable, "-I", "-S", str(SCRIPT)]
    environment = {"FER_WORKER_RUN_METRICS_PORT": str(port)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.returncode, done.stderr


def test_worker_that_takes_requests_is_healthy(monitor: HealthServer) -> None:
    monitor.publish(overview("ready", "starting"))
    assert check(monitor.port) == (0, "")


def test_worker_that_is_paused_does_what_it_was_told(monitor: HealthServer) -> None:
    monitor.publish(overview(desired=0))
    assert check(monitor.port) == (0, "")


def test_worker_without_its_broker_is_not_healthy_and_says_so(monitor: HealthServer) -> None:
    monitor.publish(overview("not_ready", connected=False))
    assert check(monitor.port) == (1, "not connected to the broker\n")


def test_worker_that_starts_is_not_healthy_yet(monitor: HealthServer) -> None:
    assert check(monitor.port) == (1, "starting\n")


def test_supervisor_that_does_not_answer_is_not_healthy() -> None:
    monitor = HealthServer("127.0.0.1", 0)
    monitor.start()
    monitor.close()
    code, said = check(monitor.port)
    assert code == 1
    assert said.startswith("no answer: ")
    assert said.count("\n") == 1
