"""What the gateway says while something behind it is missing, or its sender is bad."""

import re
import signal
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from fer_client.amqp.topology import Topology
from fer_client.config import BrokerConfig
from tests.engines import SizeEngine, plain_jpeg
from tests.forwarder import Forwarder
from tests.gateways import RunningGateway, gateway, uploads
from tests.serving import Sender, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

TIMEOUT_S = 3

UPLOAD = (
    b"POST /detect_batch HTTP/1.1\r\nHost: gateway\r\nContent-Length: 79\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    b'--b\r\nContent-Disposition: form-data; name="files"; filename="x"\r\n\r\n'
    b"\xff\xd8\xff\r\n--b--\r\n"
)

HALF_AN_UPLOAD = (
    b"POST /detect_batch HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1000\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
)


@pytest.fixture
def impatient(broker: BrokerConfig, tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway with its broker, which does not wait for long. There are no workers."""
    with gateway(tmp_path / "gateway.log", broker, f"--timeout={TIMEOUT_S}") as started:
        started.wait_until_connected()
        yield started


def send_one(http: httpx.Client) -> httpx.Response:
    return http.post("/detect_batch", files=uploads([plain_jpeg(40)]))


def test_without_its_broker_it_answers_503_and_recovers_by_itself(
    broker: BrokerConfig, line: Forwarder, tmp_path: Path
) -> None:
    line.stall()  # from the start: the broker is not there yet
    with (
        serving(broker, SizeEngine()),
        gateway(tmp_path / "log", line.through(broker)) as started,
        started.client() as http,
    ):
        for _ in range(2):
            for answer in (http.get("/"), send_one(http)):
                assert answer.status_code == 503
                assert answer.json()["detail"] == "not connected to the broker"
            line.resume()
            started.wait_until_connected()
            assert send_one(http).status_code == 200
            line.stall()
            line.cut()
            wait_until(lambda: http.get("/").status_code == 503, what="it misses its broker")
        line.resume()
    assert "Traceback" not in started.log.read_text()


def test_without_workers_it_answers_503_with_the_reason_and_nothing_is_analysed_later(
    broker: BrokerConfig, impatient: RunningGateway
) -> None:
    with impatient.client() as http:
        answer = send_one(http)
        deadline = datetime.now(UTC) + timedelta(seconds=TIMEOUT_S)
        assert answer.status_code == 503
        assert answer.json()["detail"] == (
            f"nobody takes batches from {broker.namespace}.frames (consumers 0); "
            "`fer-worker run` starts workers"
        )
        name = answer.json()["correlation_id"]
        wait_until(lambda: f"correlation_id={name}" in impatient.log.read_text())
    wait_until(lambda: datetime.now(UTC) > deadline)
    engine = SizeEngine()
    with (
        serving(broker, engine),
        Sender(broker.urls[0], broker.namespace) as sender,
        impatient.client() as http,
    ):
        assert send_one(http).status_code == 200
        wait_until(lambda: sender.depth(f"{broker.namespace}.frames") == 0)
    assert engine.analysed == 1


def test_a_full_queue_is_429_with_a_time_to_come_back(broker: BrokerConfig, tmp_path: Path) -> None:
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    frames = Topology(broker.namespace).frames.name
    with Sender(broker.urls[0], broker.namespace) as sender:
        sender.channel.queue_declare(frames, durable=True, arguments=full)
        with gateway(tmp_path / "log", broker, "--timeout=1") as started, started.client() as http:
            started.wait_until_connected()
            assert send_one(http).status_code == 504  # and waits in the queue
            answer = send_one(http)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"


def test_a_broker_without_a_queue_for_requests_is_503(
    broker: BrokerConfig, impatient: RunningGateway
) -> None:
    topology = Topology(broker.namespace)
    with Sender(broker.urls[0], broker.namespace) as sender, impatient.client() as http:
        sender.channel.queue_unbind(topology.frames.name, topology.requests, "frames")
        assert send_one(http).status_code == 503


def test_an_upload_that_stops_is_408_and_one_that_is_broken_off_harms_nobody(
    impatient: RunningGateway,
) -> None:
    with closing(impatient.connect()) as stopping:
        stopping.sendall(HALF_AN_UPLOAD)
        with closing(impatient.connect()) as leaving:
            leaving.sendall(HALF_AN_UPLOAD)
        assert stopping.recv(100).startswith(b"HTTP/1.1 408 ")
    with impatient.client() as http:
        assert http.get("/").status_code == 200
    wait_until(lambda: impatient.log.read_text().count("POST /detect_batch") == 2)
    assert "Traceback" not in impatient.log.read_text()


def test_a_sender_that_hangs_up_is_not_waited_for_nor_anybody_once_it_is_told_twice_to_stop(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    frames = f"{broker.namespace}.frames"
    with (
        gateway(tmp_path / "log", broker) as started,
        Sender(broker.urls[0], broker.namespace) as sender,
    ):
        started.wait_until_connected()
        with closing(started.connect()) as leaving:
            leaving.sendall(UPLOAD)
            wait_until(lambda: sender.depth(frames) == 1, what="its batch is in the queue")
        gone = re.compile(r"POST /detect_batch: 400 in \d+ ms correlation_id=")
        wait_until(lambda: gone.search(started.log.read_text()), 20, "it is given up")
        with closing(started.connect()) as staying:
            staying.sendall(UPLOAD)
            wait_until(lambda: sender.depth(frames) == 2, what="its batch is in the queue")
            started.process.send_signal(signal.SIGINT)
            wait_until(lambda: "stopping: 1 requests" in started.log.read_text())
            started.process.send_signal(signal.SIGINT)
            assert staying.recv(1000).startswith(b"HTTP/1.1 503 ")
        assert started.process.wait(20) == 128 + signal.SIGINT
    assert "Traceback" not in started.log.read_text()
