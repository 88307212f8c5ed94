"""What an operator does with dead-lettered requests, after real burials by a real service."""

import json
import os
import pty
import subprocess
import threading
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pika
import pytest
from pika.adapters.blocking_connection import BlockingConnection

from fer_client.amqp.topology import Topology
from fer_client.config import BrokerConfig
from fer_client.errors import (
    BrokerUnavailableError,
    FerWorkerError,
    NoWorkerQueueError,
    QueueFullError,
)
from fer_schemas import ErrorCode, Status
from fer_worker.admin.dead_letters import DeadLetter, DeadLetters
from fer_worker.limits import Limits
from tests.cutting import BASIC_ACK, line_that_breaks
from tests.engines import ABORTING_HEIGHT, SizeEngine, plain_jpeg
from tests.serving import Sender, command, fer_worker, request, serving, supervising
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

JPEG = plain_jpeg(60)


def letters(broker: BrokerConfig) -> list[DeadLetter]:
    with DeadLetters(broker) as dead:
        return list(dead.oldest(1_000_000)[0])


def dead_lettered(broker: BrokerConfig, count: int) -> list[DeadLetter]:
    """Wait until so many are dead, and look at them."""
    with DeadLetters(broker) as dead:
        wait_until(lambda: dead.count() == count, what=f"{count} requests are dead")
    return letters(broker)


def fill(sender: Sender, count: int) -> list[str]:
    """Put dead letters where a worker puts them; return their correlation ids."""
    names = [str(number) for number in range(count)]
    for name in names:
        properties = pika.BasicProperties(
            content_type="image/jpeg",
            correlation_id=name,
            reply_to=sender.reply_to,
            message_id=uuid.uuid4().hex,
            headers={"x-reason": "unsupported_version", "x-reason-text": "only 1", "camera": 7},
        )
        sender.channel.basic_publish("", f"{sender.namespace}.frames.dead", JPEG, properties)
    return names


def correlation_ids(sender: Sender, queue: str) -> list[str]:
    """Take everything out of a queue."""
    found = []
    while sender.depth(f"{sender.namespace}.{queue}"):
        properties, _ = sender.take(f"{sender.namespace}.{queue}")
        found.append(str(properties.correlation_id))
    return found


def test_list_says_when_why_and_from_whom(broker: BrokerConfig, sender: Sender) -> None:
    with serving(broker, SizeEngine(), threads=1):
        unknown_field = sender.send(request(JPEG, camera_id="door-1", colour="red"))
        dead_lettered(broker, 1)
        newer = sender.send(
            json.dumps({"version": 2, "camera_id": "yard", "frames": []}).encode(),
            "application/json",
        )
        dead_lettered(broker, 2)
        malformed = sender.send(b"\xc1", headers={"trace": "\x1b[31m"})
        dead_lettered(broker, 3)
        sender.send(JPEG, "image/png", correlation_id=None, headers={"camera_id": "gate"})
        dead_lettered(broker, 4)
        forbidden = sender.send(request(JPEG), reply_to=f"{broker.namespace}.frames")
        found = dead_lettered(broker, 5)
    assert [(letter.code, letter.camera_id, letter.correlation_id) for letter in found] == [
        (ErrorCode.INVALID_REQUEST, "door-1", unknown_field),
        (ErrorCode.UNSUPPORTED_VERSION, "yard", newer),
        (ErrorCode.MALFORMED_BODY, None, malformed),
        (ErrorCode.MISSING_CORRELATION_ID, "gate", None),
        (ErrorCode.FORBIDDEN_REPLY_TO, None, forbidden),
    ]
    first = found[0]
    assert first.message == "colour: Extra inputs are not permitted"
    assert (first.dead_lettered_by, first.reply_to) == ("test/1", sender.reply_to)
    assert first.first_queue == f"{broker.namespace}.frames"
    assert first.content_type == "application/msgpack"
    assert first.body_bytes == len(msgpack.packb(request(JPEG, camera_id="door-1", colour="red")))
    assert [letter.deliveries for letter in found] == [5, 4, 3, 2, 1]
    assert first.dead_lettered_at is not None

    done = fer_worker("dead", "list", "--json", "--limit=2", broker=broker)
    assert done.stderr == "The oldest 2 of 5 dead letters; --limit shows more.\n"
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [
        letter.id for letter in found[:2]
    ]
    table = fer_worker("dead", "list", broker=broker).stdout
    assert all(len(line) <= 80 for line in table.splitlines())
    for letter in found:
        assert letter.id in table
        assert str(letter.code) in table
    assert first.dead_lettered_at[:10] in table
    assert "door-1" in table


