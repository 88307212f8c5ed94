"""A supervisor on a host that is short of something."""

import re
from pathlib import Path

import pytest

from fer_client import FerClient
from fer_client.config import BrokerConfig
from tests.engines import plain_jpeg
from tests.serving import Sender, fer_worker, request, running
from tests.waiting import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]


def test_processes_that_cannot_be_started_are_tried_again_and_harm_no_other(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    few_descriptors = ("prlimit", "--nofile=40:40")
    log = tmp_path / "log"
    with (
        running(
            log, broker, "--processes=1", engine="FaultyEngine", prefix=few_descriptors
        ) as workers,
        FerClient(broker) as client,
    ):
        (first,) = workers.await_ready(1)
        done = fer_worker("scale", "20", "--timeout=8", broker=broker)
        assert done.returncode == 5
        assert "no process can be started: Too many open files" in done.stderr
        assert "Traceback" not in log.read_text()
        assert client.analyze([plain_jpeg(60)]).faces_areas == (2400,)
        assert fer_worker("scale", "1", broker=broker).returncode == 0
        assert workers.ready_pids() == [first]


def test_where_every_frame_kills_the_host_is_to_blame_and_no_request(
    broker: BrokerConfig, sender: Sender, tmp_path: Path
) -> None:
    log = tmp_path / "log"

    def pauses() -> list[int]:
        return [
            int(s) for s in re.findall(r"died: .* starting another in (\d+) s", log.read_text())
        ]

    with running(log, broker, "--processes=1", "--prefetch=1", engine="DyingEngine") as workers:
        workers.await_ready(1)
        for _ in range(8):
            sender.send(request(plain_jpeg(60)))
        wait_until(lambda: len(pauses()) >= 4, 60, "its process dies again and again")
        wait_until(lambda: "this host cannot examine" in log.read_text(), 60)
        first, *later = pauses()[:4]
        assert first == 0
        assert later == sorted(later)
        assert later[0] >= 1
    assert "poison_message" not in log.read_text()
    assert sender.depth(f"{broker.namespace}.frames.dead") == 0
    # A host that can brings them all to their end.
    with running(tmp_path / "other", broker, "--processes=1", engine="FaultyEngine"):
        for _ in range(8):
            sender.take(timeout_s=60)
