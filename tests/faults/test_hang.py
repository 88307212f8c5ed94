"""Processes that make no progress are replaced; those that are slow, idle or waiting are not."""

import os
import signal
import time
from pathlib import Path

import pytest

from fer_client import FerClient
from fer_client.config import BrokerConfig
from fer_schemas import ErrorCode
from tests.engines import HANGING_HEIGHT, SLOW_HEIGHT, SLOW_S, plain_jpeg
from tests.serving import Sender, request, running
from tests.waiting import wait_until

pytestmark = pytest.mark.broker

HANG_TIMEOUT_S = 3
OPTIONS = ("--processes=2", "--threads=1", "--prefetch=4", f"--hang-timeout={HANG_TIMEOUT_S}")


def test_frame_that_never_ends_is_dead_lettered_and_those_beside_it_are_answered(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    with (
        running(tmp_path / "log", broker, *OPTIONS, engine="FaultyEngine") as workers,
        FerClient(broker) as client,
    ):
        workers.await_ready(2)
        endless = client.submit([plain_jpeg(60, HANGING_HEIGHT)])
        futures = {width: client.submit([plain_jpeg(width)]) for width in range(50, 80)}
        for width, future in futures.items():
            assert future.result(100).faces_areas == (width * 40,)
        assert [error.code for error in endless.result(100).errors] == [ErrorCode.POISON_MESSAGE]
        assert workers.status().restarts == 1  # it hung once among others, then in examiners


def test_requests_of_a_frozen_process_are_answered_by_others(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    with (
        running(tmp_path / "log", broker, *OPTIONS, engine="FaultyEngine") as workers,
        FerClient(broker) as client,
    ):
        workers.await_ready(2)
        futures = {
            width: client.submit([plain_jpeg(width, SLOW_HEIGHT)] * 8) for width in range(50, 60)
        }
        frozen = workers.ready_pids()[0]
        os.kill(frozen, signal.SIGSTOP)
        for width, future in futures.items():
            assert future.result(100).faces_areas == (width * SLOW_HEIGHT,) * 8
        workers.await_ready(2)
        assert frozen not in workers.ready_pids()


def test_batch_that_moves_on_frame_by_frame_is_no_hang(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    frames = [plain_jpeg(60, SLOW_HEIGHT)] * 64
    assert len(frames) * SLOW_S > 2 * HANG_TIMEOUT_S
    with (
        running(tmp_path / "log", broker, *OPTIONS, engine="FaultyEngine") as workers,
        FerClient(broker) as client,
    ):
        result = client.analyze(frames, timeout_s=100)
        assert result.faces_areas == (60 * SLOW_HEIGHT,) * 64
        assert workers.status().restarts == 0


def test_waiting_for_a_queue_to_take_the_result_is_no_hang(
    broker: BrokerConfig, sender: Sender, tmp_path: Path
) -> None:
    full = sender.channel.queue_declare(
        "", exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    ).method.queue
    sender.channel.basic_publish("", full, b"in the way")
    with running(tmp_path / "log", broker, *OPTIONS, engine="FaultyEngine") as workers:
        sent = sender.send(request(plain_jpeg(60)), reply_to=full)
        # It was tried for ten seconds, with the request unacked.
        result = sender.receive(sent, queue=f"{broker.namespace}.results")
        assert result.faces_areas == (60 * 40,)
        assert workers.status().restarts == 0


def test_host_that_stood_still_kills_no_process_for_it(
    broker: BrokerConfig, tmp_path: Path
) -> None:
    options = ("--processes=2", "--threads=1", "--prefetch=1", "--hang-timeout=2")
    with (
        running(tmp_path / "log", broker, *options, engine="FaultyEngine") as workers,
        FerClient(broker) as client,
    ):
        before = workers.await_ready(2)
        futures = {
            width: client.submit([plain_jpeg(width, SLOW_HEIGHT)] * 64) for width in (50, 60)
        }
        wait_until(
            lambda: all(process.in_flight for process in workers.status().processes),
            what="both are at work",
        )
        os.killpg(workers.process.pid, signal.SIGSTOP)
        try:
            time.sleep(4)  # the fault itself
        finally:
            os.killpg(workers.process.pid, signal.SIGCONT)
        for width, future in futures.items():
            result = future.result(100)
            assert result.faces_areas == (width * SLOW_HEIGHT,) * 64
            assert not result.redelivered
        assert workers.status().restarts == 0
        assert workers.ready_pids() == before