def test_show_describes_the_body_without_its_pixels_and_saves_it(
    broker: BrokerConfig, sender: Sender, tmp_path: Path
) -> None:
    fields = request(JPEG, plain_jpeg(80), camera_id="door-1")
    fields["frames"][1]["id"] = "f-17"
    with serving(broker, SizeEngine()):
        sender.send(
            fields,
            reply_to=f"{broker.namespace}.frames",
            headers={"thumbnail": JPEG, "trace": "\x1b[31mred"},
        )
        (letter,) = dead_lettered(broker, 1)
    file = tmp_path / "body"
    done = fer_worker("dead", "show", letter.id, f"--save={file}", broker=broker)
    assert (done.returncode, done.stderr) == (0, "")
    assert file.read_bytes() == msgpack.packb(fields)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["reason", "forbidden_reply_to"] in rows
    assert ["camera_id", "door-1"] in rows
    assert ["content_type", "application/msgpack"] in rows
    assert ["0", "-", "-", str(len(JPEG))] in rows
    assert ["1", "f-17", "-", str(len(plain_jpeg(80)))] in rows
    assert f"<{len(JPEG)} bytes>" in done.stdout
    assert "\x1b" not in done.stdout
    assert len(letters(broker)) == 1


def test_show_says_why_a_body_cannot_be_read(broker: BrokerConfig, sender: Sender) -> None:
    with serving(broker, SizeEngine()):
        sender.send(b"\xc1")
        (letter,) = dead_lettered(broker, 1)
    with DeadLetters(broker) as dead:
        opened = dead.open(letter.id)
    assert opened.body == b"\xc1"
    assert opened.request is None
    assert opened.fault is not None
    shown = fer_worker("dead", "show", letter.id, broker=broker).stdout
    assert f"malformed_body: {opened.fault.message}" in shown


def test_body_that_cannot_be_saved_is_one_clear_line(
    broker: BrokerConfig, sender: Sender, tmp_path: Path
) -> None:
    fill(sender, 1)
    file = tmp_path / "nowhere" / "body"
    done = fer_worker("dead", "show", letters(broker)[0].id, f"--save={file}", broker=broker)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"fer-worker: cannot write {file}: No such file or directory\n"


def test_requeued_request_is_answered_once_the_worker_can(
    broker: BrokerConfig, sender: Sender
) -> None:
    with serving(broker, SizeEngine(), limits=Limits(max_bytes=100)):
        sent = sender.send(request(JPEG), headers={"mine": 1})
        assert sender.receive(sent).status is Status.ERROR
        (letter,) = dead_lettered(broker, 1)
    done = fer_worker("dead", "requeue", letter.id, broker=broker)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 requeued\n", "")
    with serving(broker, SizeEngine()):
        result = sender.receive(sent)
    assert (result.status, result.faces_areas) == (Status.SUCCESS, (2400,))
    assert not result.redelivered
    assert letters(broker) == []


def test_requeued_poison_is_what_its_sender_sent(broker: BrokerConfig, sender: Sender) -> None:
    quarantine = f"{broker.namespace}.frames.quarantine"
    deadly = plain_jpeg(60, ABORTING_HEIGHT)
    properties = pika.BasicProperties(
        correlation_id="deadly",
        content_type="image/jpeg",
        reply_to=sender.reply_to,
        headers={"mine": 1, "x-quarantined": True},
    )
    sender.channel.basic_publish("", quarantine, deadly, properties)
    with supervising(broker, examine_with="FaultyEngine"):
        (letter,) = dead_lettered(broker, 1)
    assert (letter.code, letter.first_queue) == (ErrorCode.POISON_MESSAGE, quarantine)
    with DeadLetters(broker) as dead:
        assert list(dead.requeue([letter.id])) == [letter.id]
    again, body = sender.take(f"{broker.namespace}.frames")
    assert body == deadly
    assert again.headers is not None
    assert again.headers.pop("x-delivery-count", 0) == 0
    assert (again.headers, again.correlation_id) == ({"mine": 1}, "deadly")
    assert (again.reply_to, again.content_type) == (sender.reply_to, "image/jpeg")
    assert again.delivery_mode == 2


