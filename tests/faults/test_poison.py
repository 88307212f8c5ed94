"""Frames that kill whoever analyses them, and requests that must not be taken for one of those."""

import threading
from pathlib import Path

import pika
import pytest

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_schemas import ErrorCode, Status
from tests.engines import ABORTING_HEIGHT, GatedEngine, SizeEngine, plain_jpeg
from tests.serving import Sender, request, running, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.broker


def test_frame_that_kills_is_buried_and_50_good_ones_beside_it_are_answered(
    broker: BrokerConfig, sender: Sender, tmp_path: Path
) -> None:
    widths = range(50, 100)
    options = ("--processes=2", "--threads=1", "--prefetch=4")
    working = [
        f"{broker.namespace}.{name}" for name in ("frames", "frames.suspects", "frames.obituaries")
    ]
    with (
        running(tmp_path / "log", broker, *options, engine="FaultyEngine") as workers,
        FerClient(broker) as client,
    ):
        wait_until(lambda: len(workers.ready_pids()) == 2, 60, "two workers are ready")
        good = [client.submit([plain_jpeg(width)]) for width in widths[:25]]
        deadly = client.submit([plain_jpeg(60, ABORTING_HEIGHT)])
        good += [client.submit([plain_jpeg(width)]) for width in widths[25:]]
        results = [future.result(100) for future in good]
        verdict = deadly.result(100)
        restarts = workers.status().restarts
        # What was answered while its worker died is answered a second time.
        wait_until(lambda: not any(map(sender.depth, working)), 60, "all is done")
    assert [result.faces_areas for result in results] == [(width * 40,) for width in widths]
    assert verdict.status is Status.ERROR
    assert [error.code for error in verdict.errors] == [ErrorCode.POISON_MESSAGE]
    assert restarts == 4  # once taken with others, three times by itself
    assert sender.depth(f"{broker.namespace}.frames.dead") == 1


def test_suspect_is_not_held_while_another_request_is_analysed(
    broker: BrokerConfig, sender: Sender
) -> None:
    suspects = f"{broker.namespace}.frames.suspects"
    engine = GatedEngine()
    with serving(broker, engine, threads=2) as service:
        sent = sender.send(request(plain_jpeg(60)))
        assert engine.entered.wait(20)
        put(sender, suspects, "suspect")
        wait_until(
            lambda: service._session is not None and service._session.examining,
            20,
            "the worker finishes what is at work, to make room for the suspect",
        )
        # Were that request to kill its worker, it would count for nobody else.
        assert sender.depth(suspects) == 1
        engine.gate.set()
        assert sender.receive(sent).status is Status.SUCCESS
        assert sender.receive("suspect").status is Status.SUCCESS
        again = sender.send(request(plain_jpeg(60)))
        assert sender.receive(again).status is Status.SUCCESS


def test_request_that_crosses_the_drain_on_the_line_is_answered_and_not_sent_back(
    broker: BrokerConfig, sender: Sender
) -> None:
    queued, held, released = threading.Event(), threading.Event(), threading.Event()

    def wait_for_more() -> None:
        queued.wait(60)

    def hold() -> None:
        held.set()
        released.wait(60)

    with serving(broker, SizeEngine()) as service:
        # What is queued while a callback runs is done in one go, and nothing is read in between.
        service._connection.call(wait_for_more)
        service._connection.call(hold)
        service.drain()
        queued.set()
        assert held.wait(60)
        frames = f"{broker.namespace}.frames"
        put(sender, frames, "late")
        wait_until(lambda: sender.depth(frames) == 0, what="the request is on the line")
        released.set()
        result = sender.receive("late")
    assert result.status is Status.SUCCESS
    assert not result.redelivered


def put(sender: Sender, queue: str, correlation_id: str) -> None:
    properties = pika.BasicProperties(
        correlation_id=correlation_id, reply_to=sender.reply_to, content_type="image/jpeg"
    )
    sender.channel.basic_publish("", queue, plain_jpeg(60), properties)
