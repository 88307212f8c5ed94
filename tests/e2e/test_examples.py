"""The example controllers, run as their readers run them."""

import re
import subprocess
import sys
from pathlib import Path

import pika
import pytest

from tests.serving import command
from worker.broker.topology import Topology, declare
from worker.config import BrokerConfig

pytestmark = pytest.mark.broker

EXAMPLES = Path(__file__).parents[2] / "examples"


def run_example(
    name: str, *arguments: str, broker: BrokerConfig
) -> subprocess.CompletedProcess[str]:
    _, environment = command(broker=broker)
    line = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=90)


@pytest.mark.usefixtures("workers")
def test_controller_prints_what_is_in_the_sample_frames(broker: BrokerConfig) -> None:
    done = run_example("controller.py", broker=broker)
    assert (done.returncode, done.stderr) == (0, "")
    assert "door-1: partial" in done.stdout
    assert "door-1: success, most relevant: 1" in done.stdout
    assert "astronaut.jpg: happy" in done.stdout
    assert "no_face.jpg: no face 0.00" in done.stdout
    assert "frame 1 failed: broken_jpeg" in done.stdout


@pytest.mark.usefixtures("workers")
def test_raw_pika_controller_is_answered_in_every_encoding(broker: BrokerConfig) -> None:
    done = run_example("raw_pika_controller.py", *broker.urls, broker=broker)
    assert (done.returncode, done.stderr) == (0, "")
    for content_type in ("application/msgpack", "application/json", "image/jpeg"):
        assert f"{content_type}: success by " in done.stdout
    assert done.stdout.count("burst-4: happy") == 3
    assert done.stdout.count("no_face: None 0.00, 0 pixels") == 2


def test_raw_pika_controller_says_that_no_worker_has_ever_run(broker: BrokerConfig) -> None:
    done = run_example("raw_pika_controller.py", broker=broker)
    assert done.returncode == 3
    assert f"no exchange '{broker.namespace}.requests'" in done.stderr


def test_raw_pika_controller_says_that_no_queue_takes_requests(broker: BrokerConfig) -> None:
    parameters, topology = pika.URLParameters(broker.urls[0]), Topology(broker.namespace)
    declare(parameters, topology)
    with pika.BlockingConnection(parameters) as connection:
        connection.channel().queue_delete(topology.frames.name)
    done = run_example("raw_pika_controller.py", broker=broker)
    assert done.returncode == 3
    assert "no queue takes requests" in done.stderr


@pytest.mark.parametrize("name", ["controller.py", "raw_pika_controller.py"])
def test_wrong_password_ends_an_example_at_once(name: str, broker: BrokerConfig) -> None:
    url = re.sub("//.*@", "//nobody:wrong@", broker.urls[0])
    done = run_example(name, url, broker=broker)
    assert done.returncode in (1, 3)
    assert "refuses" in done.stderr
    assert "Traceback" not in done.stderr
