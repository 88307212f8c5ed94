"""The health check of a container, against a real server."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "healthcheck.py"


@contextmanager
def answering(status: int, text: str) -> Iterator[int]:
    """A server that answers /readyz so, and everything else with 404; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_port
        server.shutdown()


def check(port: int) -> subprocess.CompletedProcess[str]:
    # As the Dockerfile starts it.
    command = [sys.executable, "-I", "-S", str(SCRIPT)]
    environment = {"FER_WORKER_RUN_METRICS_PORT": str(port)}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(("status", "text"), [(200, "ready\n"), (503, "paused\n")])
def test_worker_that_does_what_it_was_told_is_healthy(status: int, text: str) -> None:
    with answering(status, text) as port:
        done = check(port)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("reason", ["not connected", "starting", "no queue takes results"])
def test_worker_that_answers_nobody_is_not_and_says_why(reason: str) -> None:
    with answering(503, f"{reason}\n") as port:
        done = check(port)
    assert (done.returncode, done.stderr) == (1, f"{reason}\n")


def test_answer_without_a_reason_is_named_by_its_status() -> None:
    with answering(500, "") as port:
        done = check(port)
    assert (done.returncode, done.stderr) == (1, "status 500\n")


def test_supervisor_that_does_not_answer_is_not_healthy() -> None:
    with answering(200, "ready") as port:
        pass
    done = check(port)
    assert done.returncode == 1
    assert done.stderr.startswith("no answer: ")
    assert done.stderr.count("\n") == 1
