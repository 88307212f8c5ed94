"""The commands out of the wheel for Windows."""

import csv
import json
import re
from pathlib import Path

import httpx
import pytest

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_schemas import SupervisorStatus
from fer_worker.admin.supervisor_client import SupervisorClient
from tests.engines import LEAVING_HEIGHT, SLOW_HEIGHT, plain_jpeg
from tests.faults.load import steady_load
from tests.frames import FOLDER, PICTURES, sample
from tests.gateways import uploads
from tests.serving import Sender
from tests.waiting import wait_until
from tests.windows.programs import (
    INSTALLED,
    WITH_TEST_ENGINE,
    Console,
    await_line,
    consumers,
    end,
    finished,
    running,
)

pytestmark = [pytest.mark.windows, pytest.mark.broker, pytest.mark.timeout(300)]

SLOW_BATCH = [plain_jpeg(40, SLOW_HEIGHT)] * 20
"""Two seconds of work for the engine of the tests."""

INSTALL = "there is no embedded RabbitMQ on Windows: install one"


def status_of_the_only_one(broker: BrokerConfig) -> SupervisorStatus:
    with SupervisorClient(broker) as operator:
        (status,) = wait_until(operator.statuses, 60, "the supervisor answers")
    return status


def test_pictures_are_answered_and_processes_are_counted_and_measured(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    log, rows, page = tmp_path / "log", tmp_path / "rows.csv", tmp_path / "page.html"
    copies = tmp_path / "annotated"
    with running(INSTALLED, "run", "--metrics-port=0", broker=broker, log=log):
        await_line(log, "ready: ")
        done = finished(
            INSTALLED,
            *("submit", str(FOLDER), "--batch-size=4", f"--annotate={copies}"),
            *(f"--output={rows}", "--camera=Tür 1"),
            broker=broker,
        )
        assert done.returncode == 0, done.stderr
        assert {path.name for path in copies.iterdir()} == {
            path.name for path in PICTURES if path.stem != "broken"
        }
        with rows.open(encoding="utf-8", newline="") as file:
            faces = [row for row in csv.DictReader(file) if row["emotion"]]
        assert [row["camera_id"] for row in faces] == 8 * ["Tür 1"]
        done = finished(INSTALLED, "report", str(rows), "-o", str(page), broker=broker)
        assert done.returncode == 0, done.stderr
        assert "Tür 1" in page.read_text(encoding="utf-8")

        status = status_of_the_only_one(broker)
        assert status.resident_bytes > 30e6
        assert all(process.resident_bytes > 50e6 for process in status.processes)
        found = re.search(r"metrics at (http://\S+)/metrics", log.read_text())
        assert found is not None
        assert httpx.get(f"{found[1]}/readyz", trust_env=False).text == "ready\n"
        metrics = httpx.get(f"{found[1]}/metrics", trust_env=False).text
        assert "fer_worker_faces_total 8.0" in metrics
        done = finished(INSTALLED, "status", "--json", broker=broker)
        assert json.loads(done.stdout)["supervisors"][0]["pid"] == status.pid


def test_the_number_of_processes_changes_under_load_and_nothing_is_delivered_twice(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with running(INSTALLED, "run", "--processes=1", broker=broker, log=log):
        await_line(log, "ready: ")
        with steady_load(broker, per_s=20) as load:
            for processes in ("3", "1", "+1"):
                load.pile_up(20)  # where batches wait, the broker gives none back
                done = finished(INSTALLED, "scale", processes, broker=broker)
                assert done.returncode == 0, done.stderr
                load.goes_on()
        assert load.client.dropped == 0
        assert not any(result.redelivered for result in load.results)
        assert status_of_the_only_one(broker).restarts == 0


def test_a_frame_that_ends_its_process_is_called_poison(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with (
        running(WITH_TEST_ENGINE, "--processes=1", broker=broker, log=log),
        FerClient(broker) as client,
    ):
        await_line(log, "ready: ")
        result = client.analyze([plain_jpeg(40, LEAVING_HEIGHT)], timeout_s=120)
        assert [error.code for error in result.errors] == ["poison_message"]
        assert client.analyze([plain_jpeg(40)], timeout_s=60).faces_areas == (1600,)


def test_workers_whose_supervisor_is_killed_answer_what_they_have_and_leave(
    broker: BrokerConfig, sender: Sender, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    options = ("--processes=2", "--threads=1", "--prefetch=2")
    with (
        running(WITH_TEST_ENGINE, *options, broker=broker, log=log),
        FerClient(broker) as client,
    ):
        await_line(log, "ready: ", 2)
        futures = [client.submit(SLOW_BATCH) for _ in range(4)]
        wait_until(lambda: sender.depth(f"{broker.namespace}.frames") == 0, 30, "all are taken")
        assert not any(future.done() for future in futures)
        end("/pid", str(status_of_the_only_one(broker).pid))
        results = [future.result(60) for future in futures]
        assert not any(result.redelivered for result in results)
        wait_until(lambda: consumers(broker) == 0, 60, "both have left")
    assert log.read_text().count("the supervisor is gone; leaving too") == 2


def test_ctrl_c_drains(broker: BrokerConfig, sender: Sender) -> None:
    options = ("--processes=2", "--threads=1", "--prefetch=2")
    with (
        Console(WITH_TEST_ENGINE, *options, broker=broker) as console,
        FerClient(broker) as client,
    ):
        console.await_text("ready: prefetch", 2)
        futures = [client.submit(SLOW_BATCH) for _ in range(4)]
        wait_until(lambda: sender.depth(f"{broker.namespace}.frames") == 0, 30, "all are taken")
        assert not any(future.done() for future in futures)
        console.press_ctrl_c()
        assert console.exit_code() == 0
        results = [future.result(30) for future in futures]
    assert not any(result.redelivered for result in results)


def test_a_second_ctrl_c_leaves_at_once(broker: BrokerConfig, sender: Sender) -> None:
    options = ("--processes=1", "--threads=1", "--prefetch=2")
    with (
        Console(WITH_TEST_ENGINE, *options, broker=broker) as console,
        FerClient(broker) as client,
    ):
        console.await_text("ready: prefetch")
        futures = [client.submit(SLOW_BATCH) for _ in range(2)]
        wait_until(lambda: sender.depth(f"{broker.namespace}.frames") == 0, 30, "both are taken")
        console.press_ctrl_c()
        console.await_text("draining 1 processes")
        console.press_ctrl_c()
        assert console.exit_code() == 143
        assert not all(future.done() for future in futures)
    assert "told twice; killing 1 processes" in console.text


def test_ctrl_c_ends_a_wait_for_an_answer(broker: BrokerConfig, sender: Sender) -> None:
    with Console(INSTALLED, "bench", "--timeout=60", broker=broker) as console:
        console.await_text("waiting for a first answer")
        console.press_ctrl_c()
        assert console.exit_code() == 130


def test_the_gateway_answers_and_ends_with_ctrl_c(broker: BrokerConfig, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        running(INSTALLED, "run", "--processes=1", broker=broker, log=log),
        Console(INSTALLED, "gateway", "--port=0", broker=broker) as console,
    ):
        await_line(log, "ready: ")
        console.await_text("described at /docs")
        found = re.search(r"listening at (http://[\d.: ]+)", console.text)
        assert found is not None
        url = found[1].replace(" ", "")
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
            wait_until(lambda: http.get("/").status_code == 200, 30, "the gateway is connected")
            jpegs = [sample("burst-1"), sample("burst-2")]
            answer = http.post("/detect_batch", files=uploads(jpegs))
            assert answer.status_code == 200
            assert answer.json()["faces_areas"] == [20286, 25662]
            assert http.get("/docs").status_code == 200
        console.press_ctrl_c()
        assert console.exit_code() == 0


def test_the_demo_uses_the_broker_that_is_named_and_leaves_nothing_there(
    broker: BrokerConfig, sender: Sender, tmp_path: Path
) -> None:
    done = finished(
        INSTALLED,
        *("demo", f"--amqp-url={broker.urls[0]}", f"--output={tmp_path / 'copies'}"),
        broker=broker,
    )
    assert done.returncode == 0, done.stderr
    assert "8 faces; annotated pictures in" in done.stdout
    assert len(list((tmp_path / "copies").glob("*.jpg"))) == 9


@pytest.mark.parametrize("command", ["broker", "demo"])
def test_there_is_no_embedded_broker_and_this_is_said(command: str, tmp_path: Path) -> None:
    done = finished(INSTALLED, command, broker=None)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith(f"fer-worker: {INSTALL}")


def test_without_a_broker_it_is_said_where_to_get_one() -> None:
    done = finished(INSTALLED, "status", broker=BrokerConfig((), "nobody"))
    if done.returncode == 0:
        pytest.skip("there is a broker at the default address")
    assert done.returncode == 3
    assert INSTALL in done.stderr
