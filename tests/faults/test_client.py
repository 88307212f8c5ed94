"""Fault 10: a controller whose line breaks while its requests are open."""

import dataclasses

import pytest

from fer_client import FerClient
from fer_client.config import BrokerConfig
from tests.engines import GatedEngine, SizeEngine, noisy_jpeg, plain_jpeg
from tests.faults.load import steady_load
from tests.forwarder import Forwarder
from tests.serving import serving
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

OPEN = 20


def test_every_future_ends_though_the_line_is_cut_with_20_requests_open(
    broker: BrokerConfig, line: Forwarder
) -> None:
    engine = GatedEngine()
    with (
        serving(broker, engine, prefetch=OPEN) as service,
        FerClient(line.through(broker)) as client,
    ):
        futures = {width: client.submit([plain_jpeg(width)]) for width in range(30, 30 + OPEN)}
        wait_until(lambda: service.progress.in_flight == OPEN, what="all of them are at work")
        before = line.accepted
        line.cut()
        engine.gate.set()
        for width, future in futures.items():
            assert future.result(30).faces_areas == (width * 40,)
        assert line.accepted > before


def test_requests_that_a_cut_line_had_swallowed_are_sent_again(
    broker: BrokerConfig, line: Forwarder
) -> None:
    with serving(broker, SizeEngine()), FerClient(line.through(broker)) as client:
        line.stall()
        futures = {width: client.submit([plain_jpeg(width)]) for width in range(30, 30 + OPEN)}
        line.cut()
        line.resume()
        for width, future in futures.items():
            assert future.result(30).faces_areas == (width * 40,)


def test_every_future_ends_though_the_line_is_cut_again_and_again_in_the_middle_of_sending(
    broker: BrokerConfig, line: Forwarder
) -> None:
    jpegs = [plain_jpeg(width) for width in range(30, 130, 5)]
    with serving(broker, SizeEngine()), steady_load(line.through(broker), jpegs, 200) as load:
        for _ in range(4):  # the pause before the next attempt grows
            load.goes_on(OPEN)
            line.cut()


def test_every_future_ends_though_the_line_stalls_with_megabytes_to_send(
    broker: BrokerConfig, line: Forwarder
) -> None:
    through = dataclasses.replace(line.through(broker), heartbeat_s=2)
    sides = range(800, 800 + OPEN)
    with serving(broker, SizeEngine()), FerClient(through) as client:
        line.stall()
        futures = {side: client.submit([noisy_jpeg(side)]) for side in sides}
        before = line.accepted
        wait_until(lambda: line.accepted > before, 30, "heartbeats are missed")
        line.resume()
        for side, future in futures.items():
            assert future.result(30).faces_areas == (side * side,)
