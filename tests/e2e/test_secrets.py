"""The password of the broker is nowhere in what a failing start says."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_client.config import BrokerConfig
from tests.engines import plain_jpeg
from tests.serving import RunningWorkers, command, fer_worker, running
from tests.waiting import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

SECRET = "secret-word"


def wrong_urls(url: str) -> dict[str, str]:
    """URLs that cannot work, by what is wrong with them; each has the secret somewhere."""
    with_secret = url.replace("guest:guest@", f"guest:{SECRET}@")
    return {
        "bad password": with_secret,
        "bad virtual host": f"{with_secret}nowhere",
        "bad scheme": f"http://guest:{SECRET}@localhost/",
        "no URL": SECRET,
        "bad port": f"amqp://guest:{SECRET}@localhost:port/",
        "a slash in the password": f"amqp://guest:a/{SECRET}@localhost:1/",
        "an at sign in the password": f"amqp://guest:a@{SECRET}@localhost:1/",
        "bad query": f"amqp://guest:{SECRET}@localhost:1/?heartbeat={SECRET}",
        "bad TLS options": f"amqps://guest:{SECRET}@localhost:1/?ssl_options={{'{SECRET}'",
        "no such TLS file": f"amqps://u:{SECRET}@localhost:1/?ssl_options={{'cafile':'{SECRET}'}}",
        "bad host": f"amqp://guest:{SECRET}@nowhere.invalid/",
        "nobody there": f"amqp://guest:{SECRET}@localhost:1/",
    }


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "picture.jpg"
    path.write_bytes(plain_jpeg(60))
    return str(path)


def all_at_once(urls: dict[str, str], *arguments: str) -> Iterator[tuple[str, int, str]]:
    """Start a command with each URL; yields what was wrong, the exit code and all that it said.

    What waits for its broker for ever is told to stop once it has said so.
    """
    started = {}
    for wrong, url in urls.items():
        line, environment = command(*arguments, broker=BrokerConfig((url,)))
        started[wrong] = subprocess.Popen(
            line,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    for wrong, process in started.items():
        with process:
            assert process.stdout is not None
            said = ""
            for printed in process.stdout:
                said += printed
                if "trying again" in printed:
                    process.terminate()
        yield wrong, process.returncode, said


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--log-level=debug"),
        ("run", "--log-level=debug", "--log-format=json"),
        ("status",),
        ("submit",),
    ],
)
def test_start_that_fails_says_why_and_not_the_password(
    broker: BrokerConfig, picture: str, arguments: tuple[str, ...]
) -> None:
    operands = (picture,) if arguments == ("submit",) else ()
    for wrong, code, said in all_at_once(wrong_urls(broker.urls[0]), *arguments, *operands):
        assert said, wrong
        assert code != 0 or arguments[0] == "run", wrong
        assert SECRET not in said, wrong
        assert "Traceback" not in said, wrong


def test_url_from_a_file_is_used_and_not_told(broker: BrokerConfig, tmp_path: Path) -> None:
    file = tmp_path / "url"
    line, environment = command("status", "--json", broker=BrokerConfig((), broker.namespace))
    for secret, code in (("guest", 0), (SECRET, 3)):
        file.write_text(broker.urls[0].replace("guest@", f"{secret}@") + "\n")
        by_variable = {**environment, "FER_WORKER_AMQP_URL_FILE": str(file)}
        for arguments, variables in (
            ([*line, f"--amqp-url-file={file}"], environment),
            (line, by_variable),
        ):
            done = subprocess.run(arguments, env=variables, capture_output=True, text=True)
            assert done.returncode == code, done.stderr
            assert SECRET not in done.stdout + done.stderr


def test_url_and_its_file_exclude_each_other(broker: BrokerConfig, tmp_path: Path) -> None:
    done = fer_worker("status", f"--amqp-url-file={tmp_path / 'url'}", broker=broker)
    assert done.returncode == 2
    assert "--amqp-url and --amqp-url-file exclude each other" in done.stderr


def test_file_that_is_missing_is_named(tmp_path: Path) -> None:
    done = fer_worker("status", f"--amqp-url-file={tmp_path}/x", broker=BrokerConfig(()))
    assert done.returncode == 1
    assert done.stderr == f"fer-worker: cannot read {tmp_path}/x: No such file or directory\n"


@pytest.fixture(params=["text", "json"])
def secretive(
    request: pytest.FixtureRequest, broker: BrokerConfig, tmp_path: Path
) -> Iterator[RunningWorkers]:
    """A worker whose password is in a file, at log level debug."""
    file = tmp_path / "url"
    file.write_text(broker.urls[0])
    nobody = BrokerConfig((), broker.namespace)
    arguments = (
        f"--amqp-url-file={file}",
        "--processes=1",
        "--log-level=debug",
        f"--log-format={request.param}",
    )
    with running(tmp_path / "log", nobody, *arguments) as started:
        yield RunningWorkers(started.process, started.log, broker)


def test_password_is_in_no_log_status_or_command_line_of_a_worker(
    secretive: RunningWorkers, broker: BrokerConfig
) -> None:
    wait_until(secretive.ready_pids, 60, "the worker is ready")
    status = fer_worker("status", "--json", broker=broker)
    assert json.loads(status.stdout)["supervisors"]
    told = [status.stdout, secretive.log.read_text()]
    for pid in (secretive.process.pid, *secretive.ready_pids()):
        told.append(Path(f"/proc/{pid}/cmdline").read_text())
        told.append(Path(f"/proc/{pid}/environ").read_text())
    for text in told:
        assert "guest:guest" not in text
    assert "guest:***@" in told[1]
