"""README.md and the tour work as they are written: every command is run, in order, in one shell.

What cannot be run here is listed with the reason; tests/docs/test_docs.py looks up that all it
names exists.
"""

import os
import re
import shutil
import socket
import sys
from pathlib import Path

import httpx
import pytest

from fer_worker.cli.gateway import DEFAULT_PORT
from tests.leftovers import processes_with
from tests.pages import ROOT, Block, blocks, missing
from tests.shell import Shell
from tests.waiting import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

FOLLOWED = (ROOT / "README.md", ROOT / "docs" / "tour.md")

NOT_RUN_HERE = {
    r"(WORKERS=4 )?docker .*": "a container needs a Docker engine; tests/containers has more",
}
"""Commands by regular expression, and why they are not run."""

UNTIL_CTRL_C = {
    "fer-worker broker &": "RabbitMQ is ready",
    "fer-worker run": "ready: ",
    "fer-worker gateway --port 8012 &": "connected to ",
    "fer-worker status --watch": "",  # only on a terminal: tests/e2e/test_monitoring.py has one
}
"""Commands that go on until they are stopped, and what they print once they are at work. A reader
has another terminal for those without an `&`."""

KEPT_OUT = (".git", ".venv*", "build", "demo-output", "*_cache", "__pycache__", "*.so")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell in a copy of the project, as after `make venv`.

    The broker's port is a free one: that of a reader, 5672, may be taken here. curl is as quiet as
    it is on a terminal.
    """
    (tmp_path / ".curlrc").write_text("silent\n")
    folder = tmp_path / "fer-worker"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*KEPT_OUT))
    made = folder / ".venv"
    made.mkdir()
    (made / "bin").symlink_to(Path(sys.prefix, "bin"))
    for stamp in ("default.stamp", "dev.stamp"):
        (made / stamp).touch()
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not _is_ours(name)}
    places = os.environ["PATH"].split(os.pathsep)
    environment |= {
        "PATH": os.pathsep.join(
            place for place in places if Path(place) != Path(sys.prefix, "bin")
        ),
        "FER_WORKER_AMQP_URL": f"amqp://guest:guest@127.0.0.1:{port}/",
        "FER_WORKER_BROKER_PORT": str(port),
        "COLUMNS": "80",
        "CURL_HOME": str(tmp_path),
        "MARKER": str(tmp_path),  # by which what is left behind is found
    }
    return Shell(folder, environment, tmp_path / "transcript")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _is_ours(name: str) -> bool:
    return name.startswith("FER_WORKER_") and name != "FER_WORKER_RABBITMQ_SERVER"


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: page.name)
def test_every_command_of_a_page_works_as_it_is_written(
    page: Path, shell: Shell, tmp_path: Path
) -> None:
    gateway_port = str(free_port())
    with shell:
        for block in blocks(page):
            follow(shell, block, gateway_port)
        shell.interrupt()
    assert processes_with(str(tmp_path)) == {}


def test_what_is_not_run_is_on_a_page() -> None:
    commands = [each for page in FOLLOWED for block in blocks(page) for each in block.commands]
    for pattern in NOT_RUN_HERE:
        assert any(re.fullmatch(pattern, command) for command in commands), pattern


def follow(shell: Shell, block: Block, gateway_port: str) -> None:
    """Run the commands of a block; what they print must be as the page says."""
    printed = ""
    gateway = f"http://127.0.0.1:{gateway_port}/"
    for command in block.commands:
        if any(re.fullmatch(pattern, command) for pattern in NOT_RUN_HERE):
            continue
        ready = UNTIL_CTRL_C.get(command)
        in_background = command if ready is None or command.endswith("&") else f"{command} &"
        typed = in_background.replace(str(DEFAULT_PORT), gateway_port)
        code, said = shell.run(typed, timeout_s=120)
        assert code == 0, f"{command}\n{said}"
        if ready is not None:
            said += shell.wait_for(ready)
        if command.startswith("fer-worker gateway"):  # connected, it still makes its reply queue
            wait_until(lambda: httpx.get(gateway).is_success, 30, "the gateway answers")
        printed += said
    line = missing(block.output, printed)
    assert line is None, f"not printed: {line}\n{printed}"
