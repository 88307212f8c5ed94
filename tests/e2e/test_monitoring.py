"""What operators see: metrics and health over HTTP, and the tables of `status`."""

import json
import os
import pty
import re
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_schemas import ScaleCommand
from fer_worker.admin.supervisor_client import SupervisorClient
from tests.engines import SLOW_HEIGHT, plain_jpeg
from tests.frames import sample
from tests.serving import RunningWorkers, command, fer_worker, fer_worker_process, running
from tests.waiting import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]


def ask(workers: RunningWorkers, path: str) -> tuple[int, str]:
    """Ask the supervisor over HTTP, at the port that its log names."""
    found = re.search(r"metrics at (http://\S+)/metrics", workers.log.read_text())
    assert found is not None
    try:
        with urlopen(found[1] + path, timeout=10) as answer:
            return answer.status, answer.read().decode().strip()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode().strip()


def values(workers: RunningWorkers) -> dict[str, float]:
    """Every metric that is not 0, under its name and the values of its labels."""
    families = text_string_to_metric_families(ask(workers, "/metrics")[1])
    return {
        "/".join([sample.name, *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
        if sample.value
    }


def test_metrics_count_the_work_of_all_processes_also_of_those_that_died(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    options = ("--processes=2", "--metrics-port=0")
    with (
        running(tmp_path / "log", broker, *options) as workers,
        FerClient(broker) as client,
    ):
        workers.await_ready(2)
        wait_until(lambda: ask(workers, "/readyz") == (200, "ready"), what="it says so, too")
        for _ in range(4):
            client.analyze([sample("astronaut"), sample("broken")])
        wait_until(
            lambda: values(workers).get("fer_worker_requests_total/partial") == 4,
            what="four batches are counted",
        )
        os.kill(workers.ready_pids()[0], signal.SIGKILL)
        wait_until(
            lambda: values(workers).get("fer_worker_restarts_total") == 1, what="one has died"
        )
        workers.await_ready(2)
        client.analyze([sample("astronaut"), sample("broken")])
        found = wait_until(
            lambda: (now := values(workers)).get("fer_worker_requests_total/partial") == 5 and now,
            what="five batches are counted",
        )
        assert isinstance(found, dict)
        assert found["fer_worker_frames_total"] == found["fer_worker_faces_total"] == 5
        for stage in ("decode", "detect", "classify", "queued", "publish"):
            assert found[f"fer_worker_stage_seconds_count/{stage}"] == 5, stage
        assert found["fer_worker_processes/ready"] == found["fer_worker_processes_desired"] == 2
        assert found["fer_worker_resident_memory_bytes/workers"] > 100e6

        status = workers.status()
        assert status.resident_bytes
        assert sorted(process.restarts for process in status.processes) == [0, 1]
        errors = [process.last_error for process in status.processes if process.restarts]
        assert "killed by SIGKILL at " in (errors[0] or "")
        assert sum(process.frames for process in status.processes) <= 5
        busy = [process for process in status.processes if process.stages_ms]
        assert busy
        assert {"decode", "detect", "classify", "queued", "publish", "total"} == set(
            busy[0].stages_ms
        )
        assert all(process.resident_bytes > 50e6 for process in status.processes)

        with SupervisorClient(broker) as operator:
            list(operator.scale(ScaleCommand(processes=0), timeout_s=60))
        assert wait_until(lambda: (now := ask(workers, "/readyz"))[0] == 503 and now) == (
            503,
            "paused",
        )
        assert ask(workers, "/livez") == (200, "live")


def test_a_port_that_is_taken_ends_run_with_one_line(broker: BrokerConfig, tmp_path: Path) -> None:
    options = ("--processes=0", "--metrics-port=0")
    with running(tmp_path / "log", broker, *options) as workers:
        wait_until(lambda: "metrics at" in workers.log.read_text(), 60, "it listens")
        port = re.findall(r"metrics at http://127.0.0.1:(\d+)/", workers.log.read_text())[0]
        done = fer_worker_process("run", f"--metrics-port={port}", broker=broker)
    assert done.returncode == 1
    assert done.stderr.endswith(f"cannot listen on 127.0.0.1:{port}: Address already in use\n")
    assert "Traceback" not in done.stderr


def test_more_processes_come_while_batches_wait_and_go_when_it_is_quiet(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    options = ("--autoscale=1:3", "--target-wait=1", "--quiet-time=2", "--threads=1")
    slow = plain_jpeg(60, SLOW_HEIGHT)
    with (
        running(tmp_path / "log", broker, *options, engine="FaultyEngine") as workers,
        FerClient(broker) as client,
    ):
        workers.await_ready(1)
        assert workers.status().autoscale == (1, 3)
        futures = [client.submit([slow]) for _ in range(150)]
        workers.await_ready(3)
        refused = fer_worker("scale", "2", broker=broker)
        assert refused.returncode == 1
        assert "the supervisor decides by itself, between 1 and 3" in refused.stderr
        assert {future.result(60).status for future in futures} == {"success"}
        workers.await_ready(1)
        assert "others take requests" not in workers.log.read_text()
        with running(tmp_path / "other", broker, "--processes=1", engine="FaultyEngine"):
            noticed = "others take requests, too (consumers: 1)"
            wait_until(lambda: noticed in workers.log.read_text(), 60, "the other one is noticed")
    # Nobody that was sent away had anything left to do.
    assert client.dropped == 0


@pytest.mark.parametrize("bounds", ["3:1", "0:0", "1", "a:b", "-1:2"])
def test_bounds_that_are_none_are_refused(broker: BrokerConfig, bounds: str) -> None:
    done = fer_worker_process("run", f"--autoscale={bounds}", broker=broker)
    assert done.returncode == 2
    assert "is not MIN:MAX, such as 1:4" in done.stderr


def test_processes_and_autoscale_exclude_each_other(broker: BrokerConfig) -> None:
    done = fer_worker_process("run", "--autoscale=1:2", "--processes=2", broker=broker)
    assert done.returncode == 2
    assert "--processes and --autoscale exclude each other" in done.stderr


def test_autoscaling_beyond_the_cores_is_said(broker: BrokerConfig, tmp_path: Path) -> None:
    options = ("--autoscale=0:999", "--threads=1")
    with running(tmp_path / "log", broker, *options) as workers:
        wait_until(lambda: "more than the cores carry" in workers.log.read_text(), 60)


def test_status_shows_rates_latencies_and_memory(pair: RunningWorkers) -> None:
    with FerClient(pair.broker) as client:
        client.analyze([sample("astronaut")])
    wait_until(lambda: any(process.frames for process in pair.status().processes))
    found = json.loads(fer_worker("status", "--json", broker=pair.broker).stdout)["supervisors"][0]
    assert {process["restarts"] for process in found["processes"]} == {0}
    table = fer_worker("status", broker=pair.broker).stdout
    for word in ("frames/s", "memory", "restarts", "detect", "p50 / p95", "MiB"):
        assert word in table
    assert "Traceback" not in table


def test_status_watch_goes_on_until_it_is_told_to_stop(pair: RunningWorkers) -> None:
    terminal, theirs = pty.openpty()
    line, environment = command("status", "--watch", broker=pair.broker)
    environment |= {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    seen: list[str] = []

    def read() -> None:
        with suppress(OSError):  # nobody is left to write
            while True:
                seen.append(os.read(terminal, 65536).decode(errors="replace"))

    def is_shown(text: str) -> bool:
        return text in "".join(seen)

    with subprocess.Popen(
        line, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as watching:
        os.close(theirs)
        reader = threading.Thread(target=read)
        reader.start()
        pid = str(pair.ready_pids()[0])
        wait_until(lambda: is_shown(pid), 60, "the processes are shown")
        assert fer_worker("scale", "0", broker=pair.broker).returncode == 0
        wait_until(lambda: is_shown("paused"), 60, "the pause is shown")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 0
    reader.join()
    os.close(terminal)
    assert not is_shown("Traceback")
