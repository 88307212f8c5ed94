"""Fault 2: a broker that goes away and comes back, is not there yet, or refuses us."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fer_client.config import BrokerConfig
from fer_worker.admin.supervisor_client import SupervisorClient
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from tests.engines import plain_jpeg
from tests.faults.load import steady_load
from tests.serving import RunningWorkers, command, fer_worker, fer_worker_process, running
from tests.streams import Film, streaming
from tests.waiting import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

AWAY_S = 10
"""The pause between two attempts is at its longest after 8 s (9.3 s with all jitter)."""


@contextmanager
def changing_the_password_back(node: EmbeddedBroker) -> Iterator[None]:
    try:
        yield
    finally:
        node.rabbitmqctl("change_password", "guest", "guest")


def says(workers: RunningWorkers, words: str) -> bool:
    return words in workers.log.read_text()


@pytest.mark.parametrize(
    ("end", "away_s"),
    [(EmbeddedBroker.stop, AWAY_S), (EmbeddedBroker.kill, 0)],
    ids=["stop", "kill"],
)
def test_every_batch_is_answered_over_a_restart_of_the_broker(
    node: EmbeddedBroker,
    own_broker: BrokerConfig,
    tmp_path: Path,
    end: Callable[[EmbeddedBroker], None],
    away_s: float,
) -> None:
    with (
        running(tmp_path / "workers.log", own_broker, "--processes=2") as workers,
        steady_load(own_broker) as load,
    ):
        pids = workers.await_ready(2)
        load.pile_up(100)
        end(node)
        time.sleep(away_s)  # the fault itself
        node.start()
        load.goes_on()
        assert workers.await_ready(2) == pids  # the same processes


def test_workers_wait_for_a_broker_that_is_not_up_yet(
    node: EmbeddedBroker, own_broker: BrokerConfig, tmp_path: Path
) -> None:
    node.stop()
    with running(tmp_path / "workers.log", own_broker, "--processes=1") as workers:
        wait_until(lambda: says(workers, "no broker at"), 30, "the worker misses its broker")
        node.start()
        with steady_load(own_broker) as load:
            load.goes_on()
    assert workers.process.returncode == 0


def test_workers_wait_for_a_virtual_host_that_is_still_booting(
    node: EmbeddedBroker, own_broker: BrokerConfig, tmp_path: Path
) -> None:
    node.rabbitmqctl("add_vhost", "cameras")
    node.rabbitmqctl("set_permissions", "-p", "cameras", "guest", ".*", ".*", ".*")
    node.rabbitmqctl("eval", 'rabbit_vhost_sup_sup:stop_and_delete_vhost(<<"cameras">>).')
    broker = BrokerConfig((f"{node.url}cameras",))
    with running(tmp_path / "workers.log", broker, "--processes=1") as workers:
        wait_until(lambda: says(workers, "vhost 'cameras' is down"), 30, "the worker is told so")
        node.rabbitmqctl("restart_vhost", "-p", "cameras")
        with steady_load(broker) as load:
            load.goes_on()
    assert workers.process.returncode == 0


def test_wrong_password_and_missing_vhost_stop_the_worker(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    url = broker.urls[0]
    for wrong, said in (
        (url.replace(":guest@", ":secret-word@"), "refuses the user name or password"),
        (f"{url}nowhere", "refuses the virtual host"),
    ):
        done = fer_worker_process("run", broker=BrokerConfig((wrong,), broker.namespace))
        assert done.returncode == 3
        (line,) = [line for line in done.stderr.splitlines() if "ERROR" in line]
        assert said in line
        assert "secret-word" not in done.stderr
        assert "Traceback" not in done.stderr
        assert fer_worker("status", broker=BrokerConfig((wrong,))).returncode == 3


def test_password_that_is_changed_stops_the_workers_and_who_sends_to_them(
    node: EmbeddedBroker, own_broker: BrokerConfig, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    with (
        changing_the_password_back(node),
        running(tmp_path / "workers.log", own_broker, "--processes=2") as workers,
        streaming(Film([plain_jpeg(64)] * 2)) as camera,
    ):
        workers.await_ready(2)
        line, environment = command("submit", camera, f"--output={rows}", broker=own_broker)
        with subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True) as sending:
            wait_until(lambda: rows.exists() and rows.stat().st_size, 30, "rows are written")
            node.rabbitmqctl("change_password", "guest", "another")
            node.rabbitmqctl("close_all_connections", "a new password")
            assert workers.process.wait(30) == 3
            _, said = sending.communicate(timeout=30)
            assert sending.returncode == 3
    assert says(workers, "refuses the user name or password")
    assert not says(workers, "Traceback")
    (refusal,) = [line for line in said.splitlines() if line.startswith("fer-worker: the broker")]
    assert "refuses the user name or password" in refusal
    assert "Traceback" not in said


def test_commands_wait_for_a_broker_that_is_still_starting(
    node: EmbeddedBroker, own_broker: BrokerConfig
) -> None:
    node.stop()
    starting = threading.Thread(target=node.start)
    starting.start()
    with SupervisorClient(own_broker, wait_s=60) as operator:
        assert operator.statuses() == []
    starting.join()
