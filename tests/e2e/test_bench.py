"""`fer-worker bench` against real workers. Its figures are whatever they are here."""

import csv
import io
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fer_client.config import BrokerConfig
from fer_schemas import FaceSelection
from fer_worker.inference.types import Analysis
from tests.engines import GatedEngine, SizeEngine, plain_jpeg
from tests.frames import FOLDER
from tests.serving import RunningWorkers, command, fer_worker, running, serving
from tests.waiting import wait_until

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

QUICK = ("--window=0.2", "--max-windows=3")


@pytest.fixture(scope="module")
def busy(own: BrokerConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorkers]:
    """Two worker processes that see a face as large as the frame, at once."""
    log = tmp_path_factory.mktemp("workers") / "log"
    with running(log, own, "--processes=2", "--threads=1", engine="SizeEngine") as started:
        started.await_ready(2)
        yield started


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for width in (40, 60, 80):
        (folder / f"{width}.jpg").write_bytes(plain_jpeg(width))
    return folder


def test_steps_come_as_tables_and_csv_and_plot(busy: RunningWorkers, tmp_path: Path) -> None:
    table, plot = tmp_path / "steps.csv", tmp_path / "latency.png"
    done = fer_worker(
        *("bench", "--concurrency=1:4", "--batch-size=2", *QUICK),
        *(f"--csv={table}", f"--plot={plot}"),
        broker=busy.broker,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "by concurrency: throughput, and latency per batch in ms" in done.stdout
    assert "by concurrency: mean ms in each stage" in done.stdout
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [row["concurrency"] for row in rows] == ["1", "2", "4"]
    for row in rows:
        figures = {name: float(row[name] or 0) for name in row if name != "stable"}
        assert figures["failed"] == 0  # the broken one of the sample frames is not sent
        assert figures["frames_per_s"] == pytest.approx(2 * figures["batches_per_s"], abs=0.01)
        assert 0 < figures["p50_ms"] <= figures["p90_ms"] <= figures["p95_ms"] <= figures["p99_ms"]
        # What `SizeEngine` says of each frame.
        assert (figures["detect_ms"], figures["classify_ms"]) == (2, 1)
        stages = sum(figures[f"{name}_ms"] for name in ("client", "queued", "worker", "publish"))
        assert stages == pytest.approx(figures["mean_ms"], abs=0.01)
    assert {row["processes"] for row in rows[1:]} == {"2"}
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_rate_is_kept_and_comes_as_json(busy: RunningWorkers, pictures: Path) -> None:
    done = fer_worker(
        *("bench", str(pictures), "--rate=20,40", "--batch-size=1", "--window=0.5"),
        *("--stability=1000", "--camera=door-1", "--faces=all", "--json"),
        broker=busy.broker,
    )
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["batch_size"] == 1
    assert document["engine"]["faces"] == "all"
    assert [step["rate"] for step in document["steps"]] == [20, 40]
    assert all(step["stable"] for step in document["steps"])


def test_batches_with_a_bad_frame_are_counted_apart(busy: RunningWorkers, pictures: Path) -> None:
    (pictures / "bad.jpg").write_bytes(b"no picture")
    done = fer_worker(
        *("bench", str(pictures), "--concurrency=2", "--batch-size=2", "--duration=0.6", "--json"),
        broker=busy.broker,
    )
    assert done.returncode == 0, done.stderr
    (step,) = json.loads(done.stdout)["steps"]
    # Of two batches in turn one has it.
    assert step["partial"] == step["failed"] > 0
    assert step["windows"] == 3
    assert step["batches"] > 0


def test_signal_ends_it_in_order_with_what_was_measured(
    busy: RunningWorkers, pictures: Path
) -> None:
    def answered() -> int:
        return sum(process.batches for process in busy.status().processes)

    before = answered()
    line, environment = command(
        *("bench", str(pictures), "--concurrency=3", "--window=600", "--json"), broker=busy.broker
    )
    with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True) as bench:
        wait_until(lambda: answered() > before + 100, 60, "batches are answered")
        bench.send_signal(signal.SIGINT)
        out, _ = bench.communicate(timeout=60)
    assert bench.returncode == 128 + signal.SIGINT
    (step,) = json.loads(out)["steps"]
    assert (step["stable"], step["windows"], step["failed"]) == (False, 1, 0)
    assert step["batches"] > 0
    # What was under way was waited for: no answer came to a queue that is gone.
    depths = json.loads(fer_worker("status", "--json", broker=busy.broker).stdout)["queues"]
    assert {queue["ready"] for queue in depths} == {0}


class TiringEngine(GatedEngine):
    """Analyses some frames, and then waits at the gate."""

    def analyze(self, image: "BGRImage", faces: FaceSelection) -> Analysis:
        if self.analysed < 50:
            return SizeEngine.analyze(self, image, faces)
        return super().analyze(image, faces)


def test_workers_that_fall_silent_end_it_with_exit_code_5(
    broker: BrokerConfig, pictures: Path
) -> None:
    engine = TiringEngine()
    with serving(broker, engine):
        try:
            done = fer_worker(
                *("bench", str(pictures), "--concurrency=2:4", "--batch-size=1"),
                *("--window=0.5", "--timeout=1", "--json"),
                broker=broker,
            )
        finally:
            engine.gate.set()
    assert done.returncode == 5, done.stderr
    (step,) = json.loads(done.stdout)["steps"]
    assert step["no_answer"] == step["failed"] > 0


def test_nobody_who_answers_is_one_line(broker: BrokerConfig, pictures: Path) -> None:
    done = fer_worker("bench", str(pictures), "--timeout=0.5", broker=broker)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == "fer-worker: no worker answered within 0.5 s\n"


def test_frames_that_no_worker_can_read_are_one_line(busy: RunningWorkers, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    done = fer_worker("bench", str(tmp_path / "bad.jpg"), broker=busy.broker)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("fer-worker: the first batch failed: not_a_jpeg: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nowhere.jpg",), 1, "no such file or folder: nowhere.jpg"),
        (("--concurrency=4:1",), 2, "'4:1' goes down"),
        (("--rate=fast",), 2, "neither a number nor a range"),
        (("--concurrency=1", "--rate=1"), 2, "exclude each other"),
        (("--csv=nowhere/steps.csv",), 1, "cannot write nowhere/steps.csv"),
        (("--plot=nowhere/latency.png",), 1, "cannot write nowhere/latency.png"),
        (("--max-windows=0",), 2, "--max-windows"),
        (("--duration=1", "--window=1"), 2, "--duration excludes --window"),
    ],
)
def test_bad_input_is_said_before_anything_is_sent(
    arguments: tuple[str, ...], code: int, said: str
) -> None:
    nowhere = BrokerConfig(("amqp://127.0.0.1:1/",))
    done = fer_worker("bench", *arguments, broker=nowhere)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_broker_that_refuses_is_exit_code_3(broker: BrokerConfig) -> None:
    stranger = BrokerConfig.from_url(broker.urls[0].replace(":guest@", ":wrong@"))
    done = fer_worker("bench", str(FOLDER), broker=stranger)
    assert (done.returncode, done.stdout) == (3, "")
    assert "refuses the user name or password" in done.stderr
    assert "Traceback" not in done.stderr
