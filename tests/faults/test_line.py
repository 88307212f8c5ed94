"""Fault 3: the line between a worker and its broker is cut, stalls, or is slow."""

import dataclasses
import time

import pytest

from fer_client import FerClient
from fer_client.config import BrokerConfig
from tests.engines import GatedEngine, SizeEngine, noisy_jpeg, plain_jpeg
from tests.faults.load import steady_load
from tests.forwarder import Forwarder
from tests.serving import serving, supervising
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

JPEGS = [plain_jpeg(width) for width in range(30, 130, 5)]

FAST_HEARTBEAT_S = 2

BYTES_PER_S = 100_000
"""The requests of the test take ten seconds, longer than either side waits for a heartbeat."""

PROMISED_S = 30
"""What a stalled worker holds is answered by others within this time, at the default heartbeat."""


def test_every_batch_is_answered_though_the_line_is_cut_again_and_again(
    broker: BrokerConfig, line: Forwarder
) -> None:
    with (
        supervising(broker, examine_with="SizeEngine"),
        serving(line.through(broker), SizeEngine()),
        steady_load(broker, JPEGS) as load,
    ):
        for _ in range(5):
            load.pile_up(50)
            line.cut()
            load.goes_on()


def test_batches_of_a_stalled_worker_are_answered_by_others_in_time(
    broker: BrokerConfig, line: Forwarder
) -> None:
    engine = GatedEngine()
    with FerClient(broker) as client, serving(line.through(broker), engine, prefetch=4) as stalled:
        futures = {width: client.submit([plain_jpeg(width)]) for width in range(30, 34)}
        wait_until(lambda: stalled.progress.in_flight == 4, what="it has taken all of them")
        line.stall()
        since = time.monotonic()
        engine.gate.set()  # its answers go nowhere
        with serving(broker, SizeEngine()), supervising(broker, examine_with="SizeEngine"):
            for width, future in futures.items():
                result = future.result(PROMISED_S)
                assert result.faces_areas == (width * 40,)
                assert result.redelivered
            assert time.monotonic() - since < PROMISED_S
        line.resume()
        assert client.analyze([plain_jpeg(50)], timeout_s=60).faces_areas == (2000,)
    assert client.dropped == 0


def test_stalled_worker_notices_by_itself_and_connects_when_the_line_is_back(
    broker: BrokerConfig, line: Forwarder
) -> None:
    through = dataclasses.replace(line.through(broker), heartbeat_s=FAST_HEARTBEAT_S)
    with (
        supervising(broker, examine_with="SizeEngine"),
        serving(through, SizeEngine()) as service,
        steady_load(broker, JPEGS) as load,
    ):
        load.goes_on()
        before = line.accepted
        line.stall()
        wait_until(lambda: not service.progress.consuming, 60, "heartbeats are missed")
        wait_until(lambda: line.accepted >= before + 2, 60, "it gives a login up that hangs")
        line.resume()
        load.goes_on()


def test_slow_line_makes_answers_late_and_breaks_nothing(
    broker: BrokerConfig, line: Forwarder
) -> None:
    through = dataclasses.replace(line.through(broker), heartbeat_s=FAST_HEARTBEAT_S)
    with FerClient(broker) as client, serving(through, SizeEngine()):
        before = line.accepted
        line.slow(BYTES_PER_S)
        futures = {side: client.submit([noisy_jpeg(side)]) for side in range(200, 220)}
        for side, future in futures.items():
            result = future.result(60)
            assert result.faces_areas == (side * side,)
            assert not result.redelivered
        assert line.accepted == before  # heartbeats came through
