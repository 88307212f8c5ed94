"""The program in one file, in a Debian without Python."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fer_client.config import BrokerConfig
from fer_worker import __version__
from tests.frames import FOLDER
from tests.gateways import RunningGateway
from tests.leftovers import processes_with
from tests.packaging.debian import ROOT, User, user_of
from tests.serving import RunningWorkers, variables
from tests.waiting import wait_until

pytestmark = [pytest.mark.debian, pytest.mark.timeout(300)]

PROGRAM = ROOT / "dist" / "fer-worker"


def users(name: str) -> Iterator[User]:
    if not PROGRAM.exists():
        pytest.skip("no dist/fer-worker: `make program` makes it")
    with user_of(name) as user:
        user.bring(PROGRAM, *FOLDER.glob("*.jpg"))
        yield user


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """A user with the program and the sample frames, and without Python."""
    yield from users("debian-bare")


@pytest.fixture(scope="module")
def user_with_rabbitmq() -> Iterator[User]:
    """Another one, where there is RabbitMQ."""
    yield from users("debian-13")


def unpacked(user: User) -> list[str]:
    return sorted(path.name for path in (user.home / ".cache" / "fer-worker").iterdir())


def test_two_first_starts_at_once_unpack_one_program(user: User) -> None:
    assert user.run("sh", "-c", "command -v python3", code=127).stdout == ""
    line = user.command("./fer-worker", "--version")
    starts = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [start.communicate(timeout=120)[0] for start in starts]
    assert said == [f"fer-worker, version {__version__}\n"] * 2
    (made,) = unpacked(user)
    first = (user.home / ".cache" / "fer-worker" / made).stat()
    user.run("./fer-worker", "--version")
    assert unpacked(user) == [made]
    assert (user.home / ".cache" / "fer-worker" / made).stat().st_ctime == first.st_ctime


@pytest.mark.parametrize("place", ["/proc/none", "/usr/fer-worker"])
def test_a_place_that_cannot_be_written_to_is_one_line(place: str, user: User) -> None:
    done = user.run("./fer-worker", "--version", environment={"FER_WORKER_UNPACKED": place}, code=1)
    assert done.stderr == (
        f"fer-worker: cannot unpack into {place}: it cannot be written to; "
        "FER_WORKER_UNPACKED names another folder\n"
    )


def test_a_file_that_is_not_complete_is_one_line_and_leaves_nothing(user: User) -> None:
    with PROGRAM.open("rb") as whole:
        (user.home / "half").write_bytes(whole.read(PROGRAM.stat().st_size // 2))
    elsewhere = {"FER_WORKER_UNPACKED": "elsewhere"}
    done = user.run("sh", "half", "--version", environment=elsewhere, code=1)
    assert done.stderr.count("\n") == 1
    assert "or this file is not complete" in done.stderr
    assert list((user.home / "elsewhere").iterdir()) == []


@pytest.fixture
def workers(user: User, broker: BrokerConfig, tmp_path: Path) -> Iterator[RunningWorkers]:
    """Its `run` with two processes, in a process group of its own, as a shell starts it."""
    environment = {**variables(broker), "MARKER": str(tmp_path)}
    line = user.command("./fer-worker", "run", "--processes=2", environment=environment)
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(line, stdout=output, stderr=output, process_group=0)
    workers = RunningWorkers(process, log, broker)
    try:
        workers.await_ready(2)
        yield workers
    finally:
        process.kill()
        process.wait()


def test_frames_are_answered_and_ctrl_c_drains(
    user: User, workers: RunningWorkers, broker: BrokerConfig, tmp_path: Path
) -> None:
    done = user.run("./fer-worker", "submit", ".", "--batch-size=4", environment=variables(broker))
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["status"] for result in results] == ["partial", "success", "success"]
    assert sum(len(frame["faces"]) for each in results for frame in each["frames"]) == 8
    assert len(processes_with(str(tmp_path))) > 2

    os.killpg(workers.process.pid, signal.SIGINT)  # as a terminal does it
    assert workers.process.wait(60) == 0, workers.log.read_text()
    wait_until(lambda: processes_with(str(tmp_path)) == {}, what="nothing is left behind")
    assert "Traceback" not in workers.log.read_text()


def test_rows_become_a_page_and_status_names_the_workers(
    user: User, workers: RunningWorkers, broker: BrokerConfig
) -> None:
    there = variables(broker)
    status = user.run("./fer-worker", "status", "--json", environment=there).stdout
    assert f'"pid": {workers.process.pid}' in json.dumps(json.loads(status))
    submit = ("submit", ".", "--output=rows.jsonl", "--annotate=seen")
    user.run("./fer-worker", *submit, environment=there)
    assert len(list((user.home / "seen").iterdir())) == 9
    user.run("./fer-worker", "report", "rows.jsonl", "--output=report.html")
    assert "<svg" in (user.home / "report.html").read_text()


def test_a_port_alone_serves_http(
    user: User, workers: RunningWorkers, broker: BrokerConfig, tmp_path: Path
) -> None:
    line = user.command("./fer-worker", "--port=0", environment=variables(broker))
    log = tmp_path / "gateway"
    with log.open("wb") as output:
        process = subprocess.Popen(line, stdout=output, stderr=output)
    try:
        gateway = RunningGateway(process, log)
        gateway.wait_until_connected()
        with gateway.client() as http, (FOLDER / "burst-1.jpg").open("rb") as frame:
            answer = http.post("/detect_batch", files={"files": frame})
            assert answer.json()["emotions"][0]["emotion"] == "happy"
            assert http.get("/docs").status_code == httpx.codes.OK
        assert gateway.stop() == 0
    finally:
        process.kill()
        process.wait()


def test_what_it_does_not_have_is_one_line(user: User) -> None:
    done = user.run("./fer-worker", "evaluate", ".", code=1)
    assert done.stderr == "fer-worker: evaluate needs sklearn, which this program does not have\n"
    done = user.run("./fer-worker", "demo", code=3)
    assert done.stderr.splitlines()[-1].startswith("fer-worker: RabbitMQ is not installed")


def test_programs_of_the_system_find_their_own_libraries(user: User) -> None:
    mapper = user.home / "venv" / "bin" / "epmd"
    mapper.parent.mkdir(parents=True)
    mapper.write_text('#!/bin/sh\necho "ERROR: libraries are in $LD_LIBRARY_PATH"\n')
    mapper.chmod(0o755)
    theirs = {"FER_WORKER_RABBITMQ_SERVER": "/bin/true", "LD_LIBRARY_PATH": "/theirs"}
    done = user.run("./fer-worker", "broker", environment=theirs, code=3)
    assert done.stderr.endswith("ERROR: libraries are in /theirs\n")


def test_the_demo_starts_the_systems_rabbitmq(user_with_rabbitmq: User) -> None:
    done = user_with_rabbitmq.run("./fer-worker", "demo")
    assert done.stdout.splitlines()[-1] == "8 faces; annotated pictures in demo-output/"
