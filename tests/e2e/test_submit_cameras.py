"""`fer-worker submit` with cameras: real RTSP servers, real brokers."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_client.config import BrokerConfig
from tests.engines import SizeEngine, plain_jpeg
from tests.outputs import frames_of, rows_in, rows_so_far
from tests.serving import command, fer_worker, serving
from tests.streams import Film, RtspServer, has_rtsp_server, rtsp_server, streaming
from tests.terminals import Terminal
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        not has_rtsp_server(), reason="no GStreamer: `make rtsp-server` installs it"
    ),
]


@pytest.fixture
def answering(broker: BrokerConfig) -> Iterator[BrokerConfig]:
    """The broker, with a service that sees a face as large as the frame, at once."""
    with serving(broker, SizeEngine()):
        yield broker


@pytest.fixture
def cameras() -> Iterator[RtspServer]:
    """A server with cameras."""
    with rtsp_server() as server:
        yield server


def test_camera_is_sent_until_the_limit_and_its_password_is_nowhere(
    answering: BrokerConfig, cameras: RtspServer, tmp_path: Path
) -> None:
    output, folder = tmp_path / "rows.jsonl", tmp_path / "copies"
    done = fer_worker(
        *("submit", cameras.locked_address(), "--fps=10", "--limit=12"),
        *(f"--output={output}", f"--annotate={folder}"),
        broker=answering,
    )
    assert done.returncode == 0, done.stderr
    rows = rows_in(output)
    assert len(rows) == 12
    assert {row.source for row in rows} == {cameras.locked_address("me:***")}
    assert all(row.captured_at and row.captured_at <= row.sent_at for row in rows)
    positions = [row.position or 0 for row in rows]
    assert positions == sorted(set(positions))
    assert len({row.annotated for row in rows}) == len(list(folder.iterdir())) == 12
    texts = [output.read_text(), done.stderr, *map(str, folder.iterdir())]
    assert not any("secret" in text for text in texts)


@pytest.mark.parametrize(
    ("login", "path", "said"),
    [
        ("me:wrong", "/live", "401 Unauthorized: user name or password is missing or wrong"),
        ("me:secret", "/nothing", "404 Not Found: it has nothing under this path"),
        ("me:secret", "/sound", "no video at this address"),
    ],
)
def test_what_the_camera_said_is_said(
    login: str, path: str, said: str, answering: BrokerConfig, cameras: RtspServer
) -> None:
    done = fer_worker("submit", cameras.locked_address(login, path), broker=answering)
    address = cameras.locked_address("me:***", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"fer-worker: cannot read {address}: {said}\n"


def test_camera_that_is_away_is_opened_again_and_others_go_on(
    answering: BrokerConfig, cameras: RtspServer, tmp_path: Path
) -> None:
    output = tmp_path / "rows.jsonl"

    def count(camera: str) -> int:
        return sum(row.camera_id == camera for row in rows_so_far(output))

    with rtsp_server() as other:
        line, environment = command(
            *("submit", f"--camera=door={cameras.address()}", f"--camera=yard={other.address()}"),
            *("--fps=10", "--fps=yard=20", f"--output={output}"),
            broker=answering,
        )
        run = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: min(count("door"), count("yard")) > 5, 30, "both cameras are sent")
    assert run.stderr is not None
    refused = f"connection refused: nothing listens at port {other.port}; trying again"
    assert [run.stderr.readline().strip() for _ in range(2)] == [
        "fer-worker: yard: no more frames; trying again",
        f"fer-worker: yard: {refused}",
    ]
    before = count("door")
    wait_until(lambda: count("door") > before + 10, 30, "the other camera goes on")
    with rtsp_server(other.port):
        assert run.stderr.readline() == "fer-worker: yard: frames again\n"
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=30)
    assert run.returncode == 130
    assert [text.partition(" frames sent, ")[0] for text in said.splitlines()[:2]] == [
        f"{name}: {count(name)}" for name in ("door", "yard")
    ]


def test_each_camera_has_a_line_of_its_own_on_a_terminal(
    answering: BrokerConfig, cameras: RtspServer, tmp_path: Path
) -> None:
    line, environment = command(
        *("submit", f"--camera=door={cameras.address()}", "--camera=gate=rtsp://127.0.0.1:1/a"),
        broker=answering,
    )
    terminal = Terminal(line, environment, tmp_path / "results.jsonl")
    terminal.read_until("door ")
    terminal.read_until("frames/s")
    terminal.read_until("gate 0 sent, 0 answered, connection refused")
    terminal.type(b"\x03")
    assert terminal.wait() == 130
    assert "fer-worker: gate: connection refused: nothing listens at port 1" in terminal.shown


def test_interrupted_run_keeps_its_rows_and_completes_its_video(
    answering: BrokerConfig, tmp_path: Path
) -> None:
    output, video = tmp_path / "rows.csv", tmp_path / "out.mp4"
    with streaming(Film([plain_jpeg(64, 48)] * 2)) as address:
        line, environment = command(
            *("submit", address, f"--output={output}", f"--annotate={video}"), broker=answering
        )
        with subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True) as run:
            assert run.stderr is not None
            wait_until(lambda: len(rows_so_far(output)) > 20, 30, "rows are written")
            run.send_signal(signal.SIGINT)
            assert run.wait(30) == 130
            summary = run.stderr.read()
    rows = rows_in(output)
    assert summary.startswith(f"{len(rows)} frames sent, {len(rows)} answered, 0 failed, ")
    assert frames_of(video) > 10
