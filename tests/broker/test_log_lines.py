"""What the log says of a request: a line an edge, each with the correlation id."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fer_client.config import BrokerConfig
from fer_worker.inference.types import Engine
from tests.engines import BrokenEngine, SizeEngine, plain_jpeg
from tests.serving import Sender, request, serving, supervising
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

JPEG = plain_jpeg(60)

Said = Callable[[str], list[str]]
"""Level and text of each line about a request, by its correlation id."""


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Said:
    caplog.set_level(logging.DEBUG, logger="fer_worker")

    def find(correlation_id: str) -> list[str]:
        return [
            f"{record.levelname} {record.getMessage()}"
            for record in caplog.records
            if getattr(record, "correlation_id", None) == correlation_id
        ]

    return find


@contextmanager
def until_done(
    broker: BrokerConfig, sender: Sender, engine: Engine | None = None
) -> Iterator[None]:
    """Serve, and drain once the queue of requests is empty."""
    with serving(broker, engine or SizeEngine()):
        yield
        wait_until(lambda: sender.depth(f"{broker.namespace}.frames") == 0, what="all are taken")


def test_request_that_is_answered_has_a_line_when_it_is_taken_and_one_when_it_has_ended(
    broker: BrokerConfig, sender: Sender, said: Said
) -> None:
    with until_done(broker, sender):
        sent = sender.send(request(JPEG, JPEG, b"no JPEG"))
    taken, ended = said(sent)
    assert taken.startswith(f"DEBUG taken from {broker.namespace}.frames: ")
    assert taken.endswith(" bytes")
    assert ended.startswith("DEBUG ended: partial, 3 frames, 2 faces, ")
    assert ended.endswith(" ms")


def test_request_that_is_dead_lettered_has_a_warning_with_the_code(
    broker: BrokerConfig, sender: Sender, said: Said
) -> None:
    with until_done(broker, sender):
        sent = sender.send(b"\xc1")
    _, dead_lettered = said(sent)
    frames = f"{broker.namespace}.frames"
    assert dead_lettered.startswith(
        f"WARNING dead-lettered from {frames}: malformed_body: not msgpack"
    )


def test_request_that_comes_too_late_has_a_line(
    broker: BrokerConfig, sender: Sender, said: Said
) -> None:
    with until_done(broker, sender):
        sent = sender.send(request(JPEG, deadline="2026-01-01T00:00:00Z"))
    _, expired = said(sent)
    assert expired == "INFO expired: picked up after its deadline"


def test_result_that_finds_no_reader_has_a_warning(
    broker: BrokerConfig, sender: Sender, said: Said
) -> None:
    with until_done(broker, sender):
        sent = sender.send(request(JPEG), reply_to="nowhere")
    _, gone, ended = said(sent)
    results = f"{broker.namespace}.results"
    assert gone == f"WARNING reply queue nowhere is gone; the result goes to {results}"
    assert ended.startswith("DEBUG ended: success")


def test_redelivered_request_has_a_line_when_it_is_moved_and_those_of_its_second_try(
    broker: BrokerConfig, sender: Sender, said: Said
) -> None:
    sent = sender.send(request(JPEG))
    method, _, _ = sender.channel.basic_get(f"{broker.namespace}.frames")
    sender.channel.basic_nack(method.delivery_tag)
    with until_done(broker, sender), supervising(broker, examine_with="SizeEngine"):
        assert sender.receive(sent).redelivered
    _, moved, again, ended = said(sent)
    assert moved == "INFO redelivered, moved to quarantine"
    assert again.startswith(f"DEBUG taken from {broker.namespace}.frames.quarantine: ")
    assert ended.startswith("DEBUG ended: success")


def test_fault_of_the_engine_is_found_under_the_correlation_id(
    broker: BrokerConfig, sender: Sender, said: Said
) -> None:
    with until_done(broker, sender, BrokenEngine()):
        sent = sender.send(request(JPEG))
    _, fault, ended = said(sent)
    assert fault == "ERROR frame 0: unexpected fault"
    assert ended.startswith("DEBUG ended: error")
