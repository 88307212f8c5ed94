"""What `fer-worker run` writes on stderr."""

import json
import re
from pathlib import Path

import pytest

from fer_client.config import BrokerConfig
from tests.engines import plain_jpeg
from tests.serving import Sender, request, running
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

BURIED = "malformed_body"


def test_each_line_is_a_json_object_and_a_hundred_bad_messages_are_a_few_of_them(
    broker: BrokerConfig, sender: Sender, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    options = ("--processes=1", "--threads=1", "--log-format=json", "--log-level=debug")
    with running(log, broker, *options, engine="SizeEngine") as workers:
        workers.await_ready(1)
        pids = {workers.process.pid, *workers.ready_pids()}
        for _ in range(100):
            sender.send(b"\xc1")
        good = sender.send(request(plain_jpeg(60)))
        wait_until(lambda: sender.depth(sender.reply_to) == 101, 30, "all are answered")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        assert line.keys() - {"correlation_id", "exception"} == {
            "time",
            "level",
            "logger",
            "message",
            "worker",
        }
    assert {int(line["worker"].rpartition("/")[2]) for line in lines} == pids
    about_good = [line["message"] for line in lines if line.get("correlation_id") == good]
    assert [text.partition(" ")[0] for text in about_good] == ["taken", "ended:"]
    dead_lettered = [line["message"] for line in lines if BURIED in line["message"]]
    counted = [re.match(r"and (\d+) more like it", text) for text in dead_lettered]
    assert sum(int(found[1]) if found else 1 for found in counted) == 100
    assert len(dead_lettered) < 100
