"""Requests that are not worth an analysis any more, over a real RabbitMQ."""

from datetime import UTC, datetime, timedelta

import pytest

from fer_client.config import BrokerConfig
from fer_schemas import FrameEmotion, Status
from fer_worker.metrics import MetricsRecorder
from tests.engines import GatedEngine, SizeEngine, plain_jpeg
from tests.serving import Sender, request, serving, supervising
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

JPEG = plain_jpeg(60)
NO_EMOTION = FrameEmotion(emotion=None, confidence=0.0)


def test_request_past_its_deadline_is_answered_expired_without_inference(
    broker: BrokerConfig, sender: Sender
) -> None:
    past = (datetime.now(UTC) - timedelta(milliseconds=1)).isoformat()
    future = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    engine = SizeEngine()
    with serving(broker, engine):
        late = sender.receive(sender.send(request(JPEG, JPEG, deadline=past, camera_id="c")))
        in_time = sender.receive(sender.send(request(JPEG, deadline=future)))
    assert late.status is Status.EXPIRED
    assert late.emotions == (NO_EMOTION, NO_EMOTION)
    assert late.faces_areas == (0, 0)
    assert late.camera_id == "c"
    assert in_time.status is Status.SUCCESS
    assert engine.analysed == 1
    assert sender.depth(f"{broker.namespace}.frames.dead") == 0


def test_request_whose_expiration_passes_while_it_waits_in_a_worker_is_answered_expired(
    broker: BrokerConfig, sender: Sender
) -> None:
    engine = GatedEngine()
    with serving(broker, engine, threads=1, prefetch=2) as service:
        first = sender.send(request(JPEG))
        assert engine.entered.wait(20)
        second = sender.send(request(JPEG), expiration="200")
        wait_until(lambda: service.progress.in_flight == 2, what="both are in the worker")
        passed = datetime.now(UTC) + timedelta(milliseconds=200)
        wait_until(lambda: datetime.now(UTC) > passed, what="the expiration has passed")
        engine.gate.set()
        assert sender.receive(first).status is Status.SUCCESS
        assert sender.receive(second).status is Status.EXPIRED
    assert engine.analysed == 1


def test_request_that_expired_in_the_queue_is_answered_expired(
    broker: BrokerConfig, sender: Sender
) -> None:
    meter = MetricsRecorder()
    with supervising(broker, meter=meter):
        result = sender.receive(sender.send(request(JPEG, camera_id="c"), expiration="1"))
        wait_until(lambda: meter.counts.requests == {"expired": 1}, what="it is counted")
    assert result.status is Status.EXPIRED
    assert result.emotions == (NO_EMOTION,)
    assert result.camera_id == "c"
    assert sender.depth(f"{broker.namespace}.frames.dead") == 0
