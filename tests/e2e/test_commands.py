"""The commands as their users run them, with real workers and the real engine."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_schemas import BatchResult, Status
from tests.frames import FOLDER, PICTURES, sample
from tests.serving import RunningWorkers, command, fer_worker, fer_worker_process, running
from tests.waiting import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]


def test_submit_prints_a_line_a_batch_and_writes_annotated_copies(
    pair: RunningWorkers, tmp_path: Path
) -> None:
    annotated = tmp_path / "annotated"
    done = fer_worker(
        "submit",
        str(FOLDER),
        "--batch-size=4",
        "--camera=door-1",
        f"--annotate={annotated}",
        broker=pair.broker,
    )
    assert done.returncode == 0, done.stderr
    results = [BatchResult.model_validate_json(line) for line in done.stdout.splitlines()]
    assert [len(result.frames) for result in results] == [4, 4, 2]
    assert [result.status for result in results] == ["partial", "success", "success"]
    assert {result.camera_id for result in results} == {"door-1"}
    ids = [frame.id for result in results for frame in result.frames]
    assert ids == [path.as_posix() for path in PICTURES]
    found = {
        Path(frame.id or "").stem for result in results for frame in result.frames if frame.faces
    }
    assert found == {path.stem for path in PICTURES} - {"broken", "no_face"}
    copies = {path.name for path in annotated.iterdir()}
    assert copies == {path.name for path in PICTURES} - {"broken.jpg"}


def test_every_golden_face_of_the_shared_photos_is_found(
    pair: RunningWorkers, shared: Path
) -> None:
    golden = json.loads((shared / "golden_fer.json").read_text())
    done = fer_worker(
        "submit", str(shared / "photos"), "--batch-size=4", "--faces=all", broker=pair.broker
    )
    assert done.returncode == 0, done.stderr
    results = [BatchResult.model_validate_json(line) for line in done.stdout.splitlines()]
    faces = {
        Path(frame.id or "").name: [face.box for face in frame.faces]
        for result in results
        for frame in result.frames
    }
    for name, answers in golden.items():
        certain = [face["box"] for face in answers["rgb"] if face["probability"] >= 0.9]
        assert len(faces[name]) == len(certain), name
        if not name.endswith(".png"):  # submit sends those as JPEG, with other pixels
            assert [list(box) for box in faces[name]] == certain, name


def test_submit_says_what_got_no_answer_in_time(broker: BrokerConfig) -> None:
    done = fer_worker("submit", str(FOLDER / "astronaut.jpg"), "--timeout=0.5", broker=broker)
    assert done.returncode == 5
    assert done.stdout == ""
    assert "no answer in time" in done.stderr


def test_submit_refuses_a_missing_path_before_it_sends_anything(broker: BrokerConfig) -> None:
    done = fer_worker("submit", str(FOLDER), "nowhere", broker=broker)
    assert done.returncode == 1
    assert done.stderr == "fer-worker: no such file or folder: nowhere\n"


def test_scale_and_status_follow_the_processes(pair: RunningWorkers) -> None:
    supervisor = f"{os.uname().nodename}/{pair.process.pid}"
    up = fer_worker("scale", "3", broker=pair.broker)
    assert up.stdout == f"{supervisor}: 2 -> 3 processes\n"
    assert len(pair.ready_pids()) == 3
    down = fer_worker("scale", "-2", broker=pair.broker)
    assert down.stdout == f"{supervisor}: 3 -> 1 processes\n"

    status = json.loads(fer_worker("status", "--json", broker=pair.broker).stdout)
    (known,) = status["supervisors"]
    assert (known["pid"], known["desired"], known["engine"]) == (pair.process.pid, 1, "native")
    assert known["kernel"] in ("amx_bf16", "avx512_bf16", "avx512", "avx2", "baseline")
    assert [process["state"] for process in known["processes"]] == ["ready"]
    depths = {
        queue["name"].removeprefix(pair.broker.namespace): queue for queue in status["queues"]
    }
    assert depths[".frames"]["consumers"] == 1
    table = fer_worker("status", broker=pair.broker).stdout
    assert supervisor in table
    assert f"{pair.broker.namespace}.frames.quarantine" in table


def test_scale_to_zero_pauses_and_loses_nothing(pair: RunningWorkers) -> None:
    fer_worker("scale", "0", broker=pair.broker)
    with FerClient(pair.broker) as client:
        waiting = client.submit([sample("astronaut")])
        assert "paused" in fer_worker("status", broker=pair.broker).stdout
        assert not waiting.done()
        fer_worker("scale", "+1", broker=pair.broker)
        assert waiting.result(30).status is Status.SUCCESS


def test_scale_and_status_where_nobody_has_ever_worked(broker: BrokerConfig) -> None:
    assert fer_worker("scale", "2", broker=broker).returncode == 5
    status = fer_worker("status", broker=broker)
    assert status.returncode == 0
    assert "No supervisor answered." in status.stdout


def press_ctrl_c(workers: RunningWorkers) -> None:
    os.killpg(workers.process.pid, signal.SIGINT)


@pytest.mark.parametrize("tell", [lambda workers: workers.process.terminate(), press_ctrl_c])
def test_signal_drains_what_was_taken_and_leaves(
    workers: RunningWorkers, broker: BrokerConfig, tell: Callable[[RunningWorkers], None]
) -> None:
    with FerClient(broker) as client:
        futures = [client.submit([sample("astronaut")]) for _ in range(20)]
        futures[0].result(30)
        tell(workers)
        assert workers.process.wait(30) == 0
        with running(workers.log.with_name("next.log"), broker):
            results = [future.result(30) for future in futures]
    assert all(result.status is Status.SUCCESS for result in results)
    # Whatever the first had taken it finished: nothing was answered twice.
    assert client.dropped == 0


def test_engine_that_cannot_start_stops_the_worker_with_one_line(broker: BrokerConfig) -> None:
    done = fer_worker_process(
        "run", "--engine=fer", "--crop=aligned", "--processes=2", broker=broker
    )
    assert done.returncode == 4
    assert "Traceback" not in done.stderr


def test_help_and_supervisor_load_no_model_library() -> None:
    code = (
        "import sys, fer_worker.supervision.supervisor\n"
        "from click.testing import CliRunner\n"
        "from fer_worker.cli import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    assert CliRunner().invoke(main, [name, '--help']).exit_code == 0, name\n"
        "heavy = {'cv2', 'numpy', 'torch', 'tensorflow', 'fer', 'facenet_pytorch'}\n"
        "print(heavy & set(sys.modules))\n"
    )
    line, environment = command(broker=BrokerConfig())
    done = subprocess.run(
        [line[0], "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "set()\n", done.stderr


def test_demo_shows_faces_and_leaves_nothing_behind(tmp_path: Path, broker: BrokerConfig) -> None:
    done = fer_worker_process("demo", f"--output={tmp_path}", broker=broker)
    assert done.returncode == 0, done.stderr
    assert "8 faces" in done.stdout
    assert "happy" in done.stdout
    assert {path.name for path in tmp_path.glob("*.jpg")} == {
        path.name for path in PICTURES if path.stem != "broken"
    }
    assert leftovers(tmp_path) == []


@pytest.mark.reference
def test_demo_runs_on_the_fer_library_itself(tmp_path: Path, broker: BrokerConfig) -> None:
    done = fer_worker_process(
        "demo", "--engine=fer", f"--output={tmp_path}", broker=broker, timeout_s=300
    )
    assert done.returncode == 0, done.stderr
    assert "8 faces" in done.stdout
    assert "happy" in done.stdout
    assert leftovers(tmp_path) == []


def test_demo_that_is_interrupted_leaves_nothing_behind(
    tmp_path: Path, broker: BrokerConfig
) -> None:
    line, environment = command("demo", f"--output={tmp_path}", broker=broker)
    with subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stderr is not None
        wait_until(lambda: (tmp_path / "worker.log").exists(), 60, "the workers are starting")
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 128 + signal.SIGINT
    assert leftovers(tmp_path) == []


def leftovers(tmp_path: Path) -> list[str]:
    """Processes that were started with this test's output folder, by their open log."""
    log = str(tmp_path / "worker.log")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            opened = [str(file.readlink()) for file in (process / "fd").iterdir()]
        except OSError:
            continue
        if log in opened:
            found.append(process.name)
    return found
