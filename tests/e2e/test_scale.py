"""Scale commands that cannot be carried out, and control messages that are none.

Each is one clear line and an exit code, and the workers go on as if nothing had been said.
"""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pika
import pytest

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_schemas import ScaleCommand, ScaleReply, Status
from fer_worker.admin.supervisor_client import SupervisorClient
from fer_worker.logging_setup import FIRST_LINES
from tests.contract.test_headers import RawHeaders, nested
from tests.engines import plain_jpeg
from tests.serving import RunningWorkers, Sender, fer_worker, running
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

HOST = os.uname().nodename

REFUSED = {
    ("-5",): "not between 0 and 3: -3",
    ("4",): "not between 0 and 3: 4",
    ("+2",): "not between 0 and 3: 4",
    ("999999",): "not between 0 and 3: 999999",
    ("4", f"--host={HOST}"): "not between 0 and 3: 4",
}

MISUSED = {
    (): "Missing argument",
    ("many",): "neither a number nor a change",
    ("1.5",): "neither a number nor a change",
    ("1000000",): "neither a number nor a change",
    ("--", "-"): "neither a number nor a change",
    ("1", "2"): "unexpected extra argument",
    ("1", "--timeout=-1"): "--timeout",
}

MESSAGES: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"scale 0",
    "not UTF-8": b'{"kind":"status\xff"}',
    "a part of JSON": b'{"kind":"scale","processes":0',
    "JSON twice": b'{"kind":"scale","processes":0}{"kind":"scale","processes":0}',
    "no object": b'["scale",0]',
    "null": b"null",
    "no kind": b'{"processes":0}',
    "a kind of its own": b'{"kind":"stop"}',
    "a kind that forges a line": json.dumps({"kind": "x\n2026 ERROR [host/1] \x1b[2J"}).encode(),
    "a kind that is none": b'{"kind":{"kind":"scale"},"processes":0}',
    "a reply": b'{"kind":"scale","host":"h","pid":1,"before":0,"after":0,"complete":true}',
    "neither number nor change": b'{"kind":"scale"}',
    "both": b'{"kind":"scale","processes":0,"change":0}',
    "below zero": b'{"kind":"scale","processes":-1}',
    "a word": b'{"kind":"scale","processes":"0"}',
    "a truth": b'{"kind":"scale","processes":false}',
    "a fraction": b'{"kind":"scale","processes":0.5}',
    "no number": b'{"kind":"scale","processes":NaN}',
    "without end": b'{"kind":"scale","change":-1e999}',
    "a host that is none": b'{"kind":"scale","processes":0,"host":["%s"]}' % HOST.encode(),
    "half a character": b'{"kind":"scale","processes":0,"host":"\\ud800"}',
    "deep": b'{"kind":' * 400,
    "deep and over the limit": b"[" * 5_000_000,
    "a command behind spaces": b" " * 5_000 + b'{"kind":"scale","processes":0}',
    "as long as RabbitMQ 4 takes": b'{"kind":"scale","processes":0}'.rjust(2**24),
    "msgpack": b"\x82\xa4kind\xa5scale\xa9processes\x00",
}


@pytest.fixture(scope="module")
def workers(
    own: BrokerConfig, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningWorkers]:
    """Two processes; there may be three."""
    options = ("--processes=2", "--max-processes=3", "--threads=1")
    log = tmp_path_factory.mktemp("workers") / "log"
    with running(log, own, *options, engine="FaultyEngine") as started:
        yield started


@pytest.fixture
def small(workers: RunningWorkers) -> Iterator[RunningWorkers]:
    """Those two, ready; they go on as if nothing had been said."""
    before = workers.await_ready(2)
    yield workers
    after = workers.status()
    assert (after.desired, after.restarts) == (2, 0)
    assert [(process.pid, process.state) for process in after.processes] == [
        (pid, "ready") for pid in before
    ]
    with FerClient(workers.broker) as client:
        assert client.analyze([plain_jpeg(50)], timeout_s=60).status is Status.SUCCESS


@pytest.fixture
def controller(small: RunningWorkers) -> Iterator[Sender]:
    """It sends to them."""
    with Sender(small.broker.urls[0], small.broker.namespace) as sender:
        yield sender


