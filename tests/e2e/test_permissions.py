"""A whole system under the permissions of docs/security.md, and no more."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import ChannelClosedByBroker

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_schemas import Status
from fer_worker.tools.embedded_rabbitmq.node import EmbeddedBroker
from tests.frames import sample
from tests.serving import RunningWorkers, fer_worker, running
from tests.waiting import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
PATTERN = re.search(r"--reply-pattern '(.+)'", PAGE)
ACCESS_REFUSED = 403


class Accounts:
    """The accounts of the page, on a broker of their own."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._url = broker.url

    def config(self, user: str) -> BrokerConfig:
        return BrokerConfig.from_url(self._url.replace("guest:guest", f"{user}:pass"))

    def channel(self, user: str) -> BlockingChannel:
        connection = BlockingConnection(pika.URLParameters(self.config(user).urls[0]))
        channel = connection.channel()
        channel.confirm_delivery()
        return channel


def commands() -> list[list[str]]:
    """The `rabbitmqctl` commands of the page, and the same for one more controller."""
    blocks = "".join(re.findall(r"```sh\n(rabbitmqctl .+?)```", PAGE, flags=re.DOTALL))
    lines = blocks.replace("\\\n", " ").splitlines()
    found = [shlex.split(line)[1:] for line in lines if line]
    assert [command[:2] for command in found] == [
        ["set_permissions", user] for user in ("worker", "operator", "door-1")
    ]
    return [*found, [word.replace("door-1", "gate-2") for word in found[2]]]


@pytest.fixture(scope="module")
def accounts() -> Iterator[Accounts]:
    with EmbeddedBroker() as broker:
        # An operator who may ask for answers, and not ask.
        mute = ["set_permissions", "mute", r"^fer\.operators\..+$", "^$", ".*"]
        permissions = [*commands(), mute]
        broker.rabbitmqctl("eval", users([words[1] for words in permissions]))
        for words in permissions:
            broker.rabbitmqctl(*words)
        yield Accounts(broker)


def users(names: list[str]) -> str:
    """Erlang that adds them and removes the guest: `rabbitmqctl` takes a second for each."""
    words = ", ".join(f'<<"{name}">>' for name in names)
    return (
        f'[ok = rabbit_auth_backend_internal:add_user(U, <<"pass">>, <<"us">>) || U <- [{words}]], '
        'ok = rabbit_auth_backend_internal:delete_user(<<"guest">>, <<"us">>).'
    )


@pytest.fixture(scope="module")
def workers(
    accounts: Accounts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningWorkers]:
    """A supervisor and a worker process, which answer each controller in its own queues."""
    assert PATTERN is not None
    log = tmp_path_factory.mktemp("workers") / "log"
    arguments = ("--processes=1", f"--reply-pattern={PATTERN[1]}")
    with running(log, accounts.config("worker"), *arguments) as started:
        asked = RunningWorkers(started.process, log, accounts.config("operator"))
        asked.await_ready(1)
        yield asked
        assert "ACCESS_REFUSED" not in log.read_text()


def test_client_library_gets_its_results(workers: RunningWorkers, accounts: Accounts) -> None:
    with FerClient(accounts.config("door-1")) as client:
        assert client.analyze([sample("astronaut")]).status is Status.SUCCESS


def test_client_library_is_told_that_nobody_takes_its_batch(
    workers: RunningWorkers, accounts: Accounts
) -> None:
    operator = accounts.config("operator")
    assert fer_worker("scale", "0", broker=operator).returncode == 0
    with FerClient(accounts.config("door-1")) as client:
        waiting = client.submit(sample("astronaut"))
        reason = wait_until(lambda: client.silence, 10, "it is known that nobody is there")
        assert fer_worker("scale", "1", broker=operator).returncode == 0
        assert waiting.result(30).status is Status.SUCCESS
    assert "nobody takes batches from fer.frames (consumers 0)" in (reason or "")


