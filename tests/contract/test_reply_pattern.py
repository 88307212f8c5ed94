"""Who may have results sent where, over a real RabbitMQ."""

import pika
import pytest
from click.testing import CliRunner

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_schemas import Status
from fer_worker.cli import main
from fer_worker.limits import Limits, ReplyPattern
from fer_worker.metrics import MetricsRecorder
from tests.engines import SizeEngine, plain_jpeg
from tests.serving import Sender, request, serving, supervising

REQUEST = request(plain_jpeg(60))
OF_ITS_USER = Limits(replies=ReplyPattern(r"[\w-]+\.replies\.{user_id}\..+"))


@pytest.mark.parametrize(
    ("text", "queue", "user", "allowed"),
    [
        (r"replies\..+", "replies.a", None, True),
        (r"replies\..+", "my.replies.a", None, False),
        (r"replies\..+", "replies.a\n", None, False),
        (r"replies\.{user_id}\..+", "replies.door.1", "door", True),
        (r"replies\.{user_id}\..+", "replies.door.1", "gate", False),
        (r"replies\.{user_id}\..+", "replies.door.1", None, False),
        (r"replies\.{user_id}\..+", "replies.door.1", ".*", False),
        (r"replies\.{user_id}\..+", "replies..*.1", ".*", True),
        (r"replies\.{user_id}|.*", "other", "a)|(.*", True),
        (r"(replies\.{user_id})", "other", "a)|(.*", False),
        (r"a{1,3}", "aa", None, True),
        (r"(?P<{user_id}>x)", "x", "door-1", False),
    ],
)
def test_pattern_is_for_whole_names_and_takes_user_names_as_they_are(
    text: str, queue: str, user: str | None, allowed: bool
) -> None:
    assert ReplyPattern(text).allows(queue, user) is allowed


@pytest.mark.parametrize("text", ["(", "*", "a{99999999999}", "(?P<{user_id}>x)(?P<{user_id}>y)"])
def test_pattern_that_is_none_is_one_clear_line_and_wrong_usage(text: str) -> None:
    done = CliRunner().invoke(main, ["run", "--reply-pattern", text])
    assert done.exit_code == 2
    assert "Invalid value for '--reply-pattern': not a regular expression" in done.stderr
    assert "Traceback" not in done.stderr


def reason_of_burial(broker: BrokerConfig, sender: Sender) -> str:
    kept, _ = sender.take(f"{broker.namespace}.frames.dead")
    assert kept.headers is not None
    return str(kept.headers["x-reason"])


def publish(broker: BrokerConfig, sender: Sender, reply_to: str | bytes, **properties: str) -> None:
    sender.channel.basic_publish(
        f"{broker.namespace}.requests",
        "frames",
        plain_jpeg(60),
        pika.BasicProperties(
            content_type="image/jpeg", correlation_id="c", reply_to=reply_to, **properties
        ),
    )


@pytest.fixture
def own_queue(broker: BrokerConfig, sender: Sender) -> str:
    name = sender.channel.queue_declare(
        f"{broker.namespace}.replies.{broker.user}.1", exclusive=True
    ).method.queue
    assert isinstance(name, str)
    return name


@pytest.mark.broker
def test_reply_to_outside_the_pattern_is_dead_lettered_without_a_reply(
    broker: BrokerConfig, sender: Sender, own_queue: str
) -> None:
    with serving(broker, SizeEngine(), limits=OF_ITS_USER):
        publish(broker, sender, sender.reply_to, user_id=broker.user)
        assert reason_of_burial(broker, sender) == "forbidden_reply_to"
        publish(broker, sender, own_queue)  # whose it is nobody says
        assert reason_of_burial(broker, sender) == "forbidden_reply_to"
        publish(broker, sender, own_queue, user_id=broker.user)
        assert sender.receive("c", own_queue).status is Status.SUCCESS
        unaddressed = sender.send(REQUEST, reply_to=None)
        assert sender.receive(unaddressed, f"{broker.namespace}.results").status is Status.SUCCESS
    assert sender.depth(sender.reply_to) == sender.depth(own_queue) == 0


@pytest.mark.broker
def test_reply_to_that_is_no_utf8_is_dead_lettered_and_the_session_goes_on(
    broker: BrokerConfig, sender: Sender
) -> None:
    meter = MetricsRecorder()
    with serving(broker, SizeEngine(), meter=meter):
        publish(broker, sender, b"\xff" * 100)
        good = sender.send(REQUEST)
        assert sender.receive(good).status is Status.SUCCESS
        assert reason_of_burial(broker, sender) == "forbidden_reply_to"
    assert meter.counts.totals["reconnects"] == 0


@pytest.mark.broker
def test_client_library_says_whose_its_requests_are(broker: BrokerConfig, sender: Sender) -> None:
    with serving(broker, SizeEngine(), limits=OF_ITS_USER), FerClient(broker) as client:
        assert client.analyze([plain_jpeg(60)]).status is Status.SUCCESS


@pytest.mark.broker
def test_redelivered_request_keeps_the_address_that_was_allowed(
    broker: BrokerConfig, sender: Sender, own_queue: str
) -> None:
    publish(broker, sender, own_queue, user_id=broker.user)
    with Sender(broker.urls[0], broker.namespace) as crashing:
        assert crashing.channel.basic_get(f"{broker.namespace}.frames")[0] is not None
    with (
        serving(broker, SizeEngine(), limits=OF_ITS_USER),
        supervising(broker, OF_ITS_USER, examine_with="SizeEngine"),
    ):
        assert sender.receive("c", own_queue).redelivered


@pytest.mark.broker
def test_expired_request_is_answered_where_it_may_be_and_nowhere_else(
    broker: BrokerConfig, sender: Sender, own_queue: str
) -> None:
    forged = {
        "x-first-death-queue": f"{broker.namespace}.frames.quarantine",
        "x-death": [{"queue": f"{broker.namespace}.frames.quarantine", "reason": "expired"}],
    }
    with supervising(broker, OF_ITS_USER):
        sender.send(REQUEST, expiration="1", headers=forged)
        assert reason_of_burial(broker, sender) == "forbidden_reply_to"
        publish(broker, sender, own_queue, user_id=broker.user, expiration="1")
        assert sender.receive("c", own_queue).status is Status.EXPIRED
    assert sender.depth(sender.reply_to) == 0
