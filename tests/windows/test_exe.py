"""The program in one file for Windows."""

import socket
from pathlib import Path

import pytest

from fer_client.config import BrokerConfig
from fer_schemas import BatchResult
from fer_worker import __version__
from tests.frames import FOLDER
from tests.windows.programs import EXE, Console, await_line, finished, running

pytestmark = [pytest.mark.windows, pytest.mark.timeout(300)]


def test_it_says_its_version() -> None:
    done = finished(EXE, "--version", broker=None)
    assert done.stdout == f"fer-worker, version {__version__}\n"


@pytest.mark.broker
def test_it_answers_what_it_sends(broker: BrokerConfig, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running(EXE, "run", "--processes=2", broker=broker, log=log):
        await_line(log, "ready: ", 2)
        done = finished(EXE, "submit", str(FOLDER / "astronaut.jpg"), broker=broker)
        assert done.returncode == 0, done.stderr
        (frame,) = BatchResult.model_validate_json(done.stdout).frames
        assert [face.area for face in frame.faces] == [9768]


@pytest.mark.broker
def test_ctrl_c_drains_it(broker: BrokerConfig) -> None:
    with Console(EXE, "run", "--processes=1", broker=broker) as console:
        console.await_text("ready: prefetch")
        console.press_ctrl_c()
        assert console.exit_code() == 0
    assert "left (0)" in console.text


def test_alone_in_its_console_it_explains_itself() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        Console(EXE, broker=BrokerConfig((), "nobody")) as console,
    ):
        console.await_text("This window serves HTTP until Ctrl-C.")
        console.await_text("Port [8012]:")
        console.type(f"{taken.getsockname()[1]}\r")
        console.await_text("cannot listen")
        console.await_text("Enter closes this window")
        console.type("\r")
        assert console.exit_code() == 1