def test_requeue_of_all_ends_though_workers_dead_letter_them_again(
    broker: BrokerConfig, sender: Sender
) -> None:
    with serving(broker, SizeEngine()):
        for _ in range(30):
            sender.send(b"\xc1")
        before = {letter.id: letter.dead_lettered_at for letter in dead_lettered(broker, 30)}
        with DeadLetters(broker) as dead:
            assert set(dead.requeue()) == before.keys()
        after = {letter.id: letter.dead_lettered_at for letter in dead_lettered(broker, 30)}
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())


def test_second_copy_of_a_dead_letter_is_shown_once_and_leaves_with_it(
    broker: BrokerConfig, sender: Sender
) -> None:
    queue = f"{broker.namespace}.frames.dead"
    with serving(broker, SizeEngine()):
        sent = sender.send(b"\xc1")
        properties, body = sender.take(queue)
    # As after a crash between the broker's confirm and the ack of the request.
    for _ in range(2):
        sender.channel.basic_publish("", queue, body, properties)
    assert [letter.correlation_id for letter in letters(broker)] == [sent]
    done = fer_worker("dead", "requeue", "--all", broker=broker)
    assert done.stdout == "1 requeued\n"
    assert (sender.depth(queue), sender.depth(f"{broker.namespace}.frames")) == (0, 1)


def test_requeue_of_some_and_then_of_all_keeps_the_order(
    broker: BrokerConfig, sender: Sender
) -> None:
    names = fill(sender, 100)
    some = [letter.id for letter in letters(broker) if letter.correlation_id in ("7", "50")]
    with DeadLetters(broker) as dead:
        assert list(dead.requeue(some)) == some
    assert [letter.correlation_id for letter in letters(broker)] == [
        name for name in names if name not in ("7", "50")
    ]
    done = fer_worker("dead", "requeue", "--all", broker=broker)
    assert done.stdout == "98 requeued\n"
    moved = correlation_ids(sender, "frames")
    assert moved[:2] == ["7", "50"]
    assert moved[2:] == [name for name in names if name not in ("7", "50")]


def test_purge_removes_what_is_named_and_then_the_rest(
    broker: BrokerConfig, sender: Sender
) -> None:
    fill(sender, 20)
    found = letters(broker)
    named = [found[3].id, found[11].id]
    done = fer_worker("dead", "purge", "--yes", *named, broker=broker)
    assert (done.returncode, done.stdout) == (0, "2 removed\n")
    assert [letter.id for letter in letters(broker)] == [
        letter.id for letter in found if letter.id not in named
    ]
    done = fer_worker("dead", "purge", "--yes", "--all", broker=broker)
    assert (done.returncode, done.stdout) == (0, "18 removed\n")
    assert letters(broker) == []
    assert sender.depth(f"{broker.namespace}.frames") == 0