def assert_one_line(text: str, expected: str) -> None:
    assert text == f"fer-worker: {expected}\n"


def test_scale_that_cannot_be_is_one_clear_line(small: RunningWorkers) -> None:
    for arguments, reason in REFUSED.items():
        done = fer_worker("scale", *arguments, broker=small.broker)
        assert (done.returncode, done.stdout) == (1, ""), arguments
        assert_one_line(done.stderr, f"{HOST}/{small.process.pid} refused: {reason}")
    done = fer_worker("scale", "1", "--host=elsewhere", broker=small.broker)
    assert (done.returncode, done.stdout) == (5, "")
    assert_one_line(done.stderr, "no supervisor on elsewhere answered within 1 s")


def test_usage_that_is_wrong_is_told_before_anybody_is_asked() -> None:
    nowhere = BrokerConfig(("amqp://127.0.0.1:1/",))
    for arguments, reason in MISUSED.items():
        done = fer_worker("scale", *arguments, broker=nowhere)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert reason in done.stderr


def test_nobody_answers_where_no_supervisor_is(broker: BrokerConfig, sender: Sender) -> None:
    done = fer_worker("scale", "1", broker=broker)
    assert (done.returncode, done.stdout) == (5, "")
    assert_one_line(done.stderr, "no supervisor here answered within 1 s")


def test_one_of_two_supervisors_refuses_and_the_other_scales(
    small: RunningWorkers, tmp_path: Path
) -> None:
    options = ("--processes=0", "--max-processes=1")
    with running(tmp_path / "other", small.broker, *options, engine="FaultyEngine") as other:
        other.status()
        done = fer_worker("scale", "2", broker=small.broker)
    assert done.returncode == 1
    assert done.stdout == f"{HOST}/{small.process.pid}: 2 -> 2 processes\n"
    assert_one_line(done.stderr, f"{HOST}/{other.process.pid} refused: not between 0 and 1: 2")


def test_scale_that_is_overtaken_by_another_says_so(broker: BrokerConfig, tmp_path: Path) -> None:
    def scale(processes: int) -> list[ScaleReply]:
        with SupervisorClient(broker) as operator:
            return list(operator.scale(ScaleCommand(processes=processes), timeout_s=60))

    log = tmp_path / "log"
    with (
        running(log, broker, "--processes=0", engine="UnreadyEngine") as workers,
        ThreadPoolExecutor() as operators,
    ):
        workers.status()  # it listens
        first = operators.submit(scale, 2)
        wait_until(lambda: "started process" in log.read_text(), 60, "processes start")
        second = operators.submit(scale, 0)
        (overtaken,), (done,) = first.result(90), second.result(90)
    assert (overtaken.after, overtaken.error) == (2, "overtaken by another command")
    assert (done.after, done.error) == (0, None)


def test_control_messages_that_are_none_are_logged_and_change_nothing(
    small: RunningWorkers, controller: Sender
) -> None:
    control = f"{small.broker.namespace}.control"
    for body in MESSAGES.values():
        controller.channel.basic_publish(control, "", body)
    controller.channel.basic_publish(control, "", b"", RawHeaders(nested(20_000)))
    small.status()  # it has read all that came before

    log = small.log.read_text()
    assert log.count("] ignored a control message") >= FIRST_LINES  # the rest is counted
    assert "Traceback" not in log
    assert "connecting anew" not in log
    assert "\x1b" not in log
    assert "\n2026 ERROR" not in log


def test_asker_is_answered_under_its_own_id_whatever_the_others_are_called(
    small: RunningWorkers, controller: Sender
) -> None:
    own = controller.reply_to
    for reply_to in (
        b"\xff",
        "x" * 255,
        "amq.rabbitmq.reply-to.x",
        f"{small.broker.namespace}.frames",
        own,
    ):
        properties = pika.BasicProperties(reply_to=reply_to, correlation_id=b"\xff")
        body = b'{"kind":"status"}'
        controller.channel.basic_publish(f"{small.broker.namespace}.control", "", body, properties)
    answered, body = controller.take(own)
    assert answered.correlation_id == b"\xff"
    assert json.loads(body)["pid"] == small.process.pid
    assert controller.depth(f"{small.broker.namespace}.frames") == 0
    assert "connecting anew" not in small.log.read_text()
