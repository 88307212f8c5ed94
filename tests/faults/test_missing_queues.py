"""Queues of ours that are deleted: declared again, and everything is answered, within seconds."""

import time
from pathlib import Path

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker

from fer_client.config import BrokerConfig
from fer_schemas import Status
from tests.engines import SizeEngine, plain_jpeg
from tests.serving import Sender, request, running, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

JPEG = plain_jpeg(60)
WITHIN_S = 5.0


def test_results_find_their_queue_again_when_it_was_deleted(
    broker: BrokerConfig, sender: Sender
) -> None:
    results = f"{broker.namespace}.results"
    with serving(broker, SizeEngine(), prefetch=4) as service:
        sender.channel.queue_delete(results)
        began = time.monotonic()
        sent = [sender.send(request(JPEG), reply_to=None) for _ in range(8)]
        wait_until(lambda: service.progress.in_flight == 0, WITHIN_S, "all are answered")
        taken = {sender.take(results)[0].correlation_id for _ in sent}
        assert taken == set(sent)
        assert time.monotonic() - began < WITHIN_S
        assert service.progress.ready


def test_a_dead_letter_finds_its_queue_again(broker: BrokerConfig, sender: Sender) -> None:
    dead = f"{broker.namespace}.frames.dead"
    with serving(broker, SizeEngine()):
        sender.channel.queue_delete(dead)
        assert sender.receive(sender.send(b"\xc1")).status is Status.ERROR
    assert sender.depth(dead) == 1


def test_a_redelivered_request_finds_the_quarantine_again(
    broker: BrokerConfig, sender: Sender
) -> None:
    quarantine = f"{broker.namespace}.frames.quarantine"
    sender.send(request(JPEG))
    method, _, _ = sender.channel.basic_get(f"{broker.namespace}.frames")
    sender.channel.queue_delete(quarantine)
    with serving(broker, SizeEngine()):
        sender.channel.queue_delete(quarantine)
        sender.channel.basic_nack(method.delivery_tag)
        wait_until(lambda: depth(broker, quarantine) == 1, WITHIN_S, "its copy is there")


@pytest.mark.parametrize("name", ["frames", "frames.quarantine", "frames.undeliverable", "results"])
def test_a_deleted_queue_is_there_again_and_requests_are_answered(
    broker: BrokerConfig, sender: Sender, tmp_path: Path, name: str
) -> None:
    queue = f"{broker.namespace}.{name}"
    with running(tmp_path / "log", broker, "--processes=1", engine="FaultyEngine") as workers:
        workers.await_ready(1)
        sender.channel.queue_delete(queue)
        wait_until(lambda: depth(broker, queue) == 0, WITHIN_S, "it is there again")
        workers.await_ready(1)
        assert sender.receive(sender.send(request(JPEG))).status is Status.SUCCESS


def depth(broker: BrokerConfig, queue: str) -> int | None:
    """Messages that wait in a queue; None where there is no such queue."""
    with pika.BlockingConnection(pika.URLParameters(broker.urls[0])) as connection:
        try:
            state = connection.channel().queue_declare(queue, passive=True)
        except ChannelClosedByBroker:
            return None
        return int(state.method.message_count)