@pytest.mark.parametrize(("answer", "code", "left"), [(b"n\n", 1, 3), (b"y\n", 0, 0)])
def test_purge_asks_on_a_terminal(
    broker: BrokerConfig, sender: Sender, answer: bytes, code: int, left: int
) -> None:
    fill(sender, 3)
    line, environment = command("dead", "purge", "--all", broker=broker)
    keyboard, terminal = pty.openpty()
    try:
        with subprocess.Popen(
            line, env=environment, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as asking:
            os.write(keyboard, answer)
            _, said = asking.communicate(timeout=60)
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert asking.returncode == code
    assert b"Remove 3 dead letter(s) for good?" in said
    assert len(letters(broker)) == left


def test_purge_without_a_terminal_wants_to_be_told(broker: BrokerConfig, sender: Sender) -> None:
    fill(sender, 1)
    line, environment = command("dead", "purge", "--all", broker=broker)
    done = subprocess.run(
        line, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "say --yes" in done.stderr
    assert len(letters(broker)) == 1


def test_a_thousand_looks_leave_the_dead_as_they_are(broker: BrokerConfig, sender: Sender) -> None:
    fill(sender, 3)
    before = letters(broker)
    for look in range(2, 52):
        assert letters(broker) == [replace(letter, deliveries=look) for letter in before]
    # To the broker a look is messages that come back; the rest without a connection for each.
    with BlockingConnection(pika.URLParameters(broker.urls[0])) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=3)
        deliveries = channel.consume(f"{broker.namespace}.frames.dead")
        for _ in range(3 * 950):
            method, _, _ = next(deliveries)
            channel.basic_nack(method.delivery_tag, requeue=True)
    after = letters(broker)
    assert {letter.id for letter in after} == {letter.id for letter in before}
    assert sum(letter.deliveries for letter in after) > 3 * 1000


def test_connection_that_is_cut_before_the_ack_leaves_a_duplicate_and_loses_nothing(
    broker: BrokerConfig, sender: Sender
) -> None:
    names = fill(sender, 20)
    with line_that_breaks(broker.urls[0], lambda sent: BASIC_ACK in sent) as url:
        done = fer_worker("dead", "requeue", "--all", broker=BrokerConfig((url,), broker.namespace))
    assert done.returncode == 3
    assert done.stderr.startswith("fer-worker: the connection to the broker was lost")
    assert done.stderr.count("\n") == 1
    assert sorted(letter.correlation_id or "" for letter in dead_lettered(broker, 20)) == sorted(
        names
    )
    assert correlation_ids(sender, "frames") == ["0"]


def test_connection_that_is_cut_in_between_loses_nothing(
    broker: BrokerConfig, sender: Sender
) -> None:
    names = fill(sender, 60)
    seen: Counter[bool] = Counter()

    def at_the_30th_ack(sent: bytes) -> bool:
        seen[True] += sent.count(BASIC_ACK)
        return seen[True] >= 30

    with (
        line_that_breaks(broker.urls[0], at_the_30th_ack) as url,
        pytest.raises(BrokerUnavailableError),
        DeadLetters(BrokerConfig((url,), broker.namespace)) as dead,
    ):
        list(dead.requeue())
    kept = [letter.correlation_id or "" for letter in dead_lettered(broker, 31)]
    moved = correlation_ids(sender, "frames")
    assert set(kept) | set(moved) == set(names)
    assert set(kept) & set(moved) == {"29"}


def test_requests_that_no_queue_takes_stay_with_the_dead(
    broker: BrokerConfig, sender: Sender
) -> None:
    topology = Topology(broker.namespace)
    fill(sender, 5)
    sender.channel.queue_unbind(topology.frames.name, topology.requests, "frames")
    with pytest.raises(NoWorkerQueueError), DeadLetters(broker) as dead:
        list(dead.requeue())
    assert len(letters(broker)) == 5
    sender.channel.exchange_delete(topology.requests)
    done = fer_worker("dead", "requeue", "--all", broker=broker)
    assert (done.returncode, done.stdout) == (1, "0 requeued\n")
    assert f"no exchange '{topology.requests}'" in done.stderr
    assert len(letters(broker)) == 5


def test_requests_that_a_full_queue_refuses_stay_with_the_dead(
    broker: BrokerConfig, sender: Sender
) -> None:
    topology = Topology(broker.namespace)
    sender.channel.queue_delete(topology.frames.name)
    full = {"x-max-length": 3, "x-overflow": "reject-publish"}
    sender.channel.queue_declare(topology.frames.name, durable=True, arguments=full)
    sender.channel.queue_bind(topology.frames.name, topology.requests, "frames")
    fill(sender, 10)
    done: list[str] = []
    with pytest.raises(QueueFullError), DeadLetters(broker) as dead:
        done.extend(dead.requeue())
    moved = correlation_ids(sender, "frames")
    assert moved == [str(number) for number in range(len(moved))]
    assert len(moved) == 3
    assert len(letters(broker)) == 7


def test_letter_that_no_worker_dead_lettered_can_be_handled_too(
    broker: BrokerConfig, sender: Sender
) -> None:
    queue = f"{broker.namespace}.frames.dead"
    sender.channel.basic_publish("", queue, b"lost")
    sender.channel.basic_publish(
        "", queue, b"[1]", pika.BasicProperties(message_id="an id of theirs", content_type="?" * 99)
    )
    found = letters(broker)
    assert [(letter.code, letter.dead_lettered_at) for letter in found] == [(None, None)] * 2
    assert [letter.id for letter in letters(broker)] == [letter.id for letter in found]
    for letter in found:
        assert fer_worker("dead", "show", letter.id, broker=broker).returncode == 0
    assert fer_worker("dead", "list", broker=broker).returncode == 0
    with DeadLetters(broker) as dead:
        assert list(dead.purge([found[0].id])) == [found[0].id]
    assert [letter.id for letter in letters(broker)] == [found[1].id]


def test_two_operators_at_once_lose_nothing(broker: BrokerConfig, sender: Sender) -> None:
    names = fill(sender, 100)
    busy: list[FerWorkerError] = []

    def operate(action: Any) -> None:
        try:
            with DeadLetters(broker) as dead:
                action(dead)
        except FerWorkerError as error:
            busy.append(error)

    actions = [lambda dead: list(dead.requeue())] * 3 + [lambda dead: dead.oldest(10)] * 3
    operators = [threading.Thread(target=operate, args=(action,)) for action in actions]
    for operator in operators:
        operator.start()
    for operator in operators:
        operator.join(60)
    assert not busy
    assert letters(broker) == []
    assert sorted(correlation_ids(sender, "frames")) == sorted(names)


@pytest.mark.parametrize("arguments", [("show", "x"), ("requeue", "x"), ("purge", "--yes", "x")])
def test_unknown_id_is_one_clear_line_and_the_others_are_done(
    broker: BrokerConfig, sender: Sender, arguments: tuple[str, ...]
) -> None:
    fill(sender, 1)
    known = [letters(broker)[0].id] if arguments[0] != "show" else []
    done = fer_worker("dead", *arguments, *known, broker=broker)
    assert done.returncode == 1
    assert done.stderr == f"fer-worker: no dead letter x in {broker.namespace}.frames.dead\n"
    assert len(letters(broker)) == 1 - len(known)


@pytest.mark.parametrize("arguments", [(), ("--all", "x")])
@pytest.mark.parametrize("name", ["requeue", "purge"])
def test_neither_ids_nor_all_or_both_is_wrong_usage(
    broker: BrokerConfig, name: str, arguments: tuple[str, ...]
) -> None:
    done = fer_worker("dead", name, *arguments, broker=broker)
    assert done.returncode == 2
    assert "by their IDs, or say --all" in done.stderr


@pytest.mark.usefixtures("sender")
def test_empty_queue_is_no_error(broker: BrokerConfig) -> None:
    done = fer_worker("dead", "list", broker=broker)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "No dead letters.\n")
    done = fer_worker("dead", "requeue", "--all", broker=broker)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 requeued\n", "")


def test_missing_queue_is_one_clear_line(broker: BrokerConfig) -> None:
    done = fer_worker("dead", "list", broker=broker)
    assert done.returncode == 1
    assert done.stderr.startswith("fer-worker: no worker has run here yet: ")
    assert done.stderr.count("\n") == 1


def test_broker_that_refuses_or_is_away_is_one_clear_line(broker: BrokerConfig) -> None:
    wrong = broker.urls[0].replace(":guest@", ":secret-word@")
    done = fer_worker("dead", "list", broker=BrokerConfig((wrong,), broker.namespace))
    assert done.returncode == 3
    assert "refuses the user name or password" in done.stderr
    assert "secret-word" not in done.stderr
    with pytest.raises(BrokerUnavailableError):
        DeadLetters(BrokerConfig(("amqp://127.0.0.1:1/",)), wait_s=0.1)
