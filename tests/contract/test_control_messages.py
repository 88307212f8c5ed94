"""What supervisors and operators make of messages that are none, over a real RabbitMQ."""

from concurrent.futures import ThreadPoolExecutor

import pika
import pytest

from fer_client.config import BrokerConfig
from fer_schemas import StatusQuery, SupervisorStatus
from fer_worker.admin.supervisor_client import Operator
from fer_worker.metrics import Meter
from fer_worker.supervision.command_listener import ControlLink, ControlRequest
from tests.contract.test_headers import RawHeaders, nested
from tests.serving import Sender, supervising
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

STATUS = b'{"kind":"status"}'


def test_hostile_control_messages_are_ignored(broker: BrokerConfig, sender: Sender) -> None:
    heard: list[ControlRequest] = []
    connected: list[bool] = []
    link = ControlLink(
        broker,
        "test/2",
        Meter(),
        on_command=heard.append,
        on_connected=lambda: connected.append(True),
        on_disconnected=lambda: None,
        on_refused=lambda _: None,
    )
    link.start()
    try:
        wait_until(lambda: connected, what="the supervisor listens")
        for body, properties in (
            (b"[" * 5_000_000, None),
            (b" " * 5_000 + STATUS, None),
            (b'{"kind":"scale","processes":1e999}', None),
            (b"\xff", None),
            (b'{"kind":"scale","change":1,"x":"' + b"\\u001b" * 100 + b'"}', None),
            (b"", RawHeaders(nested(20_000))),
            (STATUS, pika.BasicProperties(reply_to=f"{broker.namespace}.frames")),
        ):
            sender.channel.basic_publish(f"{broker.namespace}.control", "", body, properties)
        wait_until(lambda: heard, what="the last one is heard")
        assert [request.command for request in heard] == [StatusQuery()]
        assert len(connected) == 1
    finally:
        link.close()


def answer_of(pid: int) -> SupervisorStatus:
    return SupervisorStatus(
        host="test", pid=pid, software="0", engine="none", desired=0, restarts=0, processes=()
    )


def test_answer_to_an_earlier_question_is_not_taken_for_one_to_the_next(
    broker: BrokerConfig,
) -> None:
    asked: list[ControlRequest] = []

    def answer_late(request: ControlRequest) -> None:
        asked.append(request)
        if len(asked) == 2:
            for pid, each in enumerate(asked, start=1):
                each.answer(answer_of(pid))

    with supervising(broker, on_command=answer_late), Operator(broker) as operator:
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

    with ThreadPoolExecutor() as pool, Operator(broker) as operator:
        answering = pool.submit(answer)
        assert operator.statuses() == [answer_of(1)]
        answering.result()
    warnings = [text for text in caplog.messages if text.startswith("ignored an answer: ")]
    assert len(warnings) == 3
