"""The password of the broker is nowhere in what a failing start says."""

import json
import logging
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fer_client.config import BrokerConfig
from fer_client.errors import FerWorkerError
from fer_worker.admin.supervisor_client import SupervisorClient
from tests.serving import RunningWorkers, command, fer_worker, running

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


def failure(url: str) -> str:
    """What is said where a broker cannot be used."""
    with pytest.raises(FerWorkerError) as caught, SupervisorClient(BrokerConfig.from_url(url)):
        pass
    return str(caught.value)


def test_no_failure_to_connect_tells_the_password(
    broker: BrokerConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="fer_client")
    wrong = wrong_urls(broker.urls[0])
    with ThreadPoolExecutor(len(wrong)) as pool:  # some of them wait
        said = dict(zip(wrong, pool.map(failure, wrong.values()), strict=True))
    assert all(said.values())
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("fer_")]
    assert [text for text in (*said.values(), *ours) if SECRET in text] == []


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (("run", "--log-level=debug"), "nobody there"),
        (("run", "--log-level=debug", "--log-format=json"), "bad password"),
        (("status",), "bad virtual host"),
        (("submit", "picture.jpg"), "a slash in the password"),
    ],
)
def test_command_that_fails_says_why_and_not_the_password(
    broker: BrokerConfig, arguments: tuple[str, ...], wrong: str
) -> None:
    line, environment = command(
        *arguments, broker=BrokerConfig((wrong_urls(broker.urls[0])[wrong],))
    )
    said = ""
    with subprocess.Popen(
        line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for printed in process.stdout:
            said += printed
            if "trying again" in printed:  # for ever, unless it is told to stop
                process.terminate()
    assert said
    assert SECRET not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("secret", "code"), [("guest", 0), (SECRET, 3)])
def test_url_from_a_file_is_used_and_not_told(
    broker: BrokerConfig, tmp_path: Path, secret: str, code: int
) -> None:
    file = tmp_path / "url"
    file.write_text(broker.urls[0].replace("guest@", f"{secret}@") + "\n")
    line, environment = command("status", "--json", broker=BrokerConfig((), broker.namespace))
    environment["FER_WORKER_AMQP_URL_FILE"] = str(file)
    by_variable = subprocess.run(line, env=environment, capture_output=True, text=True)
    nowhere = BrokerConfig((), broker.namespace)
    by_option = fer_worker("status", "--json", f"--amqp-url-file={file}", broker=nowhere)
    for done in (by_variable, by_option):
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
    secretive.await_ready(1)
    status = fer_worker("status", "--json", broker=broker)
    assert json.loads(status.stdout)["supervisors"]
    told = [status.stdout, secretive.log.read_text()]
    for pid in (secretive.process.pid, *secretive.ready_pids()):
        told.append(Path(f"/proc/{pid}/cmdline").read_text())
        told.append(Path(f"/proc/{pid}/environ").read_text())
    for text in told:
        assert "guest:guest" not in text
    assert "guest:***@" in told[1]
