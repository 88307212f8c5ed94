"""What an operator does with results that found no reader."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pika
import pytest

from fer_client.config import BrokerConfig
from fer_schemas import BatchResult
from fer_worker.admin.undelivered_results import UndeliveredResult, UndeliveredResults
from tests.cutting import BASIC_ACK, line_that_breaks
from tests.engines import SizeEngine, plain_jpeg
from tests.serving import Sender, fer_worker, request, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.broker


def unread(broker: BrokerConfig) -> list[UndeliveredResult]:
    with UndeliveredResults(broker) as results:
        return list(results.oldest(1_000_000)[0])


@pytest.fixture
def kept(broker: BrokerConfig, sender: Sender) -> list[str]:
    """Results of a real worker that wait without a reader, by their correlation ids."""
    queue, sent = f"{broker.namespace}.results", []
    with serving(broker, SizeEngine(), threads=1):
        for width, reply_to in ((50, None), (60, "gone"), (70, None)):
            batch = request(plain_jpeg(width), camera_id=f"door-{width}")
            sent.append(sender.send(batch, reply_to=reply_to))
            wait_until(lambda: sender.depth(queue) == len(sent), what="the result is kept")
    return sent


def test_list_says_what_waits_and_removes_nothing(broker: BrokerConfig, kept: list[str]) -> None:
    found = unread(broker)
    assert [result.correlation_id for result in found] == kept
    assert [result.camera_id for result in found] == ["door-50", "door-60", "door-70"]
    assert [result.status for result in found] == ["success"] * 3
    assert [result.x_reply_to for result in found] == [None, "gone", None]
    published = datetime.fromisoformat(found[0].published_at or "")
    assert abs(datetime.now(UTC) - published) < timedelta(minutes=5)

    done = fer_worker("results", "list", broker=broker)
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("door-50", "door-60", "success", "gone"):
        assert word in done.stdout
    done = fer_worker("results", "list", "--json", "--limit=1", broker=broker)
    assert json.loads(done.stdout)["correlation_id"] == kept[0]
    assert done.stderr == "The oldest 1 of 3 results without a reader; --limit shows more.\n"
    assert unread(broker) == found


def test_take_writes_a_line_each_and_removes_them(
    broker: BrokerConfig, kept: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "results.jsonl"
    for limit, count in (("--limit=1", 1), ("--limit=10", 2), ("--limit=10", 0)):
        done = fer_worker("results", "take", limit, f"-o{file}", broker=broker)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", f"{count} taken\n")
    lines = file.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["x-reply-to"] for line in lines] == [None, "gone", None]
    results = [BatchResult.model_validate_json(line) for line in lines]
    assert [result.correlation_id for result in results] == kept
    assert [result.faces_areas for result in results] == [(2000,), (2400,), (2800,)]


def test_take_writes_to_stdout(broker: BrokerConfig, kept: list[str]) -> None:
    done = fer_worker("results", "take", broker=broker)
    assert [json.loads(line)["correlation_id"] for line in done.stdout.splitlines()] == kept
    assert done.stderr == "3 taken\n"


def test_take_goes_on_after_a_line_that_was_cut_off(
    broker: BrokerConfig, kept: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "results.jsonl"
    file.write_bytes(b'{"status": "succ')
    assert fer_worker("results", "take", f"-o{file}", broker=broker).returncode == 0
    lines = file.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["correlation_id"] for line in lines[1:]] == kept


def test_results_that_cannot_be_written_stay(
    broker: BrokerConfig, kept: list[str], tmp_path: Path
) -> None:
    done = fer_worker("results", "take", f"-o{tmp_path / 'no' / 'file'}", broker=broker)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("fer-worker: cannot write ")
    assert done.stderr.count("\n") == 1
    done = fer_worker("results", "take", "-o/dev/full", broker=broker)
    assert done.returncode == 1
    assert done.stderr == "fer-worker: cannot write /dev/full: No space left on device\n"
    assert [result.correlation_id for result in unread(broker)] == kept


def test_connection_that_is_cut_before_the_ack_leaves_duplicates_and_loses_nothing(
    broker: BrokerConfig, kept: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "results.jsonl"
    with line_that_breaks(broker.urls[0], lambda sent: BASIC_ACK in sent) as url:
        cut = BrokerConfig((url,), broker.namespace)
        done = fer_worker("results", "take", f"-o{file}", broker=cut)
    assert done.returncode == 3
    lines = file.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["correlation_id"] for line in lines] == kept
    assert [result.correlation_id for result in unread(broker)] == kept


def test_what_is_no_result_is_listed_and_taken_whole(broker: BrokerConfig, sender: Sender) -> None:
    properties = pika.BasicProperties(timestamp=2**50, headers={"x-reply-to": 7})
    bodies = [b"\xff\x00", b"[1, 2]", b"[" * 100_000]
    for body in bodies:
        sender.channel.basic_publish("", f"{broker.namespace}.results", body, properties)
    assert [(result.published_at, result.status) for result in unread(broker)] == [(None, None)] * 3
    done = fer_worker("results", "take", broker=broker)
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert [base64.b64decode(line["body_base64"]) for line in lines] == bodies


@pytest.mark.usefixtures("sender")
def test_empty_queue_is_no_error(broker: BrokerConfig) -> None:
    done = fer_worker("results", "list", broker=broker)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "No results without a reader.\n"
    assert fer_worker("results", "take", broker=broker).stderr == "0 taken\n"


def test_missing_queue_and_wrong_password_are_one_clear_line(broker: BrokerConfig) -> None:
    done = fer_worker("results", "list", broker=broker)
    assert done.returncode == 1
    assert done.stderr.startswith("fer-worker: no worker has run here yet: ")
    wrong = BrokerConfig((broker.urls[0].replace(":guest@", ":wrong@"),), broker.namespace)
    done = fer_worker("results", "take", broker=wrong)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