def test_controller_with_nothing_but_pika_gets_its_results(
    workers: RunningWorkers, accounts: Accounts
) -> None:
    (url,) = accounts.config("gate-2").urls
    environment = {name: text for name, text in os.environ.items() if "FER_WORKER" not in name}
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "raw_pika_controller.py", url],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("success") == 3


def test_operator_scales_and_asks(workers: RunningWorkers, accounts: Accounts) -> None:
    operator = accounts.config("operator")
    up = fer_worker("scale", "2", broker=operator)
    assert up.returncode == 0, up.stderr
    assert fer_worker("scale", "1", broker=operator).returncode == 0
    status = json.loads(fer_worker("status", "--json", broker=operator).stdout)
    assert len(status["supervisors"]) == 1
    assert all(queue["ready"] is not None for queue in status["queues"])


@pytest.mark.parametrize("user", ["door-1", "mute"])
@pytest.mark.parametrize("arguments", [("scale", "2"), ("status",)])
def test_account_without_permission_is_told_so_in_one_line(
    workers: RunningWorkers, accounts: Accounts, user: str, arguments: tuple[str, ...]
) -> None:
    done = fer_worker(*arguments, broker=accounts.config(user))
    assert done.returncode == 3
    assert done.stderr.startswith("fer-worker: the broker refuses us: ACCESS_REFUSED - ")
    assert done.stderr.count("\n") == 1


def test_operator_reads_what_was_dead_lettered_sends_it_again_and_takes_results(
    workers: RunningWorkers, accounts: Accounts
) -> None:
    operator = accounts.config("operator")
    sender = accounts.channel("door-1")
    sender.basic_publish("fer.requests", "frames", b"?", pika.BasicProperties(correlation_id="c"))

    def dead_lettered() -> list[dict[str, Any]]:
        done = fer_worker("dead", "list", "--json", broker=operator)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    wait_until(dead_lettered, 30, "it is dead-lettered")
    (letter,) = dead_lettered()
    assert fer_worker("dead", "show", letter["id"], broker=operator).returncode == 0
    again = fer_worker("dead", "requeue", "--all", broker=operator)
    assert again.returncode == 0, again.stderr
    wait_until(
        lambda: any(
            found["dead_lettered_at"] > letter["dead_lettered_at"] for found in dead_lettered()
        ),
        30,
        "dead-lettered anew",
    )
    assert fer_worker("dead", "purge", "--all", "--yes", broker=operator).returncode == 0
    assert fer_worker("results", "take", broker=operator).returncode == 0


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("basic_publish", {"exchange": "fer.control", "routing_key": "", "body": b"x"}),
        ("queue_declare", {"queue": "fer.operators.3"}),
        ("basic_get", {"queue": "fer.frames.dead"}),
    ],
)
def test_worker_may_not_be_an_operator(
    workers: RunningWorkers, accounts: Accounts, method: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ChannelClosedByBroker) as refused:
        getattr(accounts.channel("worker"), method)(**arguments)
    assert refused.value.reply_code == ACCESS_REFUSED


def test_worker_that_is_restarted_reads_what_is_there(
    workers: RunningWorkers, accounts: Accounts, tmp_path: Path
) -> None:
    # The second declares everything again, and is no stranger to what the first one made.
    with running(tmp_path / "log", accounts.config("worker"), "--processes=0") as second:
        asked = RunningWorkers(second.process, second.log, accounts.config("operator"))
        wait_until(lambda: answers(asked), 30, "the second supervisor answers")


def answers(workers: RunningWorkers) -> bool:
    status = json.loads(fer_worker("status", "--json", broker=workers.broker).stdout)
    return workers.process.pid in [supervisor["pid"] for supervisor in status["supervisors"]]


