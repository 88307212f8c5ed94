"""Fault 7: nobody takes the answer. Its queue is gone, or full, while others are served as ever."""

import threading
from typing import TYPE_CHECKING

import pika
import pytest

from fer_client.config import BrokerConfig
from fer_schemas import BatchResult, FaceSelection, Status
from fer_worker.inference.types import Analysis
from tests.engines import SizeEngine, plain_jpeg
from tests.faults.load import steady_load
from tests.serving import Sender, request, serving

if TYPE_CHECKING:
    from fer_worker.inference.types import BGRImage

pytestmark = pytest.mark.broker

HELD_WIDTH = 333
HELD = plain_jpeg(HELD_WIDTH)


class HoldingEngine(SizeEngine):
    """Keeps pictures of one width until it is told to go on; all others are analysed at once."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.held = 0

    def analyze(self, image: "BGRImage", faces: FaceSelection) -> Analysis:
        if image.shape[1] == HELD_WIDTH:
            self.held += 1
            self.entered.set()
            assert self.go_on.wait(60)
        return super().analyze(image, faces)


def assert_kept_for(reader: str, properties: pika.BasicProperties, body: bytes) -> None:
    assert properties.headers is not None
    assert properties.headers["x-reply-to"] == reader
    result = BatchResult.model_validate_json(body)
    assert (result.status, result.faces_areas) == (Status.SUCCESS, (HELD_WIDTH * 40,))


def reply_queue(sender: Sender, **arguments: object) -> str:
    name = sender.channel.queue_declare("", exclusive=True, arguments=arguments).method.queue
    assert isinstance(name, str)
    return name


def test_result_whose_reader_leaves_while_it_is_computed_is_kept_with_its_address(
    broker: BrokerConfig, sender: Sender
) -> None:
    engine, results = HoldingEngine(), f"{broker.namespace}.results"
    with serving(broker, engine), steady_load(broker) as load:
        reader = reply_queue(sender)
        sent = sender.send(request(HELD), reply_to=reader)
        assert engine.entered.wait(20)
        sender.channel.queue_delete(reader)
        engine.go_on.set()
        properties, body = sender.take(results)
        assert properties.correlation_id == sent
        assert_kept_for(reader, properties, body)
        load.goes_on()
    assert [sender.depth(results), engine.held] == [0, 1]


def test_results_whose_queue_stays_full_are_kept_with_its_address_while_others_are_served(
    broker: BrokerConfig, sender: Sender
) -> None:
    engine, results = HoldingEngine(), f"{broker.namespace}.results"
    engine.go_on.set()
    reader = reply_queue(sender, **{"x-max-length": 1, "x-overflow": "reject-publish"})
    sender.channel.basic_publish("", reader, b"in the way")
    with serving(broker, engine, prefetch=4), steady_load(broker) as load:
        # Were each of them tried for ten seconds, that would take two minutes, and four of them
        # would leave no room for others.
        sent = [sender.send(request(HELD), reply_to=reader) for _ in range(50)]
        kept = [sender.take(results, timeout_s=60) for _ in sent]
        load.goes_on()
    assert {properties.correlation_id for properties, _ in kept} == set(sent)
    for properties, body in kept:
        assert_kept_for(reader, properties, body)
    assert sender.take(reader)[1] == b"in the way"
    assert [sender.depth(reader), engine.held] == [0, 50]
