"""What supervisors and operators make of messages that are none, over a real RabbitMQ."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pika
import pytest

from fer_client.config import BrokerConfig
from fer_schemas import StatusQuery, SupervisorStatus
from fer_worker.admin.supervisor_client import SupervisorClient
from fer_worker.supervision.command_listener import Command, Reply
from tests.contract.test_headers import RawHeaders, nested
from tests.serving import Sender, supervising
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

STATUS = b'{"kind":"status"}'


def test_hostile_control_messages_are_ignored(broker: BrokerConfig, sender: Sender) -> None:
    heard: list[Command] = []

    async def hear(command: Command) -> AsyncIterator[Reply]:
        heard.append(command)
        yield answer_of(1)

    with supervising(broker, execute=hear):
        for body, properties in (
            (b"[" * 5_000_000, None),
            (b" " * 5_000 + STATUS, None),
            (b'{"kind":"scale","processes":1e999}', None),
            (b"\xff", None),
            (b'{"kind":"scale","change":1,"x":"' + b"\\u001b" * 100, None),
            (b"", RawHeaders(nested(20_000))),
            (STATUS, pika.BasicProperties(reply_to=f"{broker.namespace}.frames")),
        ):
            sender.channel.basic_publish(f"{broker.namespace}.control", "", body, properties)
        wait_until(lambda: heard, what="the last one is heard")
    assert heard == [StatusQuery()]


def answer_of(pid: int) -> SupervisorStatus:
    return SupervisorStatus(
        host="test", pid=pid, software="0", engine="none", desired=0, restarts=0, processes=()
    )


def test_answer_to_an_earlier_question_is_not_taken_for_one_to_the_next(
    broker: BrokerConfig,
) -> None:
    asked = 0
    asked_again = asyncio.Event()

    async def answer_late(_: Command) -> AsyncIterator[Reply]:
        nonlocal asked
        asked += 1
        number = asked
        if number == 2:
            asked_again.set()
        await asked_again.wait()
        yield answer_of(number)

    with supervising(broker, execute=answer_late), SupervisorClient(broker) as operator:
        assert operator.statuses() == []
        assert operator.statuses() == [answer_of(2)]


def test_answer_that_an_operator_cannot_read_is_ignored_with_a_warning(
    broker: BrokerConfig, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    queue = sender.channel.queue_declare("", exclusive=True).method.queue
    sender.channel.queue_bind(queue, f"{broker.namespace}.control")

    def answer() -> None:
        asked, _ = sender.take(queue)
        answers = (b"\xff", b"[" * 100_000, b'{"kind":"later"}', answer_of(1).model_dump_json())
        for body in answers:
            properties = pika.BasicProperties(correlation_id=asked.correlation_id)
            sender.channel.basic_publish("", asked.reply_to, body, properties)

    with ThreadPoolExecutor() as pool, SupervisorClient(broker) as operator:
        answering = pool.submit(answer)
        assert operator.statuses() == [answer_of(1)]
        answering.result()
    warnings = [text for text in caplog.messages if text.startswith("ignored an answer: ")]
    assert len(warnings) == 3