FORBIDDEN: dict[str, tuple[str, dict[str, Any]]] = {
    "write to any queue": ("basic_publish", {"exchange": "", "routing_key": "fer.frames"}),
    "write to control": ("basic_publish", {"exchange": "fer.control", "routing_key": ""}),
    "read requests": ("basic_get", {"queue": "fer.frames"}),
    "read undeliverable": ("basic_get", {"queue": "fer.frames.undeliverable"}),
    "read quarantine": ("basic_get", {"queue": "fer.frames.quarantine"}),
    "read dead letters": ("basic_get", {"queue": "fer.frames.dead"}),
    "read the results of all": ("basic_get", {"queue": "fer.results"}),
    "read another's results": ("basic_get", {"queue": "fer.replies.gate-2.1"}),
    "make a queue of another": ("queue_declare", {"queue": "fer.replies.gate-2.2"}),
    "make a queue that begins alike": ("queue_declare", {"queue": "fer.replies.door-10.1"}),
    "empty the queue of requests": ("queue_purge", {"queue": "fer.frames"}),
    "delete the queue of requests": ("queue_delete", {"queue": "fer.frames"}),
    "delete another's results": ("queue_delete", {"queue": "fer.replies.gate-2.1"}),
    "delete the exchange": ("exchange_delete", {"exchange": "fer.requests"}),
    "listen in": (
        "queue_bind",
        {"queue": "fer.replies.door-1.1", "exchange": "fer.requests", "routing_key": "frames"},
    ),
    "read an operator's answers": ("basic_get", {"queue": "fer.operators.1"}),
    "be an operator": ("queue_declare", {"queue": "fer.operators.2"}),
    "be a supervisor": (
        "queue_bind",
        {"queue": "fer.replies.door-1.1", "exchange": "fer.control"},
    ),
    "dead-letter into control": (
        "queue_declare",
        {
            "queue": "fer.replies.door-1.3",
            "arguments": {"x-dead-letter-exchange": "fer.control", "x-message-ttl": 0},
        },
    ),
    "dead-letter into any queue": (
        "queue_declare",
        {
            "queue": "fer.replies.door-1.4",
            "arguments": {
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": "fer.frames.undeliverable",
                "x-message-ttl": 0,
            },
        },
    ),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_controller_may_not(workers: RunningWorkers, accounts: Accounts, what: str) -> None:
    for user in ("door-1", "gate-2"):
        accounts.channel(user).queue_declare(f"fer.replies.{user}.1", durable=True)
    accounts.channel("operator").queue_declare("fer.operators.1", durable=True)
    method, arguments = FORBIDDEN[what]
    body = {"body": b"x"} if method == "basic_publish" else {}
    with pytest.raises(ChannelClosedByBroker) as refused:
        getattr(accounts.channel("door-1"), method)(**arguments, **body)
    assert refused.value.reply_code == ACCESS_REFUSED


def test_controller_may_not_have_results_sent_to_another(
    workers: RunningWorkers, accounts: Accounts
) -> None:
    other, own = "fer.replies.gate-2.9", "fer.replies.door-1.9"
    theirs, ours = accounts.channel("gate-2"), accounts.channel("door-1")
    theirs.queue_declare(other, exclusive=True)
    ours.queue_declare(own, exclusive=True)
    for reply_to in (other, own):  # one after the other: the second one's result ends the wait
        properties = pika.BasicProperties(
            content_type="image/jpeg", correlation_id="c", reply_to=reply_to, user_id="door-1"
        )
        ours.basic_publish("fer.requests", "frames", sample("astronaut"), properties)
    wait_until(lambda: ours.basic_get(own, auto_ack=True)[0], 30, "the result is in our own queue")
    assert theirs.basic_get(other)[0] is None


def test_controller_may_not_pretend_to_be_another(accounts: Accounts) -> None:
    channel = accounts.channel("door-1")
    properties = pika.BasicProperties(user_id="gate-2")
    with pytest.raises(ChannelClosedByBroker, match="user_id property set to 'gate-2'"):
        channel.basic_publish("fer.requests", "frames", b"x", properties)
