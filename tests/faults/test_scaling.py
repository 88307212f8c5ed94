"""Scaling under load, and where it cannot go on: nothing is lost, and no answer comes early."""

import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_schemas import SupervisorStatus
from tests.engines import SLOW_HEIGHT, plain_jpeg
from tests.faults.load import steady_load
from tests.forwarder import Forwarder
from tests.serving import Sender, command, fer_worker, running
from tests.waiting import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

ENGINE = "FaultyEngine"
JPEGS = [plain_jpeg(width, SLOW_HEIGHT) for width in range(30, 80, 5)]
"""They take a tenth of a second each: a process that is told to leave is at work."""


@contextmanager
def scaling(broker: BrokerConfig, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`fer-worker scale` while it waits."""
    line, environment = command("scale", *arguments, broker=broker)
    with subprocess.Popen(
        line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def states(status: SupervisorStatus) -> list[str]:
    return [process.state for process in status.processes]


def test_no_batch_is_lost_while_scaling_and_each_answer_comes_when_it_is_true(
    broker: BrokerConfig, sender: Sender, tmp_path: Path
) -> None:
    options = ("--processes=1", "--threads=1", "--prefetch=4")
    with (
        running(tmp_path / "log", broker, *options, engine=ENGINE) as workers,
        steady_load(broker, JPEGS, per_s=10) as load,
    ):
        workers.await_ready(1)
        for before, after in pairwise((1, 4, 2, 0, 3)):
            if before:
                load.pile_up(20 * before)  # enough until the command is heard
            with scaling(broker, str(after)) as scale:
                assert scale.stdout is not None
                said = scale.stdout.readline()
                status = workers.status()  # at this moment
            supervisor = f"{status.host}/{status.pid}"
            paused = "" if after else " (paused)"
            assert said == f"{supervisor}: {before} -> {after} processes{paused}\n"
            assert states(status) == ["ready"] * after
            assert status.desired == after
            if after:
                load.goes_on(10)
            else:
                wait_until(lambda: sender.depth(f"{broker.namespace}.frames"), 10, "batches wait")
        load.finish()
        assert workers.status().restarts == 0
    assert load.client.dropped == 0
    assert not any(result.redelivered for result in load.results)


def test_scale_is_silent_until_the_last_process_has_drained(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    with running(tmp_path / "log", broker, "--processes=2", engine=ENGINE) as workers:
        held = workers.await_ready(2)[0]
        os.kill(held, signal.SIGSTOP)
        with scaling(broker, "0") as scale:
            wait_until(lambda: states(workers.status()) == ["draining"], 30, "the other has left")
            assert scale.stdout is not None
            assert not select.select([scale.stdout], [], [], 0)[0]
            os.kill(held, signal.SIGCONT)
            out, _ = scale.communicate(timeout=30)
        assert out.endswith(f"/{workers.process.pid}: 2 -> 0 processes (paused)\n")
        assert workers.status().processes == ()


def test_what_is_not_complete_in_time_is_named_beside_what_was_refused(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    with (
        running(tmp_path / "paused", broker, "--processes=0", engine=ENGINE) as paused,
        running(tmp_path / "slow", broker, "--processes=1", engine=ENGINE) as slow,
    ):
        slow.await_ready(1)
        host = paused.status().host
        (held,) = slow.ready_pids()
        os.kill(held, signal.SIGSTOP)
        done = fer_worker("scale", "-1", "--timeout=2", broker=broker)
        assert done.returncode == 5
        assert done.stdout == ""
        assert done.stderr.splitlines() == [
            f"fer-worker: {host}/{paused.process.pid} refused: not between 0 and 64: -1",
            f"fer-worker: not complete within 2 s, still at it: {host}/{slow.process.pid}",
        ]
        os.kill(held, signal.SIGCONT)
        wait_until(lambda: slow.status().processes == (), 30, "it goes on with it")


def test_supervisor_that_hangs_is_missed_and_its_workers_work_on(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    with (
        running(tmp_path / "log", broker, "--processes=2", engine=ENGINE) as workers,
        FerClient(broker) as client,
    ):
        before = workers.await_ready(2)
        host = workers.status().host
        workers.process.send_signal(signal.SIGSTOP)
        try:
            done = fer_worker("scale", "2", f"--host={host}", broker=broker)
            assert done.returncode == 5
            assert done.stderr == f"fer-worker: no supervisor on {host} answered within 1 s\n"
            assert client.analyze([plain_jpeg(50)], timeout_s=60).faces_areas == (2000,)
        finally:
            workers.process.send_signal(signal.SIGCONT)
        assert workers.await_ready(2) == before


def test_broker_that_is_lost_while_scale_waits_is_one_clear_line(
    broker: BrokerConfig, line: Forwarder, tmp_path: Path
) -> None:
    with running(tmp_path / "log", broker, "--processes=1", engine=ENGINE) as workers:
        (held,) = workers.await_ready(1)
        os.kill(held, signal.SIGSTOP)
        with scaling(line.through(broker), "0") as scale:
            wait_until(lambda: states(workers.status()) == ["draining"], 30, "it was told")
            line.cut()
            out, said = scale.communicate(timeout=30)
        assert (scale.returncode, out) == (3, "")
        assert said.startswith("fer-worker: the connection to the broker was lost: ")
        assert said.count("\n") == 1
        os.kill(held, signal.SIGCONT)
